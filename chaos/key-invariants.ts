import { leaseMs } from './endpoint.ts'
import type { Call, Run } from './history.ts'
import type { Violation } from './invariants.ts'
import type { StampedLine } from './journal.ts'

/** Times of one clock, rounded to ms in several places: what is no more apart than this is equal. */
const roundingMs = 5

/** What a store may say of a key that it finds locked, and whose lease it cannot see. */
const longestLeftMs = Math.max(leaseMs + roundingMs, 1_000)

/**
 * Two runs for one key overlap only if the earlier lease had run out by the store's clock; more than
 * that, no claim is won before that moment, unless the holder gave its claim back.
 *
 * A grant (a claim that was won, an extension that was accepted) that was asked for at time t holds
 * at least until t + leaseMs, because the store granted it at t or later. A claim that was answered
 * at time u was won at u or earlier. So u < t + leaseMs is certainly a broken lease. A worker that is
 * stopped in between makes u late: such a claim is not judged, and none is ever judged wrongly.
 */
export function grantedOnce(calls: readonly Call[], runs: readonly Run[]): Violation[] {
  const rule = 'a lease keeps others out until it has run out'
  const grants = calls.filter(isGrant)
  const violations: Violation[] = []
  for (const won of calls.filter(isWon)) {
    const broken = grants.find(
      (grant) =>
        fenceOf(grant) < fenceOf(won) &&
        grant.asked.seq < won.overSeq &&
        holdsAt(grant, won) &&
        !isGivenBack(grant, won, calls),
    )
    if (broken === undefined) continue
    const ofBoth = runs.filter(({ started }) => [broken.fence, won.fence].includes(started.fence))
    const what = `fence ${won.fence} was won while the lease of fence ${broken.fence} held`
    violations.push({ rule, what, lines: sorted([broken, won], ofBoth) })
  }
  for (const [index, run] of runs.entries()) {
    const other = runs.slice(index + 1).find(({ started }) => started.fence === run.started.fence)
    if (other === undefined) continue
    violations.push({ rule, what: 'two runs have one fence', lines: sorted([], [run, other]) })
  }
  return violations
}

/**
 * Of two claims that were won one after the other the later has the higher fence, and no two owners
 * have the same. A claim that its owner repeats keeps its fence.
 */
export function orderedFences(calls: readonly Call[]): Violation[] {
  const rule = 'fences strictly increase'
  const won = calls.filter(isWon)
  const violations: Violation[] = []
  for (const [index, one] of won.entries()) {
    for (const other of won.slice(index + 1)) {
      const isSame = one.asked.owner === other.asked.owner
      const isShared = fenceOf(one) === fenceOf(other) && !isSame
      // In the order of the journal `other` was asked later, but only this proves that it was won later.
      const goesBack = one.overSeq < other.asked.seq && fenceOf(other) < fenceOf(one)
      if (!isShared && !goesBack) continue
      const what = `fence ${other.fence} was given after fence ${one.fence}`
      violations.push({ rule, what, lines: sorted([one, other], []) })
    }
  }
  return violations
}

/**
 * Nothing is accepted from an owner after another has won the key, nor after its own release, nor,
 * but for a completion that is repeated, after its own completion.
 */
export function unfenced(calls: readonly Call[]): Violation[] {
  const rule = 'a stale owner changes nothing'
  return calls.filter(isAccepted).flatMap((accepted): Violation[] => {
    const { op, seq } = accepted.asked
    const earlier = calls.find(
      (call) =>
        call.overSeq < seq &&
        ((isWon(call) && fenceOf(call) > fenceOf(accepted)) ||
          (isAccepted(call) &&
            call.fence === accepted.fence &&
            (call.asked.op === 'release' || (call.asked.op === 'complete' && op !== 'complete')))),
    )
    if (earlier === undefined) return []
    const what = `${op} with fence ${accepted.fence} was accepted after ${earlier.asked.op} with fence ${earlier.fence}`
    return [{ rule, what, lines: sorted([earlier, accepted], []) }]
  })
}

/**
 * At most one fence has an accepted completion, and no claim is won behind it, so no run starts.
 * The fences say it whatever the order in the journal: a higher fence was won before the completion,
 * which was stale then, or after it. A run with a lower fence may still start late: it was claimed
 * before, and its process was stopped. And nobody is told `completed` unless somebody tried to.
 */
