import type { Call, History, Run } from './history.ts'
import type { AnsweringLine, Stamp, StampedLine } from './journal.ts'
import { finishedOnce, freeAgain, grantedOnce, orderedFences, unfenced } from './key-invariants.ts'
import type { Receipt } from './sender.ts'

/** Something that must not be, and the lines of the journal that show it. */
export interface Finding {
  readonly rule: string
  readonly what: string
  readonly lines: readonly StampedLine[]
}

/** A rule that was broken. */
export interface Violation extends Finding {
  readonly rule: Rule
}

/** The invariants, as they are printed. */
export type Rule =
  | 'a 2xx means that a run had returned'
  | 'a lease keeps others out until it has run out'
  | 'fences strictly increase'
  | 'a stale owner changes nothing'
  | 'a finished event is finished once, and runs no more'
  | 'without a claim there is no run, and the answer is 503'
  | 'a key is free again when its lease has run out'
  | 'every event is answered 200 in the end'
  | 'a restart forgets nothing'
  | 'workers end when they are told to'

/** What the provider saw, beside the journal. */
export interface Ending {
  readonly receipts: readonly Receipt[]
  /** The last receipts of events that were not answered as finished, although the faults had ended. */
  readonly stuck: readonly Receipt[]
  /** The last receipts of the events that were sent again after the restart. */
  readonly afterRestart: readonly Receipt[]
  readonly accidents: readonly string[]
}

/** Holds a journal to every invariant that can be judged while the run goes on. */
export function violationsOf(history: History): Violation[] {
  return [...answeredAfterRun(history), ...claimedBeforeRun(history), ...violationsOfKeys(history)]
}

/** What a store promises of each key, whoever uses it. */
export function violationsOfKeys(history: History): Violation[] {
  return [...history.calls].flatMap(([key, calls]) => {
    const runs = history.runs.get(key) ?? []
    return [
      grantedOnce(calls, runs),
      orderedFences(calls),
      unfenced(calls),
      finishedOnce(calls, runs),
      freeAgain(calls),
      // One mistake may show in thousands of pairs.
    ].flatMap((violations) => violations.slice(0, 2))
  })
}

/** Holds the whole run to what can be judged once it is over. */
export function violationsAtEnd(history: History, ending: Ending): Violation[] {
  return [
    ...violationsOf(history),
    ...seenAsAnswered(history, ending.receipts),
    ...ending.stuck.map(({ event, status, outcome }) => ({
      rule: 'every event is answered 200 in the end' as const,
      what: `${event} was still answered ${status} ${outcome} long after the faults had ended`,
      lines: linesAbout(history, event),
    })),
    ...rememberedAfterRestart(history, ending.afterRestart),
    ...endedWhenTold(ending.accidents),
  ]
}

/** No worker ended by itself, and none had to be killed at the end. */
export function endedWhenTold(accidents: readonly string[]): Violation[] {
  return accidents.map((what) => ({ rule: 'workers end when they are told to', what, lines: [] }))
}

/**
 * An inline 2xx: some run for that key had returned before the answer began. `returned` is written
 * before the handler's promise settles, `answering` before the first byte: the order of their
 * numbers is exact. And the answer's word is held to its own delivery: `handled` means that its own
 * run returned, `duplicate` that the store told it so.
 */
function answeredAfterRun({ answers, runs, calls }: History): Violation[] {
  const rule = 'a 2xx means that a run had returned'
  return answers.flatMap((answer): Violation[] => {
    if (answer.bodyChanged === true) {
      return [{ rule, what: 'the store remembers other bytes than were sent', lines: [answer] }]
    }
    if (answer.status < 200 || answer.status > 299) return []
    const before = (line: Stamp | undefined) => line !== undefined && line.seq < answer.seq
    const ofKey = runs.get(answer.key ?? '') ?? []
    const returned = ofKey.filter(({ ended }) => ended?.kind === 'returned' && before(ended))
    const isOwn = returned.some(({ started }) => started.delivery === answer.delivery)
    const wasTold = (calls.get(answer.key ?? '') ?? []).some(
      ({ asked, answered, result }) =>
        asked.delivery === answer.delivery && result === 'completed' && before(answered),
    )
    const isTrue = answer.outcome === 'handled' ? isOwn : wasTold && returned.length > 0
    if (isTrue) return []
    const what = `a delivery was answered ${answer.status} ${answer.outcome}`
    return [{ rule, what, lines: [...ofKey.flatMap(linesOf), answer] }]
  })
}

