import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { sqliteInbox } from '../../src/inboxes/sqlite.ts'
import { sqliteStore } from '../../src/stores/sqlite.ts'
import type { Place } from './place.ts'

/** Both on files of their own, with the same pragmas. */
export async function openSqlite(folder: string): Promise<Place> {
  mkdirSync(folder, { recursive: true })
  const home = mkdtempSync(join(folder, 'inbox-'))
  const database = open(join(home, 'inbox.sqlite'))
  const bare = open(join(home, 'floor.sqlite'))
  bare.exec('CREATE TABLE jobs (id INTEGER PRIMARY KEY, key TEXT UNIQUE, data TEXT) STRICT')
  const insert = bare.prepare('INSERT INTO jobs (key, data) VALUES (?, ?) ON CONFLICT DO NOTHING')
  const inbox = sqliteInbox(database)
  const store = sqliteStore(database)
  await inbox.migrate()
  await store.migrate()
  return {
    floor: 'one INSERT per transaction, synchronous = FULL',
    inbox,
    store,
    commit: async (delivery) => insert.run(delivery.key, JSON.stringify(delivery)),
    clear: async () => {
      bare.exec('DELETE FROM jobs')
      bare.pragma('wal_checkpoint(TRUNCATE)')
    },
    close: async () => {
      database.close()
      bare.close()
      rmSync(home, { recursive: true })
    },
  }
}

function open(file: string): Database.Database {
  const database = new Database(file)
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  return database
}
