import {
  type HeldClaim,
  type IdempotencyStore,
  memoryStore,
  PermanentFailure,
  RinghookError,
} from 'ringhook'
import { describe, expect, it } from 'vitest'
import { type ManualClock, manualClock } from '../../src/testing/manual-clock.ts'
import { endpoint, event, seen, start } from '../helpers/endpoint.ts'

const unavailable = '503 unavailable RINGHOOK_STORE_UNAVAILABLE retry-after 30'
const inFlight = '503 in_flight RINGHOOK_IN_FLIGHT retry-after'
const down = () => Promise.reject(new Error('ECONNREFUSED 555-0100'))
const never = () => new Promise<never>(() => {})

type Operations = Partial<IdempotencyStore>

/** A memory store with some of its operations replaced. */
function broken(clock: ManualClock, operations: (memory: IdempotencyStore) => Operations) {
  const memory = memoryStore({ clock })
  return {
    claim: memory.claim.bind(memory),
    extend: memory.extend.bind(memory),
    complete: memory.complete.bind(memory),
    release: memory.release.bind(memory),
    forget: memory.forget.bind(memory),
    status: memory.status.bind(memory),
    ...operations(memory),
  }
}

/** Fails the first `times` calls, and only answers wrongly if the call was made all the same. */
function failing<Values extends unknown[], Result>(
  times: number,
  operation: (...values: Values) => Promise<Result> | Result,
  options: { readonly replyLost?: boolean } = {},
): (...values: Values) => Promise<Result> {
  let calls = 0
  return async (...values) => {
    calls++
    if (calls > times) return operation(...values)
    if (options.replyLost) await operation(...values)
    return down()
  }
}

describe('store, when it is down', () => {
  it('answers 503 and runs no handler if a synchronous claim blocks for longer than the lease', async () => {
    const clock = manualClock(start)
    let blockedMs = 0
    const blocked: ManualClock = { ...clock, now: () => clock.now() + blockedMs }
    const store = broken(clock, (memory) => ({
      claim(...claiming) {
        const claim = memory.claim(...claiming)
        blockedMs = 5_000
        return claim
      },
    }))
    const { deliver, runs } = endpoint({ clock: blocked, store, leaseMs: 5_000 })

    expect(seen(await deliver())).toBe(unavailable)
    expect(runs).toEqual([])
  })

  it('answers 503 and runs no handler', async () => {
    for (const claim of [
      down,
      () => {
        throw new Error('not a promise')
      },
    ]) {
      const clock = manualClock(start)
      const { deliver, runs, lines } = endpoint({ clock, store: broken(clock, () => ({ claim })) })
      expect(seen(await deliver())).toBe(unavailable)
      expect(runs).toEqual([])
      expect(lines).toEqual([expect.stringMatching(/^error .*RINGHOOK_STORE_UNAVAILABLE/)])
      expect(lines.join()).not.toContain('555')
    }
  })

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['a state that does not exist', { state: 'pending' }],
    ['true', true],
  ])('answers 503 when it gives %s', async (_, claim) => {
    const clock = manualClock(start)
    const store = broken(clock, () => ({ claim: async () => claim as never }))
    const { deliver, runs, outcomes } = endpoint({ clock, store })
    expect(seen(await deliver())).toBe(unavailable)
    expect(runs).toEqual([])
    expect(outcomes).toHaveLength(1)
  })

  it('runs the handler without deduplication where the user chose that', async () => {
    const clock = manualClock(start)
    const store = broken(clock, () => ({ claim: down }))
    const { deliver, runs, outcomes } = endpoint({ clock, store, onStoreError: 'process' })
    expect(seen(await deliver())).toBe('200 handled')
    expect(seen(await deliver())).toBe('200 handled')
    expect(runs.map(({ context: { attempt, fence } }) => [attempt, fence])).toEqual([
      [1, 0],
      [1, 0],
    ])
    expect(outcomes).toMatchObject([{ deduplicated: false }, { deduplicated: false }])
  })

  it('reports the failures of handlers that run without deduplication', async () => {
    const clock = manualClock(start)
    const { deliver, runs } = endpoint({
      clock,
      store: broken(clock, () => ({ claim: down })),
      onStoreError: 'process',
      handle: () => {
        throw runs.length === 1 ? new Error('no') : new PermanentFailure('never')
      },
    })
    expect(seen(await deliver())).toBe('500 failed RINGHOOK_HANDLER_FAILED')
    expect(seen(await deliver())).toBe('200 failed RINGHOOK_PERMANENT_FAILURE')
  })

  it('never runs a handler beside itself, also without deduplication', async () => {
    const clock = manualClock(start)
    let isDown = true
    const store = broken(clock, (memory) => ({
      claim: (key, options) => (isDown ? down() : memory.claim(key, options)),
    }))
    const { deliver, runs } = endpoint({
      clock,
      store,
      onStoreError: 'process',
      handle: () => clock.sleep(5_000),
    })
    const first = deliver()
    await clock.advance(10)
    for (const left of [28, 26]) {
      const repeat = deliver()
      await clock.advance(2_000)
      expect(seen(await repeat)).toBe(`${inFlight} ${left}`)
      isDown = false
    }
    await clock.advance(5_000)
    expect(seen(await first)).toBe('200 handled')
    expect(runs).toHaveLength(1)
  })

  it('runs no second handler when it goes down after it said that the event runs', async () => {
    const clock = manualClock(start)
    const memory = memoryStore({ clock })
    await memory.claim('', { owner: 'other', leaseMs: 1, fingerprint: '' })
    let calls = 0
    const store = broken(clock, () => ({
      claim: async () => (calls++ === 0 ? { state: 'in_flight', retryAfterMs: 9_000 } : down()),
    }))
    const { deliver, runs, clock: time } = endpoint({ clock, store, onStoreError: 'process' })
    const reply = deliver()
    await time.advance(2_000)
    expect(seen(await reply)).toBe(unavailable)
    expect(runs).toEqual([])
  })
})

