import { fits } from '../filter.ts'
import type { EntryFilter, InboxCounts, InboxState, StoredEntry } from '../inbox.ts'
import type { BullmqQueue, Client } from './bullmq-types.ts'
import { jobIdOf, keyOf } from './job-ids.ts'
import { failureOf } from './settle.ts'

/** The lists and sorted sets of a queue that have the jobs of a state. `paused` is one of BullMQ 5. */
const keysOf: Readonly<Record<InboxState, readonly string[]>> = {
  waiting: ['wait', 'paused', 'prioritized'],
  running: ['active'],
  delayed: ['delayed'],
  dead: ['failed'],
}

const sortedSets: readonly string[] = ['prioritized', 'delayed', 'failed']

/** BullMQ's words for a state. A job that it does not find is in none. */
const states: Readonly<Record<string, InboxState>> = {
  waiting: 'waiting',
  paused: 'waiting',
  prioritized: 'waiting',
  active: 'running',
  delayed: 'delayed',
  failed: 'dead',
}

/** A job, and where it was when it was looked for. */
export interface Found {
  readonly jobId: string
  readonly state: InboxState
}

/** Finds the state of a job. */
export async function stateOf(queue: BullmqQueue, jobId: string): Promise<InboxState | undefined> {
  const state = await queue.getJobState(jobId)
  return Object.hasOwn(states, state) ? states[state] : undefined
}

/** Finds the job of a delivery, or one with this id that ringhook didn't add. */
export async function findJob(queue: BullmqQueue, id: string): Promise<Found | undefined> {
  for (const jobId of [jobIdOf(id), id]) {
    const state = await stateOf(queue, jobId)
    if (state !== undefined) return { jobId, state }
  }
  return undefined
}

/** Counts what the queue has. */
export async function countsOf(queue: BullmqQueue, client: Client): Promise<InboxCounts> {
  const [counts, oldest] = await Promise.all([
    queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed'),
    oldestOf(queue, client),
  ])
  // BullMQ 5 counts what waits in a paused queue apart.
  const { waiting = 0, paused = 0, prioritized = 0, active = 0, delayed = 0, failed = 0 } = counts
  return {
    waiting: waiting + paused + prioritized,
    running: active,
    delayed,
    dead: failed,
    ...(oldest !== undefined && { oldest }),
  }
}

/** How many jobs are asked about at once. */
const timesAtOnce = 1_000

/**
 * Finds the jobs that may fit a filter, in the order in which they were received. All of a state at
 * once: in pages, what others take away would shift jobs to where nobody looks any more.
 */
export async function findJobs(
  queue: BullmqQueue,
  client: Client,
  { state }: EntryFilter,
): Promise<readonly Found[]> {
  const found = new Map<string, InboxState>()
  const wanted = state === undefined ? (Object.keys(keysOf) as InboxState[]) : [state]
  for (const each of wanted) {
    for (const jobId of await idsIn(queue, client, each, 0)) found.set(jobId, each)
  }
  const jobs: (Found & { readonly time: number })[] = []
  for (const ids of pagesOf([...found.keys()], timesAtOnce)) {
    const times = await timesOf(queue, client, ids)
    for (const [index, jobId] of ids.entries()) {
      const time = times[index]
      const foundIn = found.get(jobId)
      if (time !== undefined && foundIn !== undefined) jobs.push({ jobId, state: foundIn, time })
    }
  }
  return jobs.sort((one, other) => one.time - other.time)
}

/** Of how many jobs of a state the oldest is looked for: those that are next. */
const sampled = 1_000

/** When the oldest of the jobs that are not dead was received. */
async function oldestOf(queue: BullmqQueue, client: Client): Promise<number | undefined> {
  const alive: readonly InboxState[] = ['waiting', 'running', 'delayed']
  const ids = await Promise.all(alive.map((state) => idsIn(queue, client, state, sampled)))
  const times = await timesOf(queue, client, ids.flat())
  const oldest = times.reduce<number>((least, time) => Math.min(least, time ?? least), Infinity)
  return oldest === Infinity ? undefined : Math.floor(oldest)
}

/** The ids of the jobs in a state: the next `count`, or with 0 all of them. */
async function idsIn(
  queue: BullmqQueue,
  client: Client,
  state: InboxState,
  count: number,
): Promise<readonly string[]> {
  const ids = await Promise.all(
    keysOf[state].map(async (key) => {
      if (sortedSets.includes(key)) return client.zrange(queue.toKey(key), 0, count - 1)
      // Taken from its end: the last is the next.
      return (await client.lrange(queue.toKey(key), -count, -1)).reverse()
    }),
  )
  // Older versions of BullMQ 5 keep a mark in the list of what waits.
  return ids.flat().filter((id) => !id.startsWith('0:'))
}

/** When jobs were received, with a fraction for the order. `undefined` for what is gone. */
async function timesOf(
  queue: BullmqQueue,
  client: Client,
  ids: readonly string[],
): Promise<readonly (number | undefined)[]> {
  const found = await Promise.all(ids.map((id) => client.hmget(queue.toKey(id), 'timestamp')))
  return found.map(([time]) => (time == null ? undefined : Number(time) || 0))
}

/** Reads what is known of a job. `undefined`: it is gone. */
export async function readEntry(
  queue: BullmqQueue,
  client: Client,
  { jobId, state }: Found,
): Promise<StoredEntry | undefined> {
  const [fields, score] = await Promise.all([
    client.hgetall(queue.toKey(jobId)),
    state === 'delayed' ? client.zscore(queue.toKey('delayed'), jobId) : null,
  ])
  const { data = '{}', atm, stc, failedReason, finishedOn, processedOn } = fields
  if (Object.keys(fields).length === 0) return undefined
  const ended = numberOf(atm) + numberOf(stc)
  const endedAt = numberOf(finishedOn ?? processedOn)
  return {
    id: keyOf(jobId),
    state,
    attempts: state === 'running' ? ended + 1 : ended,
    // BullMQ keeps 12 bits for the order of what is due in the same millisecond.
    ...(score !== null && { dueAt: Math.floor(Number(score) / 0x1000) }),
    ...(failedReason !== undefined && { failure: failureOf(failedReason, endedAt) }),
    delivery: deliveryOf(data),
  }
}

/** What a job has instead of what it was given is shown as the text that it is. */
function deliveryOf(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    return data
  }
}

/** How many entries are read at once. */
const entriesAtOnce = 100

/** Reads jobs, in their order, and gives those that fit. */
export async function readEntries(
  queue: BullmqQueue,
  client: Client,
  jobs: readonly Found[],
  filter: EntryFilter,
): Promise<readonly StoredEntry[]> {
  const entries = await Promise.all(jobs.map((job) => readEntry(queue, client, job)))
  return entries.filter(
    (entry) => entry !== undefined && fits(entry.delivery, filter),
  ) as StoredEntry[]
}

/** Cuts jobs into pages of as many as are read at once. */
export function entryPagesOf(jobs: readonly Found[]): Generator<readonly Found[]> {
  return pagesOf(jobs, entriesAtOnce)
}

function* pagesOf<Item>(items: readonly Item[], size: number): Generator<readonly Item[]> {
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size)
}

function numberOf(text: string | undefined): number {
  return Number(text ?? 0) || 0
}
