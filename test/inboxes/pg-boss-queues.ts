import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { type ConstructorOptions, PgBoss } from 'pg-boss'
import type { Inbox, StoredDelivery } from 'ringhook'
import { type PgBossInboxOptions, pgBossInbox } from 'ringhook/inboxes/pg-boss'
import { afterAll, beforeAll, onTestFinished, vi } from 'vitest'
import type { Attempt, AttemptResult } from '../../src/inboxes/inbox.ts'

/** An inbox in a queue that one test has for itself. */
export interface OwnInbox {
  readonly inbox: Inbox
  readonly queue: string
}

/** A job, as far as tests look at it. */
export interface JobRow {
  readonly id: string
  readonly state: string
  readonly deletion_seconds: number
}

/** A schema of pg-boss of their own for some tests. It goes when the tests have run. */
export interface PgBossSchema {
  readonly schema: string
  /** A pool that no pg-boss uses. */
  readonly admin: pg.Pool
  /** A pg-boss that is started, and stopped with the tests. */
  boss(options?: ConstructorOptions): Promise<PgBoss>
  /** An inbox that is migrated, in a queue of its own or in one that is named. */
  inbox(options?: PgBossInboxOptions, boss?: PgBoss): Promise<OwnInbox>
  jobs(queue: string): Promise<JobRow[]>
  /** Changes the jobs of a queue. */
  change(queue: string, set: string): Promise<void>
  /** Has pg-boss look after a queue, which it does by itself once in a minute, or once in a day. */
  supervise(queue: string): Promise<void>
}

export function pgBossSchema(url: string): PgBossSchema {
  const schema = `test_${randomBytes(6).toString('hex')}`
  const admin = new pg.Pool({ connectionString: url, max: 3 })
  const bosses: PgBoss[] = []
  let queues = 0

  const boss = async (options: ConstructorOptions = {}) => {
    const its = { connectionString: url, schema, supervise: false, schedule: false, max: 4 }
    const made = new PgBoss({ ...its, ...options })
    made.on('error', () => {})
    bosses.push(made)
    return await made.start()
  }
  const common = () => bosses[0] as PgBoss

  beforeAll(() => boss())
  afterAll(async () => {
    await Promise.all(bosses.map((made) => made.stop({ graceful: false })))
    await admin.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
    await admin.end()
  })
  return {
    schema,
    admin,
    boss,
    inbox: async (options = {}, its = common()) => {
      const { queue = `queue-${queues++}` } = options
      const inbox = pgBossInbox(its, { pollMs: 10, ...options, queue })
      await inbox.migrate()
      return { inbox, queue }
    },
    jobs: async (queue) => {
      const sql = `SELECT id, state::text, deletion_seconds FROM ${schema}.job WHERE name = $1`
      return (await admin.query(`${sql} ORDER BY created_on`, [queue])).rows
    },
    change: async (queue, set) => {
      await admin.query(`UPDATE ${schema}.job SET ${set} WHERE name = $1`, [queue])
    },
    supervise: async (queue) => {
      await admin.query(
        `UPDATE ${schema}.queue SET monitor_claim_on = NULL, monitor_on = NULL, maintain_on = NULL`,
      )
      await common().supervise(queue)
    },
  }
}

/** Gives a delivery that is unlike any other. */
export function delivery(changes: Partial<StoredDelivery> = {}): StoredDelivery {
  const key = randomBytes(32).toString('hex')
  return {
    version: 1,
    key,
    provider: 'krosai',
    namespace: '',
    type: 'call.completed',
    sentAs: 'call.completed',
    eventId: `event ${key}`,
    receivedAt: Date.now(),
    headers: {},
    body: Buffer.from(`{"about":"${key}"}`).toString('base64'),
    ...changes,
  }
}

/** Puts a delivery. Gives its key. */
export async function put(inbox: Inbox, order?: { key: string; maxHoldMs: number }) {
  const stored = delivery()
  await inbox.put(stored, { key: stored.key, ...(order && { order }) })
  return stored.key
}

/** Has a worker until the test ends. Gives the attempts that it was handed. */
export async function work(
  inbox: Inbox,
  decide: (attempt: Attempt, delivery: unknown) => AttemptResult | Promise<AttemptResult>,
  concurrency = 1,
) {
  const attempts: Attempt[] = []
  const errors: unknown[] = []
  await inbox.start(
    async (stored, attempt) => {
      attempts.push(attempt)
      return await decide(attempt, stored)
    },
    { concurrency, onError: (error) => errors.push(error) },
  )
  onTestFinished(() => inbox.stop())
  return { attempts, errors }
}

/** Waits for something to come true. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const check = async () => {
    if (!(await holds())) throw new Error('it did not come true')
  }
  await vi.waitFor(check, { timeout: 10_000, interval: 10 })
}

export const done: AttemptResult = { state: 'completed' }

export function failure(at = Date.now()) {
  return { code: 'RINGHOOK_HANDLER_FAILED', reason: 'the handler failed', at }
}

export function retry(delayMs: number): AttemptResult {
  return { state: 'retry', delayMs, failure: failure() }
}

export function dead(): AttemptResult {
  return { state: 'dead', failure: failure() }
}
