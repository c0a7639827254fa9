import { setTimeout as pause } from 'node:timers/promises'
import type pg from 'pg'
import { PgBoss } from 'pg-boss'
import { pgBossInbox } from '../../src/inboxes/pg-boss.ts'
import { postgres } from '../backends/postgres.ts'
import type { InboxBackend } from './backend.ts'

/** The shortest that pg-boss takes. */
const heartbeatSeconds = 10

export const pgBoss: InboxBackend = {
  server: {
    name: 'postgres',
    programs: 'postgres and initdb',
    settings: ['-c', 'fsync=on', '-c', 'synchronous_commit=on'],
  },
  haltMs: [2_000, 1_400 * heartbeatSeconds],
  takeoverMs: 45_000,

  async open(place, slot) {
    const boss = await startedOn(place)
    const { store, close } = await postgres.openStore(place, slot)
    return {
      inbox: pgBossInbox(boss, { queue: 'inbox', pollMs: 100, heartbeatSeconds }),
      store,
      async close() {
        await boss.stop({ graceful: false })
        await close()
      },
    }
  },
}

/** Starts a pg-boss, in spite of a network that may be out of order. */
async function startedOn({ url, name }: { readonly url: string; readonly name: string }) {
  for (;;) {
    const boss = new PgBoss({
      connectionString: url,
      schema: `${name}_boss`,
      max: 5,
      connectionTimeoutMillis: 1_000,
      schedule: false,
      // What a worker has lost is soon given to others.
      superviseIntervalSeconds: 1,
      monitorIntervalSeconds: 1,
    })
    boss.on('error', () => {})
    try {
      await boss.start()
      listenTo(boss)
      return boss
    } catch {
      await boss.stop({ graceful: false }).catch(() => {})
      await pause(100)
    }
  }
}

/**
 * pg-boss asks its pool for connections in a way that leaves each without a listener for a moment.
 * A server that ends just then would end the process too, which is not what this is a proof of.
 */
function listenTo(boss: PgBoss): void {
  const { pool } = boss.getDb() as { readonly pool?: pg.Pool }
  const heard = new WeakSet<object>()
  pool?.on('acquire', (client) => {
    if (!heard.has(client)) client.on('error', () => {})
    heard.add(client)
  })
}