/**
 * The store down at claim: no handler call, 503. Every run has a claim that its own delivery won
 * before. A delivery whose last claim failed is answered 503 if it is answered at all. Only claims
 * made before its run and its answer count: a run whose completion was lost claims its key again,
 * perhaps after the deadline has answered, and that claim may fail without changing the answer.
 */
function claimedBeforeRun({ runs, calls, answers }: History): Violation[] {
  const rule = 'without a claim there is no run, and the answer is 503'
  const claims = claimsByDelivery(calls)
  const allRuns = [...runs.values()].flat()
  const unclaimed = allRuns.filter(
    ({ started }) =>
      !(claims.get(started.delivery) ?? []).some(
        ({ fence, asked, result, overSeq }) =>
          result === 'claimed' &&
          asked.key === started.key &&
          fence === started.fence &&
          overSeq < started.seq,
      ),
  )
  const startedAt = new Map(allRuns.map(({ started }) => [started.delivery, started.seq]))
  const wronglyAnswered = answers.flatMap((answer): Violation[] => {
    const { delivery, status, seq } = answer
    const before = Math.min(seq, startedAt.get(delivery) ?? seq)
    const claimsBefore = (claims.get(delivery) ?? []).filter(({ asked }) => asked.seq < before)
    if (status === 503 || claimsBefore.at(-1)?.result !== 'failed') return []
    const what = `the store was down, and the answer ${status}`
    return [{ rule, what, lines: [...claimsBefore.flatMap(linesOfCall), answer] }]
  })
  return [
    ...unclaimed.map(
      (run) => ({ rule, what: 'a handler ran unclaimed', lines: linesOf(run) }) as const,
    ),
    ...wronglyAnswered,
  ]
}

function claimsByDelivery(calls: History['calls']): ReadonlyMap<string | undefined, Call[]> {
  const claims = new Map<string | undefined, Call[]>()
  for (const call of [...calls.values()].flat()) {
    if (call.asked.op !== 'claim') continue
    const { delivery } = call.asked
    claims.set(delivery, [...(claims.get(delivery) ?? []), call])
  }
  return claims
}

/** What the provider saw is what the journal says was answered. */
export function seenAsAnswered({ answers }: History, receipts: readonly Receipt[]): Violation[] {
  const byDelivery = new Map(answers.map((answer) => [answer.delivery, answer]))
  return receipts
    .filter(({ delivery, status }) => status !== 0 && byDelivery.get(delivery)?.status !== status)
    .map(({ delivery, status }) => {
      const answer: (AnsweringLine & Stamp) | undefined = byDelivery.get(delivery)
      return {
        rule: 'a 2xx means that a run had returned',
        what: `the provider saw ${status} for ${delivery}, which nobody answered`,
        lines: answer === undefined ? [] : [answer],
      }
    })
}

/** New workers on the old database: every event is a duplicate, and no handler runs. */
function rememberedAfterRestart(history: History, receipts: readonly Receipt[]): Violation[] {
  const rule = 'a restart forgets nothing'
  const restart = history.phases.get('restart')
  if (restart === undefined) return []
  const ran = [...history.runs.values()].flat().filter(({ started }) => started.seq > restart.seq)
  return [
    ...ran.map(
      (run) => ({ rule, what: 'a handler ran after the restart', lines: linesOf(run) }) as const,
    ),
    ...receipts
      .filter(({ outcome }) => outcome !== 'duplicate')
      .map(({ event, status, outcome }) => {
        const what = `${event} was answered ${status} ${outcome} after the restart`
        return { rule, what, lines: linesAbout(history, event) } as const
      }),
  ]
}

export function linesOf({ started, ended }: Run): StampedLine[] {
  return ended === undefined ? [started] : [started, ended]
}

function linesOfCall({ asked, answered }: Call): StampedLine[] {
  return answered === undefined ? [asked] : [asked, answered]
}

/** What the journal has about an event, whose key only its runs tell. */
function linesAbout({ runs, calls }: History, event: string): StampedLine[] {
  for (const [key, ofKey] of runs) {
    if (ofKey[0]?.started.event !== event) continue
    const lines = [...ofKey.flatMap(linesOf), ...(calls.get(key) ?? []).flatMap(linesOfCall)]
    return lines.sort((one, other) => one.seq - other.seq).slice(-30)
  }
  return []
}
