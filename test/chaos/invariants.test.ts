import { describe, expect, it } from 'vitest'
import { leaseMs } from '../../chaos/endpoint.ts'
import { historyOf } from '../../chaos/history.ts'
import { type Ending, violationsAtEnd } from '../../chaos/invariants.ts'
import type {
  AnsweredLine,
  AskedLine,
  Line,
  StampedLine,
  StoreAnswer,
} from '../../chaos/journal.ts'

const key = 'k'
const nothing: Ending = { receipts: [], stuck: [], afterRestart: [], accidents: [] }

describe('the invariants', () => {
  it('hold in a run in which an owner was taken over and came back', () => {
    const story = new Story()
    story.claim('a', { fence: 1 })
    story.started('a', 1)
    story.claim('b', { result: 'in_flight', leftMs: 300 })
    story.answering('b', 503, 'in_flight')
    story.pass(leaseMs + 50)
    story.claim('c', { fence: 2 })
    story.started('c', 2)
    story.ended('a', 'returned')
    story.call('complete', 'a', 'no', 1)
    story.answering('a', 200, 'handled')
    story.ended('c', 'returned')
    story.call('complete', 'c', 'yes', 2)
    story.answering('c', 200, 'handled')
    story.claim('d', { result: 'completed' })
    story.answering('d', 200, 'duplicate')

    expect(story.broken()).toEqual([])
  })

  it('hold where a failed handler gave its event back at once', () => {
    const story = new Story()
    story.claim('a', { fence: 1 })
    story.started('a', 1)
    story.ended('a', 'threw')
    story.call('release', 'a', 'yes', 1)
    story.answering('a', 500, 'failed')
    story.claim('b', { fence: 2 })

    expect(story.broken()).toEqual([])
  })

  it('hold where the reply to a release was lost', () => {
    const story = new Story()
    story.claim('a', { fence: 1 })
    story.call('release', 'a', 'failed', 1)
    story.claim('b', { fence: 2 })

    expect(story.broken()).toEqual([])
  })

  it('hold where a claim was won just before its answer was held up for longer than the lease', () => {
    const story = new Story()
    story.claim('a', { fence: 1 })
    story.asked('claim', 'b')
    story.pass(2 * leaseMs)
    story.answered('b', 'claimed', { fence: 2 })

    expect(story.broken()).toEqual([])
  })

  it('are broken by a 2xx before the handler has returned', () => {
    const story = new Story()
    story.claim('a', { fence: 1 })
    story.started('a', 1)
    story.answering('a', 200, 'handled')
    story.ended('a', 'returned')

    expect(story.broken()).toEqual(['a 2xx means that a run had returned'])
  })

  it('are broken by a duplicate of an event that nobody has finished', () => {
    const story = new Story()
    story.claim('a', { result: 'completed' })
    story.answering('a', 200, 'duplicate')

    expect(story.broken()).toEqual([
      'a 2xx means that a run had returned',
      'a finished event is finished once, and runs no more',
    ])
  })

  it('are broken by an answer that nobody gave', () => {
    const receipt = { delivery: 'x', event: 'e', status: 200, outcome: 'handled' }

    expect(new Story().broken({ receipts: [receipt] })).toEqual([
      'a 2xx means that a run had returned',
    ])
  })

  it.each(['claim', 'extend'] as const)('are broken by a claim within the lease of: %s', (op) => {
    const story = new Story()
    story.claim('a', { fence: 1 })
    if (op === 'extend') {
      story.pass(leaseMs - 50)
      story.call('extend', 'a', 'yes', 1)
    }
    story.pass(leaseMs - 50)
    story.claim('b', { fence: 2 })

    expect(story.broken()).toEqual(['a lease keeps others out until it has run out'])
  })

  it('are broken by two runs with one fence', () => {
    const story = new Story()
    story.claim('a', { fence: 1 })
    story.started('a', 1)
    story.started('a', 1)

    expect(story.broken()).toEqual(['a lease keeps others out until it has run out'])
  })

  it.each([
    ['goes back', 2, 1],
    ['stands still', 1, 1],
  ])('are broken by a fence that %s', (_, first, second) => {
    const story = new Story()
    story.claim('a', { fence: first })
    story.pass(2 * leaseMs)
    story.claim('b', { fence: second })

    expect(story.broken()).toEqual(['fences strictly increase'])
  })

  it.each(['extend', 'release'] as const)(
    'are broken by a stale owner whose call counts: %s',
    (op) => {
      const story = new Story()
      story.claim('a', { fence: 1 })
      story.pass(2 * leaseMs)
      story.claim('b', { fence: 2 })
      story.call(op, 'a', 'yes', 1)

      expect(story.broken()).toContain('a stale owner changes nothing')
    },
  )

  it('are broken by an extension after the release', () => {
    const story = new Story()
    story.claim('a', { fence: 1 })
    story.call('release', 'a', 'yes', 1)
    story.call('extend', 'a', 'yes', 1)

    expect(story.broken()).toEqual(['a stale owner changes nothing'])
  })

  it('are broken by a completion that counts twice', () => {
    const story = new Story()
    story.claim('a', { fence: 1 })
    story.pass(2 * leaseMs)
    story.claim('b', { fence: 2 })
    story.call('complete', 'b', 'yes', 2)
    story.call('complete', 'a', 'yes', 1)

    expect(story.broken()).toContain('a finished event is finished once, and runs no more')
  })

  it('are broken by a run after the completion', () => {
    const story = new Story()
    story.claim('a', { fence: 1 })
    story.call('complete', 'a', 'yes', 1)
    story.pass(2 * leaseMs)
    story.claim('b', { fence: 2 })
    story.started('b', 2)

    expect(story.broken()).toEqual(['a finished event is finished once, and runs no more'])
  })

  it('are broken by a handler that runs while the store is down', () => {
    const story = new Story()
    story.claim('a', { result: 'failed' })
    story.started('a', 1)

    expect(story.broken()).toEqual(['without a claim there is no run, and the answer is 503'])
  })

  it('are broken by another answer than 503 while the store is down', () => {
    const story = new Story()
    story.claim('a', { result: 'failed' })
    story.answering('a', 500, 'failed')

    expect(story.broken()).toEqual(['without a claim there is no run, and the answer is 503'])
  })

  it.each([
    ['after the deadline has answered', 'answered first'],
    ['before the answer', 'answered last'],
  ])('hold if a lost claim cannot be claimed again %s', (_, order) => {
    const story = new Story()
    story.claim('a', { fence: 1 })
    story.started('a', 1)
    story.ended('a', 'returned')
    story.call('complete', 'a', 'no', 1)
    if (order === 'answered first') story.answering('a', 200, 'handled')
    story.claim('a', { result: 'failed' })
    if (order === 'answered last') story.answering('a', 200, 'handled')

    expect(story.broken()).toEqual([])
  })

  it('are broken by a run whose only claim came after it', () => {
    const story = new Story()
    story.started('a', 1)
    story.ended('a', 'returned')
    story.claim('a', { fence: 1 })
    story.answering('a', 200, 'handled')

    expect(story.broken()).toEqual(['without a claim there is no run, and the answer is 503'])
  })

  it('are broken by a run after a claim that failed, even if an earlier one was won', () => {
    const story = new Story()
    story.claim('a', { fence: 1 })
    story.claim('a', { result: 'failed' })
    story.started('a', 1)
    story.ended('a', 'returned')
    story.answering('a', 200, 'handled')

    expect(story.broken()).toEqual(['without a claim there is no run, and the answer is 503'])
  })

  it.each([
    ['after the lease of a worker that was killed', 'claimed', 2 * leaseMs],
    ['long after a claim that may have failed', 'failed', 60_000],
  ] as const)('are broken by a key that is held %s', (_, result, afterMs) => {
    const story = new Story()
    story.claim('a', result === 'claimed' ? { fence: 1 } : { result })
    story.add({ kind: 'ended', worker: 'w' })
    story.pass(afterMs)
    story.claim('b', { result: 'in_flight', leftMs: 100 })

    expect(story.broken()).toEqual(['a key is free again when its lease has run out'])
  })

  it('are broken by a lease that was given back and is still said to hold', () => {
    const story = new Story()
    story.claim('a', { fence: 1 })
    story.call('release', 'a', 'yes', 1)
    story.claim('b', { result: 'in_flight', leftMs: 100 })

    expect(story.broken()).toEqual(['a key is free again when its lease has run out'])
  })

  it.each([0, -1, 60_000])(
    'are broken by a lease that is said to hold for %d ms more',
    (leftMs) => {
      const story = new Story()
      story.claim('a', { fence: 1 })
      story.claim('b', { result: 'in_flight', leftMs })

      expect(story.broken()).toEqual(['a key is free again when its lease has run out'])
    },
  )

  it('are broken by an event that is never answered 200', () => {
    const stuck = [{ delivery: 'a', event: 'e', status: 503, outcome: 'unavailable' }]

    expect(new Story().broken({ stuck })).toEqual(['every event is answered 200 in the end'])
  })

  it('are broken by an event that runs again after a restart', () => {
    const story = new Story()
    story.add({ kind: 'phase', phase: 'restart' })
    story.claim('a', { fence: 1 })
    story.started('a', 1)
    const afterRestart = [{ delivery: 'a', event: 'e', status: 200, outcome: 'handled' }]

    expect(story.broken({ afterRestart })).toEqual(['a restart forgets nothing'])
  })

  it('are broken by a worker that ends by itself', () => {
    expect(new Story().broken({ accidents: ['w0.1 ended by itself'] })).toEqual([
      'workers end when they are told to',
    ])
  })
})

