import { describe, expect, it } from 'vitest'
import { leaseMs } from '../../chaos/endpoint.ts'
import { inboxHistoryOf } from '../../chaos/inboxes/history.ts'
import {
  type Fate,
  type InboxEnding,
  inboxViolationsAtEnd,
} from '../../chaos/inboxes/invariants.ts'
import { spoiledIn } from '../../chaos/inboxes/judge.ts'
import { endpoints, retry } from '../../chaos/inboxes/settings.ts'
import type { Line, PutLine, StampedLine, VerdictLine } from '../../chaos/journal.ts'

const nothing: InboxEnding = {
  receipts: [],
  accidents: [],
  whileDown: [],
  stuck: [],
  undrained: [],
  calmFates: [],
  lastFates: [],
  spoiled: [],
}
const ends = 'what was answered 2xx ends as finished or as a dead letter'
const attempts = 'an event has its attempts, no more and no fewer'
const inOrder = 'the events of a call begin one after another'
const keptOnce = 'of many copies an inbox keeps one'

describe('the invariants of an inbox', () => {
  it('hold where a worker died and another finished the event', () => {
    const story = new Story()
    story.put('a')
    story.crash('a', 1)
    story.turn('a', 2, 'completed')
    story.put('a', 'duplicate')

    expect(story.broken({ calmFates: [fate('a', 'completed')] })).toEqual([])
  })

  it('hold where a copy of a finished event is accepted again', () => {
    const story = new Story()
    story.put('a')
    story.turn('a', 1, 'completed')
    story.put('a')
    story.handed('a', 1)
    story.verdict('completed')

    expect(story.broken({ lastFates: [fate('a', 'completed')] })).toEqual([])
  })

  it('hold where a run returned and could not be marked', () => {
    const story = new Story()
    story.put('a')
    story.turn('a', 1, 'completed')

    expect(story.broken({ calmFates: [fate('a', 'completionLost')] })).toEqual([])
  })

  it('hold where a dead letter has its attempts anew when it is replayed', () => {
    const story = new Story()
    story.put('a')
    for (let number = 1; number < retry.maxAttempts; number++) story.turn('a', number, 'retry')
    story.turn('a', retry.maxAttempts, 'dead')
    story.add({ kind: 'replaying', key: 'a' })
    story.turn('a', 1, 'completed')

    expect(story.broken({ calmFates: [fate('a', 'dead')] })).toEqual([])
    expect(story.spoiled('completed')).toEqual([])
  })

  it('hold where the second of a call began after the first was done or dead', () => {
    const story = new Story()
    for (const key of ['a', 'b', 'c']) story.put(key, 'accepted', 'call')
    story.turn('a', 1, 'completed')
    story.turn('b', 1, 'dead', 'permanent')
    story.turn('c', 1, 'completed')

    expect(story.broken()).toEqual([])
  })

  it.each([
    ['accepted', 'failed'],
    ['accepted', 'duplicate'],
    ['duplicate', 'accepted'],
  ] as const)('are broken by the answer %s where the inbox said: %s', (outcome, result) => {
    const story = new Story()
    story.put('a', result, undefined, { status: 200, outcome })

    expect(story.broken()).toEqual(['a 2xx means that the inbox has the delivery'])
  })

  it('are broken by another answer than 503 while the inbox is down', () => {
    const story = new Story()
    story.put('a', 'failed', undefined, { status: 500, outcome: 'failed' })

    expect(story.broken()).toEqual(['an inbox that is down is answered 503'])
  })

  it.each([0, 200])('are broken by %d in the drill, while nobody gets through', (status) => {
    const whileDown = [{ delivery: 'd', event: 'e', status, outcome: '' }]

    expect(new Story().broken({ whileDown })).toEqual(['an inbox that is down is answered 503'])
  })

  it('are broken by an event that vanishes', () => {
    const story = new Story()
    story.put('a')

    expect(story.broken({ calmFates: [fate('a', 'completionLost')] })).toEqual([ends])
  })

  it('are broken by a failed attempt that is forgotten', () => {
    const story = new Story()
    story.put('a')
    story.turn('a', 1, 'retry')

    expect(story.broken({ calmFates: [fate('a', 'completionLost')] })).toEqual([ends])
  })

  it('are broken by an event that finished without a run', () => {
    const story = new Story()
    story.put('a')
    story.handed('a', 1)
    story.verdict('completed')

    expect(story.broken({ calmFates: [fate('a', 'completed')] })).toEqual([ends])
  })

  it('are broken by a dead letter that has finished', () => {
    const story = new Story()
    story.put('a')
    story.turn('a', 1, 'completed')

    expect(story.broken({ calmFates: [fate('a', 'dead and finished')] })).toEqual([ends])
  })

  it('are broken by an inbox that comes to a halt, or never accepts', () => {
    const stuck = [{ delivery: 'd', event: 'e', status: 503, outcome: 'unavailable' }]

    expect(new Story().broken({ undrained: ['1 waits'] })).toEqual([ends])
    expect(new Story().broken({ stuck })).toEqual([ends])
  })

  it('are broken by an attempt that does not count', () => {
    const story = new Story()
    story.put('a')
    story.turn('a', 1, 'retry')
    story.turn('a', 1, 'completed')

    expect(story.broken()).toEqual([attempts])
  })

  it('are broken by an attempt too many', () => {
    const story = new Story()
    story.put('a')
    story.turn('a', retry.maxAttempts + 1, 'completed')

    expect(story.broken()).toEqual([attempts])
  })

  it('are broken by a dead letter that had attempts left', () => {
    const story = new Story()
    story.put('a')
    story.turn('a', retry.maxAttempts - 1, 'dead')

    expect(story.broken()).toEqual([attempts])
  })

  it('are broken by two copies of one event', () => {
    const story = new Story()
    story.put('a')
    story.put('a')

    expect(story.broken()).toEqual([keptOnce])
  })

  it.each(['retry', 'postponed', 'cut short'] as const)(
    'are broken by an event that overtakes one of its call which is not over: %s',
    (state) => {
      const story = new Story()
      story.put('a', 'accepted', 'call')
      story.put('b', 'accepted', 'call')
      story.handed('a', 1)
      if (state !== 'cut short') story.verdict(state)
      story.handed('b', 1)
      story.verdict('postponed')

      expect(story.broken()).toEqual([inOrder])
    },
  )

  it('are broken by a handler without a claim', () => {
    const story = new Story()
    story.put('a')
    story.add({ kind: 'started', ...runOf('a', 1, 1) })

    expect(story.broken()).toEqual(['a handler runs under a claim'])
  })

  it('are broken by a finished event that runs after a restart', () => {
    const story = new Story()
    story.put('a')
    story.turn('a', 1, 'completed')
    story.add({ kind: 'phase', phase: 'restart' })
    story.turn('a', 1, 'completed')

    expect(story.broken({ calmFates: [fate('a', 'completed')] })).toContain(
      'a restart forgets nothing',
    )
  })

  it('are broken by a dead letter that is lost, or does not finish when it is replayed', () => {
    const story = new Story()
    story.put('a')
    story.turn('a', retry.maxAttempts, 'dead')

    expect(story.spoiled('dead')).toEqual([])
    expect(story.spoiled('completionLost')).toEqual([
      'event a was a dead letter, and is completionLost',
    ])
    story.add({ kind: 'replaying', key: 'a' })
    expect(story.spoiled('completed')).toEqual(['event a was replayed, and is completed'])
    expect(story.broken({ spoiled: [{ key: 'a', what: 'it is lost' }] })).toEqual([
      'a dead letter stays, and can be replayed',
    ])
  })

  it('are broken by a worker that does not end', () => {
    expect(new Story().broken({ accidents: ['w0.1 did not end'] })).toEqual([
      'workers end when they are told to',
    ])
  })
})

