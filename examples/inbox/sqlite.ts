import { fileURLToPath } from 'node:url'
import { sqliteInbox } from 'ringhook/inboxes/sqlite'
import { openEventStore } from '../shared/event-store.ts'
import type { Engine, EngineOptions } from './engine.ts'

/** One file for both: enough for all processes of one machine. */
export async function openSqlite({ leaseMs }: EngineOptions): Promise<Engine> {
  const file = process.env['RINGHOOK_DB'] ?? fileURLToPath(new URL('ringhook.db', import.meta.url))
  const { database, store, close } = openEventStore(file)
  const inbox = sqliteInbox(database, { leaseMs })
  await store.migrate()
  await inbox.migrate()
  return { inbox, store, close: async () => close() }
}
