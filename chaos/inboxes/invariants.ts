import type { Run } from '../history.ts'
import {
  endedWhenTold,
  type Finding,
  linesOf,
  seenAsAnswered,
  violationsOfKeys,
} from '../invariants.ts'
import type { StampedLine } from '../journal.ts'
import type { Receipt } from '../sender.ts'
import { begunInOrder } from './call-invariants.ts'
import type { InboxHistory, Put, Turn } from './history.ts'
import { retry } from './settings.ts'

/** The invariants, as they are printed. Those of the store under the inbox come beside them. */
export type InboxRule =
  | 'a 2xx means that the inbox has the delivery'
  | 'what was answered 2xx ends as finished or as a dead letter'
  | 'an event has its attempts, no more and no fewer'
  | 'of many copies an inbox keeps one'
  | 'an inbox that is down is answered 503'
  | 'the events of a call begin one after another'
  | 'a handler runs under a claim'
  | 'a dead letter stays, and can be replayed'
  | 'a restart forgets nothing'

/** An inbox's rule that was broken. */
export interface InboxViolation extends Finding {
  readonly rule: InboxRule
}

/** What became of an event, as its inbox and its store say when the run is over. */
export interface Fate {
  readonly event: string
  readonly key: string | undefined
  readonly state: 'completed' | 'dead' | 'dead and finished' | 'completionLost'
}

/** What was seen beside the journal. */
export interface InboxEnding {
  readonly receipts: readonly Receipt[]
  readonly accidents: readonly string[]
  /** The answers while the database was away. */
  readonly whileDown: readonly Receipt[]
  /** The last receipts of events that were not answered 2xx, although the faults had ended. */
  readonly stuck: readonly Receipt[]
  /** What the inbox still had when nothing moved any more, in words. */
  readonly undrained: readonly string[]
  /** Of every event that was answered 2xx, at the end of the calm and of the run. */
  readonly calmFates: readonly Fate[]
  readonly lastFates: readonly Fate[]
  /** Dead letters that were not as they should be, in words. */
  readonly spoiled: readonly { readonly key: string; readonly what: string }[]
}

/** Holds a journal to every invariant that can be judged while the run goes on. */
export function inboxViolationsOf(history: InboxHistory): Finding[] {
  const { puts, turns, runs } = history
  const perKey = [...puts.keys()].flatMap((key) => [
    ...keptOnce(puts.get(key) ?? [], turns.get(key) ?? []).slice(0, 2),
    ...countedAttempts(history, key).slice(0, 2),
  ])
  return [
    ...answeredAfterPut(history),
    ...[...runs.values()].flat().flatMap((run) => claimedBefore(run, history)),
    ...perKey,
    ...begunInOrder(history),
    ...violationsOfKeys(history),
  ]
}

/** Holds the whole run to what can be judged once it is over. */
export function inboxViolationsAtEnd(history: InboxHistory, ending: InboxEnding): Finding[] {
  const about = (event: string) => linesAbout(history, history.keys.get(event))
  const found: InboxViolation[] = [
    ...ending.whileDown
      .filter(({ status }) => status !== 503)
      .map(({ event, delivery, status }) => ({
        rule: 'an inbox that is down is answered 503' as const,
        what: `${delivery} was answered ${status === 0 ? 'nothing' : status}`,
        lines: about(event),
      })),
    ...ending.stuck.map(({ event, status, outcome }) => ({
      rule: 'what was answered 2xx ends as finished or as a dead letter' as const,
      what: `${event} was still answered ${status} ${outcome} long after the faults had ended`,
      lines: about(event),
    })),
    ...ending.undrained.map((what) => ({
      rule: 'what was answered 2xx ends as finished or as a dead letter' as const,
      what: `the inbox came to a halt: ${what}`,
      lines: [],
    })),
    ...[...ending.calmFates, ...ending.lastFates].flatMap((fate) => endedWell(history, fate)),
    ...ending.spoiled.map(({ key, what }) => ({
      rule: 'a dead letter stays, and can be replayed' as const,
      what,
      lines: linesAbout(history, key),
    })),
    ...rememberedAfterRestart(history, ending),
  ]
  return [
    ...found,
    ...inboxViolationsOf(history),
    ...seenAsAnswered(history, ending.receipts),
    ...endedWhenTold(ending.accidents),
  ]
}

/**
 * Every 2xx stands for what the inbox had said of that delivery: `accepted` or `duplicate`, in the
 * journal before the answer. Where `put` failed, or had not answered, there is no 2xx, and no other
 * answer than 503.
 */
function answeredAfterPut({ answers, puts }: InboxHistory): InboxViolation[] {
  const byDelivery = new Map<string, Put[]>()
  for (const put of [...puts.values()].flat()) {
    const { delivery } = put.asked
    byDelivery.set(delivery, [...(byDelivery.get(delivery) ?? []), put])
  }
  return answers.flatMap((answer): InboxViolation[] => {
    const ofDelivery = byDelivery.get(answer.delivery) ?? []
    const before = ofDelivery.filter(
      ({ answered }) => answered !== undefined && answered.seq < answer.seq,
    )
    const said = before.at(-1)?.answered?.result
    const isGood = answer.status >= 200 && answer.status < 300
    const isTrue = isGood ? said === answer.outcome : said !== 'failed' || answer.status === 503
    if (isTrue) return []
    const rule = isGood
      ? 'a 2xx means that the inbox has the delivery'
      : 'an inbox that is down is answered 503'
    const what = `the inbox said ${said ?? 'nothing'}, and the answer was ${answer.status} ${answer.outcome}`
    return [{ rule, what, lines: [...ofDelivery.flatMap(linesOfPut), answer] }]
  })
}