export function finishedOnce(calls: readonly Call[], runs: readonly Run[]): Violation[] {
  const rule = 'a finished event is finished once, and runs no more'
  const completions = calls.filter((call) => call.asked.op === 'complete')
  const violations: Violation[] = []
  for (const done of completions.filter(isAccepted)) {
    const isLater = (fence: number) => fence > fenceOf(done)
    const again = calls.find(
      (call) =>
        (isWon(call) && (isLater(fenceOf(call)) || done.overSeq < call.asked.seq)) ||
        (call.asked.op === 'complete' && isAccepted(call) && call.fence !== done.fence),
    )
    const run = runs.find(({ started }) => isLater(started.fence))
    if (again === undefined && run === undefined) continue
    const what = `fence ${done.fence} was completed, and ${again?.asked.op ?? 'a run'} came with fence ${again?.fence ?? run?.started.fence}`
    const lines = sorted(
      again === undefined ? [done] : [done, again],
      run === undefined ? [] : [run],
    )
    violations.push({ rule, what, lines })
  }
  const told = calls.filter(({ result }) => result === 'completed')
  for (const call of told) {
    const isTrue = completions.some(
      ({ result, asked }) => result !== 'no' && asked.seq < call.overSeq,
    )
    if (isTrue) continue
    violations.push({ rule, what: 'nobody had completed it', lines: sorted([call], []) })
  }
  return violations
}

/**
 * After any crash the key can be claimed within the lease: nobody is told `in_flight` unless a lease
 * may hold, or another call is at the key in the same moment. The time that the answer names is
 * within the lease too, or within the second that `Retry-After` cannot go below.
 */
export function freeAgain(calls: readonly Call[]): Violation[] {
  const rule = 'a key is free again when its lease has run out'
  return calls
    .filter(({ result }) => result === 'in_flight')
    .flatMap((refused): Violation[] => {
      const leftMs = refused.answered?.leftMs ?? 0
      if (!(leftMs > 0 && leftMs <= longestLeftMs)) {
        return [{ rule, what: `${leftMs} ms were said to be left`, lines: sorted([refused], []) }]
      }
      if (calls.some((call) => call !== refused && mayExcuse(call, refused, calls))) return []
      const lines = sorted([...calls.filter(isGrant).slice(-3), refused], [])
      return [{ rule, what: 'a claim was refused although nobody held the key', lines }]
    })
}

function mayExcuse(call: Call, refused: Call, calls: readonly Call[]): boolean {
  if (call.asked.seq > refused.overSeq) return false
  const isUncertain = call.result === 'failed' || call.result === 'unknown'
  const isAtOnce = isUncertain
    ? call.latestAt >= refused.asked.at
    : call.overSeq > refused.asked.seq
  if (isAtOnce) return true
  if (!isGrant(call) && !(isUncertain && call.asked.leaseMs !== undefined)) return false
  const isOver = calls.some(
    (settled) =>
      isSettled(settled) &&
      fenceOf(settled) >= (call.fence ?? Number.POSITIVE_INFINITY) &&
      settled.overSeq < refused.asked.seq,
  )
  return !isOver && call.latestAt + leaseMs + roundingMs >= refused.asked.at
}

function isWon({ result }: Call): boolean {
  return result === 'claimed'
}

function isAccepted({ result }: Call): boolean {
  return result === 'yes'
}

/** Gave its owner the key for the time of a lease. */
function isGrant(call: Call): boolean {
  return isWon(call) || (call.asked.op === 'extend' && isAccepted(call))
}

/** Ended its owner's hold on the key. */
function isSettled(call: Call): boolean {
  return isAccepted(call) && call.asked.op !== 'extend'
}

function holdsAt(grant: Call, won: Call): boolean {
  return (won.answered?.at ?? Number.POSITIVE_INFINITY) + roundingMs < grant.asked.at + leaseMs
}

/**
 * Whether the grant's owner may have released before the other claim was answered. Also where the
 * release answered "no": a driver that lost the reply sends the command again, and the second one
 * finds the key released by the first.
 */
function isGivenBack(grant: Call, won: Call, calls: readonly Call[]): boolean {
  return calls.some(
    ({ asked, fence }) =>
      asked.op === 'release' && fence === grant.fence && asked.seq < won.overSeq,
  )
}

/** Every call that is asked for this has one. */
function fenceOf({ fence }: Call): number {
  return fence ?? Number.NaN
}

function sorted(calls: readonly Call[], runs: readonly Run[]): StampedLine[] {
  return [
    ...calls.flatMap(({ asked, answered }) => [asked, answered]),
    ...runs.flatMap(({ started, ended }) => [started, ended]),
  ]
    .filter((line) => line !== undefined)
    .sort((one, other) => one.seq - other.seq)
}