function fate(key: string, state: Fate['state']) {
  return { event: `event ${key}`, key, state }
}

function runOf(key: string, attempt: number, fence: number, act = 'finish') {
  const about = { run: `run ${fence} of ${key}`, worker: 'w', key, fence, attempt, act }
  return { ...about, delivery: 'd', event: `event ${key}` }
}

/** A journal of an inbox, written line by line. */
class Story {
  readonly #lines: StampedLine[] = []
  #turns = 0
  #fence = 0
  #passedMs = 1_000_000

  add(line: Line): void {
    const seq = this.#lines.length + 1
    this.#lines.push({ ...line, seq, at: this.#passedMs + seq })
  }

  /** An event is put, and answered. */
  put(
    key: string,
    result: PutLine['result'] = 'accepted',
    order?: string,
    answer: { readonly status: number; readonly outcome: string } = {
      status: 200,
      outcome: result,
    },
  ): void {
    const put = `put ${this.#lines.length}`
    const delivery = `delivery ${this.#lines.length}`
    const { maxHoldMs } = endpoints['/hooks']
    const ordered = order === undefined ? {} : { order, maxHoldMs }
    const about = { put, worker: 'w', key, event: `event ${key}`, delivery }
    this.add({ kind: 'putting', ...about, ...ordered })
    this.add({ kind: 'put', put, result })
    this.add({ kind: 'answering', worker: 'w', delivery, key, ...answer })
  }