/** A journal about one key, written line by line: each owner is a delivery, and a call takes 1 ms. */
class Story {
  readonly #lines: StampedLine[] = []
  #at = 1_000_000

  pass(ms: number): void {
    this.#at += ms
  }

  add(line: Line): void {
    this.#at++
    this.#lines.push({ ...line, seq: this.#lines.length + 1, at: this.#at })
  }

  claim(owner: string, answer: Partial<AnsweredLine>): void {
    this.asked('claim', owner)
    this.answered(owner, 'claimed', answer)
  }

  call(op: AskedLine['op'], owner: string, result: StoreAnswer, fence: number): void {
    this.asked(op, owner, fence)
    this.answered(owner, result, {})
  }

  asked(op: AskedLine['op'], owner: string, fence?: number): void {
    const call = this.#callOf(owner, 1)
    const lease = op === 'claim' || op === 'extend' ? { leaseMs } : {}
    const fenced = fence === undefined ? {} : { fence }
    this.add({
      kind: 'asked',
      call,
      worker: 'w',
      op,
      key,
      owner,
      delivery: owner,
      ...lease,
      ...fenced,
    })
  }

  answered(owner: string, result: StoreAnswer, answer: Partial<AnsweredLine>): void {
    this.add({ kind: 'answered', call: this.#callOf(owner, 0), result, ...answer })
  }

  started(owner: string, fence: number): void {
    const run = `run of ${owner}`
    const about = {
      run,
      worker: 'w',
      key,
      fence,
      delivery: owner,
      event: 'e',
      attempt: 1,
      act: 'finish',
    }
    this.add({ kind: 'started', ...about })
  }

  ended(owner: string, kind: 'returned' | 'threw'): void {
    this.add({ kind, run: `run of ${owner}` })
  }

  answering(owner: string, status: number, outcome: string): void {
    this.add({ kind: 'answering', worker: 'w', delivery: owner, status, outcome, key })
  }

  /** The rules that the journal breaks, each once. */
  broken(ending: Partial<Ending> = {}): string[] {
    const violations = violationsAtEnd(historyOf(this.#lines), { ...nothing, ...ending })
    return [...new Set(violations.map(({ rule }) => rule))].sort()
  }

  /** The owner's calls are numbered: `more` is 1 for the next, 0 for the last. */
  #callOf(owner: string, more: 0 | 1): string {
    const made = this.#lines.filter((line) => line.kind === 'asked' && line.owner === owner).length
    return `${owner}#${made + more}`
  }
}