describe('store, when it does not answer', () => {
  it('is not waited for to the end where handlers may run without it, and a late claim is given back', async () => {
    const clock = manualClock(start)
    const released: string[] = []
    let reply: (claim: HeldClaim) => void = () => {}
    const store = broken(clock, () => ({
      claim: (key, { owner }) =>
        new Promise<HeldClaim>((resolve) => {
          reply = () => resolve({ state: 'claimed', key, owner, fence: 1, attempt: 1 })
        }),
      release: async ({ owner }) => released.push(owner) > 0,
    }))
    const { deliver, outcomes, runs } = endpoint({ clock, store, onStoreError: 'process' })
    const answer = deliver()
    await clock.advance(4_999)
    expect(runs).toHaveLength(0)
    await clock.advance(1)
    expect(seen(await answer)).toBe('200 handled')
    expect(outcomes[0]).toMatchObject({ deduplicated: false })
    reply({ state: 'claimed', key: '', owner: '', fence: 1, attempt: 1 })
    await clock.advance(0)
    expect([runs.length, released.length]).toEqual([1, 1])
  })
})

describe('store, when its reply is lost', () => {
  it('has its claim repeated: the only delivery does not lose to itself', async () => {
    const clock = manualClock(start)
    const store = broken(clock, (memory) => ({
      claim: failing(1, memory.claim.bind(memory), { replyLost: true }),
    }))
    const { deliver, runs } = endpoint({ clock, store })
    expect(seen(await deliver())).toBe('200 handled')
    expect(seen(await deliver())).toBe('200 duplicate')
    expect(runs.map(({ context: { attempt, fence } }) => [attempt, fence])).toEqual([[1, 1]])
  })

  it('has its mark repeated: the event is finished once', async () => {
    const clock = manualClock(start)
    const store = broken(clock, (memory) => ({
      complete: failing(1, memory.complete.bind(memory), { replyLost: true }),
    }))
    const { deliver, outcomes, runs } = endpoint({ clock, store })
    const reply = deliver()
    await clock.advance(1_000)
    expect(seen(await reply)).toBe('200 handled')
    expect(outcomes[0]).not.toHaveProperty('completionLost')
    expect(seen(await deliver())).toBe('200 duplicate')
    expect(runs).toHaveLength(1)
  })
})

