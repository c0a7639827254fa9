import { systemClock } from '../../core/clock.ts'
import { storeFailure } from '../../databases/failures.ts'
import type { AttemptResult, Failure } from '../inbox.ts'
import { attemptOf, type Claimed, isOneJob, jobIdOf, type Kept, placeOf } from './job-data.ts'
import type { Queue } from './queue.ts'

/** Writes the result of an attempt. `false`: the claim is lost, and nothing was changed. */
export function settle(queue: Queue, claimed: Claimed, result: AttemptResult): Promise<boolean> {
  const { kept } = claimed
  switch (result.state) {
    case 'completed':
      return finish(queue, claimed)
    case 'dead':
      return queue.within((jobs) => bury(jobs, claimed, result.failure))
    case 'retry': {
      const { failure, delayMs } = result
      const failedAt = kept.failedAt ?? firstFailureOf(claimed, failure)
      return postpone(queue, claimed, { ...kept, failure, failedAt }, delayMs)
    }
    case 'postponed':
      return postpone(queue, claimed, { ...kept, offset: kept.offset - 1 }, result.delayMs)
  }
}

/** Marks a delivery as done, where `queue` may be in a transaction of the user's. */
export async function complete(queue: Queue, claimed: Claimed): Promise<boolean> {
  if (!(await queue.complete([attemptOf(claimed)]))) return false
  const place = placeOf(claimed.job, claimed.kept)
  if (place !== undefined) await queue.remove(place)
  return true
}

function finish(queue: Queue, claimed: Claimed): Promise<boolean> {
  return isOneJob(claimed)
    ? complete(queue, claimed)
    : queue.within((jobs) => complete(jobs, claimed))
}

/** Completes deliveries with one call: each {@link isOneJob}. What was lost isn't changed. */
export async function completeAll(queue: Queue, claims: readonly Claimed[]): Promise<void> {
  await queue.complete(claims.map(attemptOf))
}

/** How many deliveries are given back in one transaction. */
const releasedAtOnce = 500

/** Gives back deliveries whose handler was never called, without counting the attempt. */
export async function release(queue: Queue, claims: readonly Claimed[]): Promise<void> {
  const transactions: Promise<void>[] = []
  for (let from = 0; from < claims.length; from += releasedAtOnce) {
    const some = claims.slice(from, from + releasedAtOnce)
    transactions.push(queue.within((jobs) => releaseIn(jobs, some)))
  }
  await Promise.all(transactions)
}

async function releaseIn(jobs: Queue, claims: readonly Claimed[]): Promise<void> {
  const locked = await jobs.lock(claims.map(attemptOf))
  const owned = claims.filter(({ job }) => locked.has(job.id))
  if (owned.length === 0) return
  await jobs.fail(owned.map(attemptOf), null)
  for (const { job, kept } of owned) {
    await jobs.change(job.id, { ...kept, offset: kept.offset - 1 }, { delayMs: 0 })
  }
}

/**
 * A dead letter is a cancelled job: it holds nobody back, as a failed one would, keeps repeats of its
 * delivery away, and is never deleted.
 */
async function bury(jobs: Queue, claimed: Claimed, failure: Failure): Promise<boolean> {
  const { id } = claimed.job
  if (!(await jobs.fail([attemptOf(claimed)], failure))) return false
  await jobs.change(id, { ...claimed.kept, failure }, { isKept: true })
  await jobs.cancel(id)
  return true
}

function postpone(queue: Queue, claimed: Claimed, kept: Kept, delayMs: number): Promise<boolean> {
  return queue.within((jobs) =>
    hasHeldEnough(claimed, kept, delayMs)
      ? letGo(jobs, claimed, kept, delayMs)
      : tryAgain(jobs, claimed, kept, delayMs),
  )
}

async function tryAgain(
  jobs: Queue,
  claimed: Claimed,
  kept: Kept,
  delayMs: number,
): Promise<boolean> {
  if (!(await jobs.fail([attemptOf(claimed)], kept.failure ?? null))) return false
  await jobs.change(claimed.job.id, kept, { delayMs })
  return true
}

/**
 * Lets those behind a delivery overtake it. pg-boss changes the key of no job, so the delivery goes
 * on as another one; the first keeps its place for a replay, and repeats away.
 */
async function letGo(jobs: Queue, claimed: Claimed, kept: Kept, delayMs: number): Promise<boolean> {
  const { id, retryCount } = claimed.job
  const { key } = kept
  if (!(await jobs.fail([attemptOf(claimed)], kept.failure ?? null))) return false
  const movedTo = kept.moves + 1
  await jobs.change(id, { key, movedTo }, { isKept: true })
  await jobs.cancel(id)
  const next = jobIdOf(key, movedTo)
  const moved = { ...kept, moves: movedTo, offset: kept.offset + retryCount + 1 }
  if (await jobs.send(moved, next, next, delayMs)) return true
  // Rolls back. The delivery stays with its worker until its heartbeat is missed.
  throw storeFailure('pgBossInbox', 'RINGHOOK_STORE_FAILED')
}

/** Whether a delivery would be tried again after it has held back others for as long as it may. */
function hasHeldEnough(claimed: Claimed, kept: Kept, delayMs: number): boolean {
  const { key, order, failedAt } = kept
  const holds = order !== undefined && jobIdOf(key) === claimed.job.id
  if (!holds || failedAt === undefined) return false
  return systemClock.now() + delayMs > failedAt + order.maxHoldMs
}

/** An attempt before this one that left no failure ended with its worker. */
function firstFailureOf({ number, claimedAt }: Claimed, { at }: Failure): number {
  return Math.round(number > 1 ? Math.min(claimedAt, at) : at)
}
