import Database from 'better-sqlite3'
import type { PersistentStore } from 'ringhook'
import { sqliteStore } from 'ringhook/stores/sqlite'
import { UsageError } from './program.ts'

const hourMs = 60 * 60_000

/** A store, and a way to let go of its file. */
export interface EventStore {
  readonly store: PersistentStore
  /** The file, for what else is to be in it. */
  readonly database: Database.Database
  close(): void
}

/** Opens the file in which finished events are remembered. `store.migrate()` makes its table. */
export function openEventStore(file: string): EventStore {
  const database = open(file)
  const store = sqliteStore(database, { pruneEveryMs: hourMs })
  return {
    store,
    database,
    close() {
      database.close()
    },
  }
}

function open(file: string): Database.Database {
  try {
    const database = new Database(file)
    // After a 200 nobody sends the event again: what was marked must outlive a power cut too.
    database.pragma('synchronous = FULL')
    return database
  } catch (error) {
    throw new UsageError(
      `${file} cannot be opened. Set RINGHOOK_DB to a file in a folder that can be written.`,
      { cause: error },
    )
  }
}
