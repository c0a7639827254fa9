import Database from 'better-sqlite3'
import { sqliteStore } from 'ringhook/stores/sqlite'
import { type Ledger, ledgerLines, ledgerTable, type Minutes } from './ledger.ts'

/** A ledger in a file of SQLite's. */
export async function sqliteLedger(file: string): Promise<Ledger> {
  const database = new Database(file)
  database.pragma('synchronous = FULL')
  const store = sqliteStore(database, { pruneEveryMs: 3_600_000 })
  await store.migrate()
  database.exec(ledgerTable)
  const insert = database.prepare('insert into ledger values (:eventId, :callId, :seconds)')
  const lines = database.prepare<[], Minutes>(ledgerLines)
  return {
    store,
    record: (minutes, context) =>
      // SQLite runs a transaction in one go: no async function, and no await in it.
      context.transaction(() => {
        insert.run(minutes)
      }),
    lines: async () => lines.all(),
    close: async () => void database.close(),
  }
}