  handed(key: string, number: number): void {
    this.add({ kind: 'handed', turn: `turn ${++this.#turns}`, worker: 'w', key, number })
  }

  /** What is decided at the end of the last turn. */
  verdict(state: VerdictLine['state'], code?: string): void {
    this.add({ kind: 'verdict', turn: `turn ${this.#turns}`, state, ...(code && { code }) })
  }

  /** A turn whose worker died in the middle of its run, until the lease was over. */
  crash(key: string, number: number): void {
    this.handed(key, number)
    this.#run(runOf(key, number, ++this.#fence), 'cut short')
    this.#passedMs += 2 * leaseMs
  }

  /** A whole turn, with its run. */
  turn(key: string, number: number, state: 'completed' | 'retry' | 'dead', act = 'finish'): void {
    this.handed(key, number)
    this.#run(runOf(key, number, ++this.#fence, act), state === 'completed' ? 'returned' : 'threw')
    this.verdict(state, act === 'permanent' ? 'RINGHOOK_PERMANENT_FAILURE' : undefined)
  }

  /** The rules that the journal breaks, each once. */
  broken(ending: Partial<InboxEnding> = {}): string[] {
    const found = inboxViolationsAtEnd(inboxHistoryOf(this.#lines), { ...nothing, ...ending })
    return [...new Set(found.map(({ rule }) => rule))].sort()
  }

  /** What is wrong with `a`, which was a dead letter, if this is what has become of it. */
  spoiled(state: Fate['state']): string[] {
    const history = inboxHistoryOf(this.#lines)
    return spoiledIn(history, [fate('a', 'dead')], [fate('a', state)]).map(({ what }) => what)
  }

  #run(about: ReturnType<typeof runOf>, end: 'returned' | 'threw' | 'cut short'): void {
    const { run, worker, key, fence } = about
    const owner = run
    this.add({ kind: 'asked', call: run, worker, op: 'claim', key, owner, leaseMs })
    this.add({ kind: 'answered', call: run, result: 'claimed', fence })
    this.add({ kind: 'started', ...about })
    if (end === 'cut short') return
    this.add({ kind: end, run })
    this.add({ kind: 'asked', call: `${run} end`, worker, op: 'release', key, owner, fence })
    this.add({ kind: 'answered', call: `${run} end`, result: 'yes' })
  }
}
