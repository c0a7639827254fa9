import type { EntryFilter, InboxCounts, InboxState, StoredEntry } from '../inbox.ts'
import { failureOf } from './failures.ts'
import { jobIdOf, type Kept, keptOf, movedTo } from './job-data.ts'
import type { Queue, Row } from './queue.ts'

/** Ids that one look lists, and entries that are read at a time: some of them are large. */
const listed = 10_000
const read = 20

/** A job as it is in its table. */
export interface KnownJob {
  readonly id: string
  readonly singletonKey: string | null
  readonly data: unknown
  /** How often pg-boss counted a claim of it. */
  readonly claims: number
  readonly state: InboxState
  readonly dueAt: number
}

const isMoved = `(state = 'cancelled' AND data -> 'movedTo' IS NOT NULL)`

/** Which jobs are meant by a state. */
const conditions: Readonly<Record<InboxState, string>> = {
  waiting: `state IN ('created', 'retry') AND "startAfter" <= now()`,
  delayed: `state IN ('created', 'retry') AND "startAfter" > now()`,
  running: `state = 'active'`,
  dead: `state IN ('cancelled', 'failed') AND NOT ${isMoved}`,
}

const columns = `id::text AS id, state::text AS state, "singletonKey", data,
  CASE WHEN "startedOn" IS NULL THEN 0 ELSE "retryCount" + 1 END::text AS claims,
  "startAfter" > now() AS "isDelayed",
  round(extract(epoch FROM "startAfter") * 1000)::text AS "dueAt"`

/** Gives what the queue has, oldest first. */
export async function* entriesIn(queue: Queue, filter: EntryFilter): AsyncIterable<StoredEntry> {
  const { state, type, since } = filter
  const condition =
    state === undefined ? `state <> 'completed' AND NOT ${isMoved}` : conditions[state]
  const data = type === undefined ? {} : { data: { delivery: { type } } }
  // What is put, or goes on as another job, after the first look would come twice.
  let until: unknown = 'infinity'
  let last: readonly unknown[] = ['-infinity', '00000000-0000-0000-0000-000000000000']
  for (;;) {
    const ids = await queue.select(
      (
        jobs,
        next,
      ) => `SELECT id::text AS id, "createdOn"::text AS at, now()::text AS now FROM ${jobs}
        WHERE ${condition} AND "createdOn" <= $${next}::timestamptz
          AND ("createdOn", id) > ($${next + 1}::timestamptz, $${next + 2}::uuid)
        ORDER BY "createdOn", id LIMIT ${listed}`,
      [until, ...last],
      data,
    )
    for (let from = 0; from < ids.length; from += read) {
      const some = ids.slice(from, from + read).map(({ id }) => id)
      for (const job of await jobsBy(queue, some)) {
        const entry = entryOf(job)
        const isMeant = state === undefined || entry.state === state
        if (isMeant && isSince(entry.delivery, since)) yield entry
      }
    }
    const end = ids.at(-1)
    if (end === undefined || ids.length < listed) return
    if (until === 'infinity') until = end['now']
    last = [end['at'], end['id']]
  }
}

/** Gives the job that has a delivery, if it is not done. */
export async function findJob(queue: Queue, id: string): Promise<KnownJob | undefined> {
  // What was changed so that its key is not known any more goes by the id of its job.
  const first =
    (await jobBy(queue, jobIdOf(id))) ?? (isUuid(id) ? await jobBy(queue, id) : undefined)
  const to = first?.state === 'dead' ? movedTo(first.data) : undefined
  return first === undefined || to === undefined
    ? first
    : await jobBy(queue, jobIdOf(keptOf(first).key, to))
}

export async function jobBy(queue: Queue, id: string): Promise<KnownJob | undefined> {
  const [row] = await queue.select((jobs) => `SELECT ${columns} FROM ${jobs}`, [], { id })
  return row === undefined ? undefined : jobOf(row)
}

/** Whether there is a job with an id, in any state. */
export async function hasJob(queue: Queue, id: string): Promise<boolean> {
  return (await queue.select((jobs) => `SELECT id FROM ${jobs}`, [], { id })).length > 0
}

