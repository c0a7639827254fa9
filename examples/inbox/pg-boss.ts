import { Pool } from 'pg'
import { PgBoss } from 'pg-boss'
import { pgBossInbox } from 'ringhook/inboxes/pg-boss'
import { postgresStore } from 'ringhook/stores/postgres'
import { UsageError } from '../shared/program.ts'
import type { Engine, EngineOptions } from './engine.ts'

/** A queue of pg-boss's, and the store in the same schema of PostgreSQL. */
export async function openPgBoss({ name, leaseMs }: EngineOptions): Promise<Engine> {
  const connectionString = process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/test'
  const leaseSeconds = Math.ceil(leaseMs / 1_000)
  const boss = new PgBoss({
    connectionString,
    schema: name,
    // How often pg-boss looks for workers that were killed.
    superviseIntervalSeconds: leaseSeconds,
    monitorIntervalSeconds: leaseSeconds,
  })
  boss.on('error', (error) => console.error(`PostgreSQL: ${error.message}`))
  await boss.start().catch((cause) => {
    const remedy = 'Start it, or set DATABASE_URL to where it is.'
    throw new UsageError(`PostgreSQL cannot be used. ${remedy}`, { cause })
  })
  // pg-boss takes no less than 10 s.
  const inbox = pgBossInbox(boss, { heartbeatSeconds: Math.max(10, leaseSeconds) })

  const pool = new Pool({ connectionString })
  // Without listeners a connection that is lost would end the process: in use, or idle.
  pool.on('connect', (client) => client.on('error', (error) => console.error(error.message)))
  pool.on('error', () => {})
  const store = postgresStore(pool, { schema: name, pruneEveryMs: 3_600_000 })
  await inbox.migrate()
  await store.migrate()
  return {
    inbox,
    store,
    async close() {
      await boss.stop({ graceful: false })
      await pool.end()
    },
  }
}
