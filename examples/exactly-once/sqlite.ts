import Database from 'better-sqlite3'
import { sqliteStore } from 'ringhook/stores/sqlite'
import { type Ledger, ledgerLines, ledgerTable, type Minutes } from './ledger.ts'

/** A ledger in a file of SQLite's. */
export async function sqliteLedger(file: string): Promise<Ledger> {
  const database = new Database(file)
  database.pragma('synchronous = FULL')
  const store = sqliteStore(database)
  await store.migrate()
  database.exec(ledgerTable)
  const insert = database.prepare('insert into ledger values (:eventId, :callId, :seconds)')
  const lines = database.prepare<[], Minutes>(ledgerLines)
  return {
    store,
    async record(minutes, context) {
      const transaction = database.transaction(() => {
        insert.run(minutes)
        // Has marked, or thrown, when it returns: no await in here.
        void context.complete(database)
      })
      // From its start the only writer: nobody else's commit can come between.
      transaction.immediate()
    },
    lines: async () => lines.all(),
    close: async () => void database.close(),
  }
}
