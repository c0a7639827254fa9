import type { StampedLine } from '../journal.ts'
import type { InboxHistory, Turn } from './history.ts'
import type { InboxViolation } from './invariants.ts'
import { endpoints } from './settings.ts'

/** An event of a call: when it was certainly in the inbox, and before when it certainly was not. */
interface Member {
  readonly key: string
  readonly notBefore: StampedLine
  readonly surelyAt: number
}

/**
 * Where one event of a call was in the inbox before the next was put, no worker is handed the
 * next until it was decided that the one is done or dead: that is in the journal before the inbox
 * is told. Where an event may let others overtake it soon, nothing is claimed.
 */
export function begunInOrder(history: InboxHistory): InboxViolation[] {
  return [...callsOf(history).values()].flatMap((members) =>
    members.flatMap((second) =>
      members.flatMap((first) => {
        if (first.surelyAt > second.notBefore.seq) return []
        return beganTooSoon(history, first, second).slice(0, 1)
      }),
    ),
  )
}

/** Events that were handed over before those of their call that were accepted earlier were over. */
export function overtakingsIn(history: InboxHistory): number {
  let overtakings = 0
  for (const members of callsOf(history, endpoints['/hasty'].maxHoldMs).values()) {
    for (const second of members) {
      for (const first of members) {
        if (first.surelyAt > second.notBefore.seq) continue
        overtakings += Math.min(1, beganTooSoon(history, first, second).length)
      }
    }
  }
  return overtakings
}

function beganTooSoon(history: InboxHistory, first: Member, second: Member): InboxViolation[] {
  const ofFirst = history.turns.get(first.key) ?? []
  const overSeq = Math.min(...ofFirst.map(endOf))
  return (history.turns.get(second.key) ?? [])
    .filter(({ handed }) => handed.seq < overSeq)
    .map((turn) => ({
      rule: 'the events of a call begin one after another',
      what: 'an event was handed over before the one that was accepted before it was over',
      lines: [...ofFirst.flatMap(linesOf), second.notBefore, ...linesOf(turn)].sort(
        (one, other) => one.seq - other.seq,
      ),
    }))
}

/** When it was decided that the event is tried no more. */
function endOf({ verdict }: Turn): number {
  const isOver = verdict?.state === 'completed' || verdict?.state === 'dead'
  return isOver ? verdict.seq : Number.POSITIVE_INFINITY
}

/** The events of each call that was put under this limit. */
function callsOf(
  { puts }: InboxHistory,
  maxHoldMs: number = endpoints['/hooks'].maxHoldMs,
): ReadonlyMap<string, Member[]> {
  const calls = new Map<string, Member[]>()
  for (const [key, ofKey] of puts) {
    const order = ofKey.find(({ asked }) => asked.maxHoldMs === maxHoldMs)?.asked.order
    if (order === undefined) continue
    const sure = ofKey.flatMap(({ answered }) => {
      return answered === undefined || answered.result === 'failed' ? [] : [answered.seq]
    })
    const notBefore = ofKey
      .map(({ asked }) => asked)
      .reduce((one, other) => {
        return one.seq < other.seq ? one : other
      })
    const member = { key, notBefore, surelyAt: Math.min(...sure, Number.POSITIVE_INFINITY) }
    calls.set(order, [...(calls.get(order) ?? []), member])
  }
  return calls
}

function linesOf({ handed, verdict }: Turn): StampedLine[] {
  return verdict === undefined ? [handed] : [handed, verdict]
}
