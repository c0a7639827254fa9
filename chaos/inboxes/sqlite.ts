import Database from 'better-sqlite3'
import { sqliteInbox } from '../../src/inboxes/sqlite.ts'
import { sqliteStore } from '../../src/stores/sqlite.ts'
import { storeFile } from '../backends/sqlite.ts'
import type { InboxBackend } from './backend.ts'

/** The shortest that there is. */
const leaseMs = 1_000

export const sqlite: InboxBackend = {
  haltMs: [1.1 * leaseMs, 2.5 * leaseMs],
  takeoverMs: 15_000,

  async open(place, slot) {
    const database = new Database(storeFile(place))
    // Some processes have one connection for both, and others two.
    const second = slot % 2 === 0 ? database : new Database(storeFile(place))
    return {
      inbox: sqliteInbox(database, { table: `${place.name}_inbox`, leaseMs, pollMs: 50 }),
      store: sqliteStore(second, { table: place.name }),
      async close() {
        database.close()
        if (second !== database) second.close()
      },
    }
  },
}
