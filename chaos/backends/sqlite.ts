import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { sqliteStore } from '../../src/stores/sqlite.ts'
import type { Line } from '../journal.ts'
import type { Backend, Place } from './backend.ts'

export const sqlite: Backend = {
  async openStore(place) {
    const database = new Database(storeFile(place))
    return {
      store: sqliteStore(database, { table: place.name }),
      close: async () => void database.close(),
    }
  },

  async openJournal({ url, name }) {
    // In a file of its own: the faults lock the store's.
    const database = new Database(join(url, `${name}-journal.db`), { timeout: 30_000 })
    database.pragma('journal_mode = WAL')
    database.pragma('synchronous = OFF')
    database.exec(
      'CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, line TEXT NOT NULL)',
    )
    // From here on nobody waits inside SQLite: a worker that was stopped while it wrote a line has
    // the lock, and the process that waited for it could not let it go on.
    database.pragma('busy_timeout = 0')
    const append = database.prepare('INSERT INTO journal (at, line) VALUES (?, ?)')
    const read = database.prepare<[], { seq: number; at: number; line: string }>(
      'SELECT seq, at, line FROM journal ORDER BY seq',
    )
    return {
      // The store has no server: the machine's clock is the one that it goes by.
      async append(line) {
        const text = JSON.stringify(line)
        while (!isWritten(() => append.run(Date.now(), text))) await pause(2)
      },
      read: async () =>
        read.all().map(({ seq, at, line }) => {
          const parsed: Line = JSON.parse(line)
          return { ...parsed, seq, at }
        }),
      close: async () => void database.close(),
    }
  },

  erase: ({ url }) => rm(url, { recursive: true, force: true }),
}

/** Whether a statement could write. `false`: somebody else is writing. */
function isWritten(write: () => unknown): boolean {
  try {
    write()
    return true
  } catch (error) {
    if (String((error as { readonly code?: unknown }).code).startsWith('SQLITE_BUSY')) return false
    throw error
  }
}

/** The file that the workers share, and that the faults lock. */
export function storeFile({ url, name }: Place): string {
  return join(url, `${name}.db`)
}
