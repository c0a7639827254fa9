import type { JournalEntry } from '../shared/call-log.ts'

/** What a delivery is answered with: on the wire, or as it was promised. */
export interface Answer {
  /** 0 if there was no answer. */
  readonly status: number
  readonly outcome: string
  readonly code?: string | undefined
}

/**
 * Holds the answers to deliveries that were sent at the same moment to what was promised for them,
 * in any order. Gives for each answer the promise that it breaks, or `undefined`.
 */
export function brokenPromises(
  answers: readonly Answer[],
  promised: readonly Answer[],
): (Answer | undefined)[] {
  const open = [...promised]
  const kept = answers.map((answer) => {
    const index = open.findIndex((promise) => isKept(promise, answer))
    if (index !== -1) open.splice(index, 1)
    return index !== -1
  })
  return kept.map((isFine) => (isFine ? undefined : (open.shift() ?? nothingPromised)))
}

const nothingPromised: Answer = { status: 0, outcome: 'no delivery' }

function isKept(promise: Answer, answer: Answer): boolean {
  return (
    promise.status === answer.status &&
    promise.outcome === answer.outcome &&
    promise.code === answer.code
  )
}

/** How often each event was to take effect, by its id, with its name for people. */
export type PromisedEffects = ReadonlyMap<string, { readonly name: string; readonly times: number }>

/** Compares what is in the journal with what was promised, event by event. Gives sentences. */
export function wrongEffects(
  promised: PromisedEffects,
  journal: readonly JournalEntry[],
): string[] {
  const found = timesInJournal(journal)
  const wrong = [...promised].flatMap(([eventId, { name, times }]) => {
    const foundTimes = found.get(eventId) ?? 0
    if (foundTimes === times) return []
    return [`${name} (${eventId}): promised ${times} in the journal, found ${foundTimes}`]
  })
  const unknown = journal.filter(({ eventId }) => !promised.has(eventId))
  return [
    ...wrong,
    ...unknown.map(
      ({ type, eventId }) => `${type} (${eventId}): in the journal, and nobody sent it`,
    ),
  ]
}

/** How often each event is in the journal, by its id. */
export function timesInJournal(journal: readonly JournalEntry[]): ReadonlyMap<string, number> {
  const times = new Map<string, number>()
  for (const { eventId } of journal) times.set(eventId, (times.get(eventId) ?? 0) + 1)
  return times
}
