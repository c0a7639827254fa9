import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { sqliteStore } from '../../src/stores/sqlite.ts'
import { fingerprint, leaseMs, type Place, type Subject } from './subject.ts'

/** A subject whose files are synchronised with the disk at every commit, or only now and then. */
export function sqlite(synchronous: 'FULL' | 'NORMAL'): Subject {
  return {
    floor: 'one INSERT per transaction',
    isRemote: false,
    async connect(folder) {
      mkdirSync(folder, { recursive: true })
      const home = mkdtempSync(join(folder, 'sqlite-'))
      const opened: SqlitePlace[] = []
      return {
        async open() {
          const place = new SqlitePlace(join(home, `${opened.length}.sqlite`), synchronous)
          opened.push(place)
          await place.store.migrate()
          return place
        },
        async close() {
          for (const place of opened) place.close()
          rmSync(home, { recursive: true })
        },
      }
    },
  }
}

class SqlitePlace implements Place {
  readonly store
  readonly #database
  #insert: Database.Statement<[string, string, string, number]> | undefined

  constructor(file: string, synchronous: string) {
    this.#database = new Database(file)
    this.#database.pragma('journal_mode = WAL')
    this.#database.pragma(`synchronous = ${synchronous}`)
    this.store = sqliteStore(this.#database)
  }

  async insert(key: string, owner: string): Promise<boolean> {
    this.#insert ??= this.#database.prepare(
      `INSERT INTO ringhook_events (key, owner, fence, state, fingerprint, ends_at)
VALUES (?, ?, 1, 0, ?, ?) ON CONFLICT DO NOTHING`,
    )
    return this.#insert.run(key, owner, fingerprint, Date.now() + leaseMs).changes === 1
  }

  async clear(): Promise<void> {
    this.#database.exec('DELETE FROM ringhook_events')
    this.#database.pragma('wal_checkpoint(TRUNCATE)')
  }

  async bytes(): Promise<number> {
    const pages = Number(this.#database.pragma('page_count', { simple: true }))
    const unused = Number(this.#database.pragma('freelist_count', { simple: true }))
    return (pages - unused) * Number(this.#database.pragma('page_size', { simple: true }))
  }

  close(): void {
    this.#database.close()
  }
}