describe("store, when it can't complete an event", () => {
  it('is asked again, and the delivery is handled when it works', async () => {
    const clock = manualClock(start)
    const store = broken(clock, (memory) => ({
      complete: failing(3, memory.complete.bind(memory)),
    }))
    const { deliver, outcomes, runs } = endpoint({ clock, store })
    const reply = deliver()
    await clock.advance(1_000)
    expect(seen(await reply)).toBe('200 handled')
    expect(outcomes[0]).not.toHaveProperty('completionLost')
    expect(seen(await deliver())).toBe('200 duplicate')
    expect(runs).toHaveLength(1)
  })

  it('is given up when its lease is over: 200 at the deadline, reported, and nothing is left', async () => {
    const clock = manualClock(start)
    const store = broken(clock, () => ({ complete: down }))
    const { deliver, outcomes, receiver, lines } = endpoint({ clock, store })
    const reply = deliver()
    await clock.advance(9_999)
    expect(outcomes).toEqual([])
    await clock.advance(1)
    expect(seen(await reply)).toBe('200 handled')
    expect(outcomes).toMatchObject([
      { outcome: 'handled', completionLost: true, error: expect.any(Error) },
    ])
    expect(lines).toEqual([expect.stringMatching(/^error .*the store could not be told/)])
    const repeat = deliver()
    await clock.advance(2_000)
    expect(seen(await repeat)).toMatch(/^503 in_flight/)
    await clock.advance(60_000)
    await receiver.idle()
    expect(clock.nextTimerMs()).toBeUndefined()
    expect(lines.join()).not.toContain('555')
  })

  it.each([
    ['fails', down],
    ['hangs', never],
  ])('does not turn a permanent failure into a success when it %s', async (_, complete) => {
    const clock = manualClock(start)
    const { deliver, outcomes } = endpoint({
      clock,
      store: broken(clock, () => ({ complete })),
      handle: () => {
        throw new PermanentFailure('no')
      },
    })
    const reply = deliver()
    await clock.advance(10_000)
    expect(seen(await reply)).toBe('200 failed RINGHOOK_PERMANENT_FAILURE')
    expect(outcomes).toMatchObject([{ completionLost: true, error: new PermanentFailure('no') }])
  })
})

describe("store, when it can't release an event", () => {
  it('answers 500, and the event runs again when its lease is over', async () => {
    const clock = manualClock(start)
    const { deliver, runs } = endpoint({
      clock,
      store: broken(clock, () => ({ release: down })),
      handle: () => {
        if (runs.length === 1) throw new Error('no')
      },
    })
    expect(seen(await deliver())).toBe('500 failed RINGHOOK_HANDLER_FAILED')
    const early = deliver()
    await clock.advance(2_000)
    expect(seen(await early)).toBe(`${inFlight} 28`)
    await clock.advance(28_000)
    expect(seen(await deliver())).toBe('200 handled')
    expect(runs.map(({ context }) => context.attempt)).toEqual([1, 2])
  })
})

describe('store, when it never answers', () => {
  it.each<[string, Operations, string]>([
    ['a claim', { claim: never }, unavailable],
    ['a renewal', { extend: never }, '503 timed_out RINGHOOK_DEADLINE_EXCEEDED retry-after 30'],
    ['a mark', { complete: never }, '200 handled'],
    ['a release', { release: never }, '500 failed RINGHOOK_HANDLER_FAILED'],
  ])('to %s keeps no sender waiting beyond the deadline', async (_, operations, expected) => {
    const clock = manualClock(start)
    const { deliver, outcomes } = endpoint({
      clock,
      store: broken(clock, () => operations),
      handle: async () => {
        if ('extend' in operations) await clock.sleep(60_000)
        if ('release' in operations) throw new Error('the reason')
      },
    })
    const reply = deliver()
    await clock.advance(9_999)
    expect(outcomes).toEqual([])
    await clock.advance(1)
    expect(seen(await reply)).toBe(expected)
    if ('release' in operations) expect(outcomes[0]?.error).toEqual(new Error('the reason'))
    if ('complete' in operations) expect(outcomes[0]?.completionLost).toBe(true)
  })

  it('after renewals that worked aborts the signal a lease after the last of them', async () => {
    const clock = manualClock(start)
    for (const failed of [never, down]) {
      const began = clock.now()
      const store = broken(clock, (memory) => ({
        extend: (claim, options) =>
          clock.now() - began > 60_000 ? failed() : memory.extend(claim, options),
      }))
      const { deliver, runs } = endpoint({ clock, store, handle: () => clock.sleep(200_000) })
      void deliver(event({ timestamp: new Date(began).toISOString() }))
      await clock.advance(89_999)
      expect(runs[0]?.context.signal.aborted).toBe(false)
      await clock.advance(1)
      expect(runs[0]?.context.signal.aborted).toBe(true)
    }
  })

  it('to a renewal aborts the signal when the lease is over', async () => {
    const clock = manualClock(start)
    const store = broken(clock, () => ({ extend: never }))
    const { deliver, runs } = endpoint({ clock, store, handle: () => clock.sleep(120_000) })
    void deliver()
    await clock.advance(29_999)
    expect(runs[0]?.context.signal.aborted).toBe(false)
    await clock.advance(10_000)
    expect(runs[0]?.context.signal.aborted).toBe(true)
  })
})

