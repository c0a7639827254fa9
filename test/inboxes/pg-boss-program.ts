import { PgBoss } from 'pg-boss'
import { inboxProgram } from '../../src/conformance.ts'
import { pgBossInbox } from '../../src/inboxes/pg-boss.ts'

inboxProgram(async ({ data }) => {
  const { queue, ...place } = data as Readonly<
    Record<'connectionString' | 'schema' | 'queue', string>
  >
  const boss = await new PgBoss({ ...place, supervise: false, schedule: false, max: 4 }).start()
  return pgBossInbox(boss, { queue, pollMs: 10 })
})