/** Every run has a claim of the store, won before with its fence. */
function claimedBefore(run: Run, { calls }: InboxHistory): InboxViolation[] {
  const { key, fence, seq } = run.started
  const isClaimed = (calls.get(key) ?? []).some(
    (call) => call.result === 'claimed' && call.fence === fence && call.overSeq < seq,
  )
  if (isClaimed) return []
  return [{ rule: 'a handler runs under a claim', what: 'it had none', lines: linesOf(run) }]
}

/**
 * A second copy is accepted only if the first may be done: for each that was accepted after the
 * first, the worker had decided once more that the event is done.
 */
function keptOnce(puts: readonly Put[], turns: readonly Turn[]): InboxViolation[] {
  const accepted = puts
    .flatMap(({ answered }) => (answered?.result === 'accepted' ? [answered] : []))
    .sort((one, other) => one.seq - other.seq)
  const done = turns.flatMap(({ verdict }) => (verdict?.state === 'completed' ? [verdict] : []))
  return accepted.flatMap((put, index): InboxViolation[] => {
    if (done.filter(({ seq }) => seq < put.seq).length >= index) return []
    const rule = 'of many copies an inbox keeps one'
    const what = `${index + 1} copies were accepted of an event that was not done`
    return [{ rule, what, lines: [...puts.flatMap(linesOfPut), ...done] }]
  })
}

/**
 * Until an event is done or replayed each of its runs has another number, none above the policy's;
 * and it is given up only after the last of them, or where it failed for good.
 */
function countedAttempts(history: InboxHistory, key: string): InboxViolation[] {
  const rule = 'an event has its attempts, no more and no fewer'
  const runs = history.runs.get(key) ?? []
  const turns = history.turns.get(key) ?? []
  const anew = [
    ...turns.flatMap(({ verdict }) => (verdict?.state === 'completed' ? [verdict.seq] : [])),
    ...[history.replays.get(key)?.seq ?? Number.POSITIVE_INFINITY],
  ]
  const violations: InboxViolation[] = []
  for (const [index, { started }] of runs.entries()) {
    const { attempt, seq } = started
    const same = runs
      .slice(0, index)
      .find(
        (earlier) =>
          earlier.started.attempt === attempt &&
          !anew.some((begins) => begins > earlier.started.seq && begins < seq),
      )
    if (same === undefined && attempt >= 1 && attempt <= retry.maxAttempts) continue
    const what = `a run was attempt ${attempt}${same === undefined ? '' : ' again'}`
    violations.push({ rule, what, lines: linesAbout(history, key) })
  }
  for (const { handed, verdict } of turns) {
    if (verdict?.state !== 'dead') continue
    const isFinal = verdict.code === 'RINGHOOK_PERMANENT_FAILURE'
    const isPlanned = runs.some(({ started }) => started.act === 'permanent')
    if (isFinal ? isPlanned : handed.number >= retry.maxAttempts) continue
    const what = `attempt ${handed.number} was the last, by ${verdict.code}`
    violations.push({ rule, what, lines: linesAbout(history, key) })
  }
  return violations
}

/**
 * The store says that it has finished; or a run had returned and was not marked in time, as its
 * answer says; or it is a dead letter.
 */
function endedWell(history: InboxHistory, { event, key, state }: Fate): InboxViolation[] {
  if (state === 'dead') return []
  const hasReturned = (history.runs.get(key ?? '') ?? []).some(({ ended }) => {
    return ended?.kind === 'returned'
  })
  const isDone = (history.turns.get(key ?? '') ?? []).some(({ verdict }) => {
    return verdict?.state === 'completed'
  })
  const isOver = state === 'completed' || (state === 'completionLost' && isDone)
  if (hasReturned && isOver) return []
  const rule = 'what was answered 2xx ends as finished or as a dead letter'
  const what = `${event} is ${state}, and ${hasReturned ? 'a' : 'no'} run returned`
  return [{ rule, what, lines: linesAbout(history, key) }]
}

/** New workers on the old database: what had finished runs no more, and the same letters are dead. */
function rememberedAfterRestart(history: InboxHistory, ending: InboxEnding): InboxViolation[] {
  const rule = 'a restart forgets nothing'
  const restart = history.phases.get('restart')
  if (restart === undefined) return []
  return ending.calmFates
    .filter(({ state }) => state === 'completed')
    .flatMap(({ key }) => history.runs.get(key ?? '') ?? [])
    .filter(({ started }) => started.seq > restart.seq)
    .map((run) => ({ rule, what: 'a handler ran after the restart', lines: linesOf(run) }))
}

function linesOfPut({ asked, answered }: Put): StampedLine[] {
  return answered === undefined ? [asked] : [asked, answered]
}

/** What the journal has about a key. */
function linesAbout(history: InboxHistory, key = ''): StampedLine[] {
  const lines = [
    ...(history.puts.get(key) ?? []).flatMap(linesOfPut),
    ...(history.turns.get(key) ?? []).flatMap(({ handed, verdict }) => [handed, verdict]),
    ...(history.runs.get(key) ?? []).flatMap(linesOf),
    ...(history.calls.get(key) ?? []).flatMap(({ asked, answered }) => [asked, answered]),
  ]
  return lines
    .filter((line) => line !== undefined)
    .sort((one, other) => one.seq - other.seq)
    .slice(-40)
}
