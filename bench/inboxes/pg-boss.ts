import { randomUUID } from 'node:crypto'
import { Pool } from 'pg'
import { PgBoss } from 'pg-boss'
import { pgBossInbox } from '../../src/inboxes/pg-boss.ts'
import { postgresStore } from '../../src/stores/postgres.ts'
import { type Place, placeName } from './place.ts'

export async function openPgBoss(url: string): Promise<Place> {
  const schema = placeName()
  const boss = new PgBoss({ connectionString: url, schema })
  boss.on('error', () => {})
  await boss.start()
  // The same settings as the inbox's own queue: order costs something too.
  await boss.createQueue('floor', { policy: 'key_strict_fifo' })
  const pool = new Pool({ connectionString: url })
  const inbox = pgBossInbox(boss)
  const store = postgresStore(pool, { table: schema })
  await inbox.migrate()
  await store.migrate()
  return {
    floor: 'boss.send with an id and a singletonKey',
    inbox,
    store,
    commit: (delivery) =>
      boss.send('floor', delivery, { id: randomUUID(), singletonKey: delivery.key }),
    clear: () => boss.deleteAllJobs('floor'),
    close: async () => {
      await boss.stop({ graceful: false })
      await pool.query(`DROP SCHEMA "${schema}" CASCADE; DROP TABLE "${schema}"`)
      await pool.end()
    },
  }
}