describe('store, when it is slow', () => {
  it('and claims after the deadline: the claim is given back, and the retry runs', async () => {
    const clock = manualClock(start)
    let delayMs = 12_000
    const store = broken(clock, (memory) => ({
      claim: (key, options) => clock.sleep(delayMs).then(() => memory.claim(key, options)),
    }))
    const { deliver, runs, receiver } = endpoint({ clock, store })
    const reply = deliver()
    await clock.advance(12_000)
    expect(seen(await reply)).toBe(unavailable)
    await receiver.idle()
    expect(runs).toEqual([])
    delayMs = 0
    const retry = deliver()
    await clock.advance(0)
    expect(seen(await retry)).toBe('200 handled')
  })

  it('and answers when the lease may be over: the handler does not run, another may have taken over', async () => {
    const clock = manualClock(start)
    const memory = memoryStore({ clock })
    const slow = endpoint({
      clock,
      leaseMs: 3_000,
      store: broken(clock, () => ({
        claim: async (key, options) => {
          const claim = await memory.claim(key, options)
          await clock.sleep(4_000)
          return claim
        },
        release: memory.release.bind(memory),
        forget: memory.forget.bind(memory),
        status: memory.status.bind(memory),
      })),
    })
    const other = endpoint({
      clock,
      leaseMs: 3_000,
      store: memory,
      handle: () => clock.sleep(2_000),
    })
    const reply = slow.deliver()
    await clock.advance(3_500)
    const taken = other.deliver()
    await clock.advance(2_500)
    expect([seen(await reply), seen(await taken)]).toEqual([unavailable, '200 handled'])
    expect([slow.runs.length, other.runs.length]).toEqual([0, 1])
  })
})

describe('memoryStore', () => {
  it('remembers its last maxEntries events, forgets the oldest first, and says so once', async () => {
    const clock = manualClock(start)
    const lines: string[] = []
    const logger = {
      debug() {},
      info() {},
      error() {},
      warn: (line: string) => void lines.push(line),
    }
    const { deliver } = endpoint({ clock, store: memoryStore({ clock, maxEntries: 3, logger }) })
    for (const id of ['a', 'b', 'c', 'd']) await deliver(event({ id }))
    const again = async (id: string) => seen(await deliver(event({ id })))
    expect([await again('d'), await again('c'), await again('b')]).toEqual(
      new Array(3).fill('200 duplicate'),
    )
    expect(await again('a')).toBe('200 handled')
    expect(await again('b')).toBe('200 handled')
    expect(lines).toEqual([expect.stringContaining('Raise maxEntries')])
  })
})

describe('store, when it is silent until after the deadline', () => {
  it('is logged with its code and its remedy when it fails at last', async () => {
    const clock = manualClock(start)
    const silent = new RinghookError('RINGHOOK_STORE_TIMEOUT', 'testStore() got no answer.')
    const { deliver, lines, runs } = endpoint({
      clock,
      store: broken(clock, () => ({
        claim: async () => {
          await clock.sleep(6_000)
          throw silent
        },
      })),
    })
    const answer = deliver()
    await clock.advance(10_000)
    expect(seen(await answer)).toBe(unavailable)
    expect(lines).toEqual([expect.stringMatching(/^error .*RINGHOOK_STORE_UNAVAILABLE/)])
    await clock.advance(2_000)
    expect(lines).toHaveLength(2)
    expect(lines[1]).toMatch(/^error .*after its deadline.*testStore\(\) got no answer.*TIMEOUT/)
    expect(runs).toEqual([])
  })

  it('is not logged twice when it gives the claim in the end, which is given back', async () => {
    const clock = manualClock(start)
    const { deliver, lines, runs, receiver } = endpoint({
      clock,
      store: broken(clock, (memory) => ({
        claim: (key, options) => clock.sleep(11_000).then(() => memory.claim(key, options)),
      })),
    })
    const answer = deliver()
    await clock.advance(10_000)
    expect(seen(await answer)).toBe(unavailable)
    await clock.advance(1_000)
    await receiver.idle()
    expect([lines.length, runs.length]).toEqual([1, 0])
  })

  it('is not asked a second time for a delivery whose sender has its answer', async () => {
    const clock = manualClock(start)
    let asked = 0
    const { deliver, receiver } = endpoint({
      clock,
      store: broken(clock, () => ({
        claim: async () => {
          asked++
          await clock.sleep(10_000)
          throw new Error('no answer')
        },
      })),
    })
    const answer = deliver()
    await clock.advance(10_000)
    expect(seen(await answer)).toBe(unavailable)
    await receiver.idle()
    expect(asked).toBe(1)
  })
})
