import { rm } from 'node:fs/promises'
import { join } from 'node:path'
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
    // In a file of its own: the faults lock the store's. A worker that is stopped while it writes
    // a line keeps the others waiting for longer than the usual 5 s.
    const database = new Database(join(url, `${name}-journal.db`), { timeout: 30_000 })
    database.pragma('journal_mode = WAL')
    database.pragma('synchronous = OFF')
    database.exec(
      'CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, line TEXT NOT NULL)',
    )
    const append = database.prepare('INSERT INTO journal (at, line) VALUES (?, ?)')
    const read = database.prepare<[], { seq: number; at: number; line: string }>(
      'SELECT seq, at, line FROM journal ORDER BY seq',
    )
    return {
      // The store has no server: the machine's clock is the one that it goes by.
      append: async (line) => void append.run(Date.now(), JSON.stringify(line)),
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

/** The file that the workers share, and that the faults lock. */
export function storeFile({ url, name }: Place): string {
  return join(url, `${name}.db`)
}