/** Removes the job of a delivery that is done. `jobs`: in a transaction. */
export async function forgetIn(jobs: Queue, key: string): Promise<void> {
  const id = jobIdOf(key)
  // Locked, or what somebody else has removed and put again meanwhile would be removed here.
  const completed = await jobs.select(
    (found) => `SELECT id FROM ${found} WHERE state = 'completed' FOR UPDATE`,
    [],
    { id },
  )
  if (completed.length > 0) await jobs.remove(id)
}

export function entryOf(job: KnownJob): StoredEntry {
  const { key, failure, delivery } = keptOf(job)
  return {
    id: key,
    state: job.state,
    attempts: attemptsOf(job, keptOf(job)),
    ...(job.state === 'delayed' && { dueAt: job.dueAt }),
    ...(failure !== undefined && { failure }),
    delivery,
  }
}

/** Counts what the queue has. */
export async function countsOf(queue: Queue): Promise<InboxCounts> {
  // When something was received is in the middle of its data, which may be long: it is read for the
  // oldest jobs only, and for those that were put long before they became another job.
  const receivedAt = `data #> '{delivery,receivedAt}'`
  const [row = {}] = await queue.select(
    (jobs) => `WITH job AS NOT MATERIALIZED (SELECT * FROM ${jobs}),
      oldest AS (
        (SELECT data FROM job WHERE state IN ('created', 'retry', 'active')
          ORDER BY "createdOn" LIMIT 100)
        UNION ALL
        (SELECT data FROM job WHERE state IN ('created', 'retry', 'active')
          AND "singletonKey" = id::text)
      )
      SELECT ${Object.entries(conditions)
        .map(([state, condition]) => `count(*) FILTER (WHERE ${condition})::text AS ${state}`)
        .join(', ')},
        (SELECT min(CASE WHEN jsonb_typeof(${receivedAt}) = 'number'
          THEN (${receivedAt})::text::numeric END)::text FROM oldest) AS oldest
      FROM job`,
    [],
  )
  const oldest = row['oldest']
  return {
    waiting: Number(row['waiting']),
    running: Number(row['running']),
    delayed: Number(row['delayed']),
    dead: Number(row['dead']),
    ...(typeof oldest === 'string' && { oldest: Number(oldest) }),
  }
}

/** The jobs with these ids that are not done, in this order. */
async function jobsBy(queue: Queue, ids: readonly unknown[]): Promise<readonly KnownJob[]> {
  const rows = await queue.select(
    (jobs, next) => `SELECT ${columns} FROM ${jobs} WHERE id = ANY($${next}::uuid[])`,
    [ids],
  )
  const found = new Map(rows.map((row) => [row['id'], jobOf(row)]))
  return ids.flatMap((id) => {
    const job = found.get(id)
    return job === undefined || movedTo(job.data) !== undefined ? [] : [job]
  })
}

function jobOf(row: Row): KnownJob | undefined {
  const { id, state, singletonKey, data, claims, isDelayed, dueAt } = row
  if (typeof id !== 'string') throw failureOf(undefined)
  const known = stateOf(state, isDelayed === true)
  if (known === undefined) return undefined
  return {
    id,
    singletonKey: typeof singletonKey === 'string' ? singletonKey : null,
    data,
    claims: Number(claims),
    state: known,
    dueAt: Number(dueAt),
  }
}

function stateOf(state: unknown, isDelayed: boolean): InboxState | undefined {
  switch (state) {
    case 'created':
    case 'retry':
      return isDelayed ? 'delayed' : 'waiting'
    case 'active':
      return 'running'
    case 'cancelled':
    case 'failed':
      return 'dead'
    default:
      return undefined
  }
}

function attemptsOf({ claims }: KnownJob, { offset }: Kept): number {
  return Math.max(0, claims + offset)
}

/** What cannot be read was received at an unknown time, and is shown. */
function isSince(delivery: unknown, since: Date | undefined): boolean {
  if (since === undefined) return true
  const receivedAt: unknown = (delivery as { readonly receivedAt?: unknown } | null)?.receivedAt
  return typeof receivedAt !== 'number' || receivedAt >= since.getTime()
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)
}
