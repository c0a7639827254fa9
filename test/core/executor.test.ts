import { types } from 'node:util'
import { memoryStore, PermanentFailure, RinghookError } from 'ringhook'
import { describe, expect, it, vi } from 'vitest'
import type { Execution } from '../../src/core/execution/execution.ts'
import { InFlightRegistry } from '../../src/core/execution/in-flight.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { endpoint, event, gate, seen, start } from '../helpers/endpoint.ts'

const failed = '500 failed RINGHOOK_HANDLER_FAILED'

describe('receiver.receive(), with a handler', () => {
  it('runs its handler once, however many copies arrive at the same moment', async () => {
    const { deliver, runs, outcomes, clock } = endpoint({ handle: () => clock.sleep(500) })
    const replies = Promise.all(Array.from({ length: 50 }, () => deliver()))
    await clock.advance(500)
    expect((await replies).map(seen).sort()).toEqual([
      ...new Array(49).fill('200 duplicate'),
      '200 handled',
    ])
    expect(runs).toHaveLength(1)
    expect(outcomes).toHaveLength(50)
  })

  it('runs its handler once, however many instances the copies arrive at', async () => {
    const clock = manualClock(start)
    const store = memoryStore({ clock })
    const instances = Array.from({ length: 5 }, () =>
      endpoint({ clock, store, handle: () => clock.sleep(700) }),
    )
    const replies = Promise.all(
      Array.from({ length: 50 }, (_, copy) => instances[copy % 5]?.deliver()),
    )
    await clock.advance(2_000)
    const answers = (await replies).map((reply) => reply && seen(reply)).sort()
    expect(answers).toEqual([...new Array(49).fill('200 duplicate'), '200 handled'])
    expect(instances.flatMap(({ runs }) => runs)).toHaveLength(1)
  })

  it('that repeats a finished one is a duplicate, also long after and in other bytes', async () => {
    const { deliver, runs, outcomes, clock, lines } = endpoint()
    expect(seen(await deliver())).toBe('200 handled')
    await clock.advance(29 * 24 * 60 * 60_000)
    expect(seen(await deliver())).toBe('200 duplicate')
    expect(outcomes[1]).not.toHaveProperty('bodyChanged')
    expect(lines).toEqual([])
    expect(seen(await deliver(event({ data: { call_id: 'call_2' } })))).toBe('200 duplicate')
    expect(outcomes[2]).toMatchObject({ outcome: 'duplicate', bodyChanged: true })
    expect(lines).toEqual([expect.stringMatching(/^warn .*other bytes/)])
    expect(runs).toHaveLength(1)
  })

  it('whose event is running waits two seconds, and is told what is left of the lease', async () => {
    const { deliver, clock, receiver, outcomes } = endpoint({ handle: () => clock.sleep(9_000) })
    const first = deliver()
    await clock.advance(1_000)
    const repeat = deliver()
    await clock.advance(1_999)
    expect(outcomes).toEqual([])
    await clock.advance(1)
    expect(seen(await repeat)).toBe('503 in_flight RINGHOOK_IN_FLIGHT retry-after 27')
    await clock.advance(10_000)
    expect(seen(await first)).toBe('200 handled')
    await receiver.idle()
    expect(seen(await deliver())).toBe('200 duplicate')
  })

  it('whose event is running waits no longer than to its deadline', async () => {
    const { deliver, clock } = endpoint({
      ackDeadlineMs: 1_000,
      handle: () => clock.sleep(500_000),
    })
    void deliver()
    await clock.advance(900)
    const repeat = deliver()
    await clock.advance(1_000)
    expect(seen(await repeat)).toBe('503 in_flight RINGHOOK_IN_FLIGHT retry-after 29')
  })

  it('whose event fails while it waits runs it at once', async () => {
    const { deliver, clock, runs } = endpoint({
      handle: async () => {
        if (runs.length > 1) return
        await clock.sleep(1_000)
        throw new Error('no')
      },
    })
    const first = deliver()
    await clock.advance(500)
    const repeat = deliver()
    await clock.advance(500)
    expect([seen(await first), seen(await repeat)]).toEqual([failed, '200 handled'])
    expect(runs.map(({ context: { attempt, fence } }) => [attempt, fence])).toEqual([
      [1, 1],
      [2, 2],
    ])
  })

  it('whose event fails on another instance while it waits runs it within a quarter of a second', async () => {
    const clock = manualClock(start)
    const store = memoryStore({ clock })
    const other = endpoint({
      clock,
      store,
      handle: () => clock.sleep(600).then(() => Promise.reject()),
    })
    const { deliver, runs } = endpoint({ clock, store })
    const first = other.deliver()
    await clock.advance(10)
    const repeat = deliver()
    await clock.advance(850)
    expect([seen(await first), seen(await repeat)]).toEqual([failed, '200 handled'])
    expect(runs.map(({ context }) => context.fence)).toEqual([2])
  })

  it('whose handler fails is answered 500, given back, and runs again as attempt 2 under fence 2', async () => {
    const { deliver, runs, outcomes } = endpoint({
      handle: () => {
        if (runs.length === 1) throw new Error('the database is away')
      },
    })
    expect(seen(await deliver())).toBe(failed)
    expect(seen(await deliver())).toBe('200 handled')
    expect(runs.map(({ context: { attempt, fence } }) => [attempt, fence])).toEqual([
      [1, 1],
      [2, 2],
    ])
    expect(outcomes).toMatchObject([
      { outcome: 'failed', attempt: 1, fence: 1, error: new Error('the database is away') },
      { outcome: 'handled', attempt: 2, fence: 2 },
    ])
  })

  it('whose handler fails for good is answered 200, remembered and reported', async () => {
    const { deliver, runs, outcomes, lines } = endpoint({
      handle: async () => {
        throw new PermanentFailure('no such customer')
      },
    })
    expect(seen(await deliver())).toBe('200 failed RINGHOOK_PERMANENT_FAILURE')
    expect(seen(await deliver())).toBe('200 duplicate')
    expect(runs).toHaveLength(1)
    expect(outcomes[0]).toMatchObject({ outcome: 'failed', error: { message: 'no such customer' } })
    expect(lines).toEqual([expect.stringMatching(/^error .*RINGHOOK_PERMANENT_FAILURE/)])
  })

  it.each([
    ['undefined', () => undefined],
    ['null', () => null],
    ['a text', () => 'secret 555'],
    ['a number', () => Number.NaN],
    ['a symbol', () => Symbol('secret 555')],
    ['a function', () => () => 'secret 555'],
    ['a frozen error', () => Object.freeze(new Error('secret 555'))],
    [
      'an error without a stack',
      () => Object.assign(new Error('secret 555'), { stack: undefined }),
    ],
    [
      'an error with a number for a stack',
      () => Object.assign(new Error('secret 555'), { stack: 5 }),
    ],
    [
      'an error with an object for a message',
      () => Object.assign(new Error('secret 555'), { message: {} }),
    ],
    ['an error without a name', () => Object.assign(new Error('secret 555'), { name: undefined })],
    ['an error whose getters throw', throwingGetters],
    ['a proxy that refuses everything', refusingProxy],
    ['a revoked proxy', revokedProxy],
    ['an object without a prototype', () => Object.create(null)],
    ['a rejected promise', () => Promise.reject(new Error('secret 555'))],
  ])(
    'whose handler throws %s is answered 500 and runs again',
    async (_, makeThrown: () => unknown) => {
      const thrown = makeThrown()
      if (types.isPromise(thrown)) thrown.catch(() => {})
      const { deliver, runs, outcomes, lines } = endpoint({
        logErrors: false,
        handle: () => {
          if (runs.length === 1) throw thrown
        },
      })
      expect(seen(await deliver())).toBe(failed)
      expect(seen(await deliver())).toBe('200 handled')
      expect(outcomes).toHaveLength(2)
      expect(lines).toHaveLength(1)
      expect(lines.join()).not.toContain('555')
    },
  )

  it('whose handler fails past the deadline is answered 503 once, and the failure is logged', async () => {
    const { deliver, clock, runs, outcomes, lines, receiver } = endpoint({
      logErrors: false,
      handle: async () => {
        await clock.sleep(15_000)
        throw runs.length === 1 ? new Error('secret 555') : new PermanentFailure('secret 555')
      },
    })
    for (const code of ['RINGHOOK_HANDLER_FAILED', 'RINGHOOK_PERMANENT_FAILURE']) {
      const reply = deliver()
      await clock.advance(15_000)
      expect(seen(await reply)).toBe('503 timed_out RINGHOOK_DEADLINE_EXCEEDED retry-after 30')
      await receiver.idle()
      expect(lines.at(-1)).toMatch(new RegExp(`^error .*failed after its deadline.*${code}`))
    }
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['timed_out', 'timed_out'])
    expect(lines.join()).not.toContain('555')
  })

  it('whose handler is past the deadline is answered 503, goes on, and its repeat is a duplicate', async () => {
    const { deliver, clock, runs, outcomes, receiver } = endpoint({
      handle: () => clock.sleep(12_000),
    })
    const reply = deliver()
    await clock.advance(10_000)
    expect(seen(await reply)).toBe('503 timed_out RINGHOOK_DEADLINE_EXCEEDED retry-after 30')
    await clock.advance(2_000)
    await receiver.idle()
    expect(seen(await deliver())).toBe('200 duplicate')
    expect(runs).toHaveLength(1)
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['timed_out', 'duplicate'])
  })

  it('keeps its claim for many leases while its handler runs', async () => {
    const { deliver, clock, runs, receiver, store } = endpoint({
      handle: () => clock.sleep(300_000),
    })
    void deliver()
    for (let minute = 0; minute < 4; minute++) {
      await clock.advance(60_000)
      const repeat = deliver()
      await clock.advance(2_000)
      expect(seen(await repeat)).toMatch(/^503 in_flight .* retry-after [123]\d$/)
    }
    expect(runs[0]?.context.signal.aborted).toBe(false)
    await clock.advance(60_000)
    await receiver.idle()
    expect(seen(await deliver())).toBe('200 duplicate')
    expect(runs).toHaveLength(1)
    expect(vi.mocked(store.extend).mock.calls.length).toBeLessThan(40)
  })

  it('whose event was taken over is told by the signal, and is reported as completionLost', async () => {
    const clock = manualClock(start)
    const store = memoryStore({ clock })
    const stuck = endpoint({
      clock,
      store: { ...bound(store), extend: () => Promise.reject(new Error('partitioned')) },
      handle: () => clock.sleep(40_000),
    })
    void stuck.deliver()
    await clock.advance(1)
    const signal = stuck.runs[0]?.context.signal
    await clock.advance(29_998)
    expect(signal?.aborted).toBe(false)
    await clock.advance(1)
    expect(signal?.aborted).toBe(true)
    expect(signal?.reason).toMatchObject({ code: 'RINGHOOK_LEASE_LOST' })

    const successor = endpoint({ clock, store })
    expect(seen(await successor.deliver())).toBe('200 handled')
    expect(successor.runs.map(({ context: { attempt, fence } }) => [attempt, fence])).toEqual([
      [2, 2],
    ])
    await clock.advance(20_000)
    await stuck.receiver.idle()
    expect(stuck.lines.at(-1)).toMatch(
      /^error .*the store could not be told.*Another run of this event has taken over/,
    )
    expect(seen(await successor.deliver())).toBe('200 duplicate')
  })

  it('whose event was taken over after the event loop stood still is told by the signal', async () => {
    const clock = manualClock(start)
    const store = memoryStore({ clock })
    const stuck = endpoint({
      clock,
      store: { ...bound(store), extend: async () => false },
      handle: () => clock.sleep(60_000),
    })
    void stuck.deliver()
    await clock.advance(10_000)
    expect(stuck.runs[0]?.context.signal.aborted).toBe(true)
    // Asked for only after the lease was lost: the same answer.
    expect(stuck.runs[0]?.context.signal.reason).toBeInstanceOf(RinghookError)
  })

  it('is not told by the signal of a lease that was found lost only after it had failed', async () => {
    const clock = manualClock(start)
    let answerLate = (_isHeld: boolean) => {}
    const extending = new Promise<boolean>((resolve) => {
      answerLate = resolve
    })
    const store = { ...bound(memoryStore({ clock })), extend: () => extending }
    const { deliver, runs } = endpoint({
      clock,
      store,
      handle: async () => {
        await clock.sleep(11_000)
        throw new Error('no')
      },
    })
    const reply = deliver()
    await clock.advance(11_000)
    await reply
    answerLate(false)
    await clock.advance(1)
    expect(runs[0]?.context.signal.aborted).toBe(false)
  })

  it('is renewed no longer once it has ended', async () => {
    const clock = manualClock(start)
    const { deliver, store } = endpoint({ clock })
    expect(seen(await deliver())).toBe('200 handled')
    await clock.advance(60_000)
    expect(store.extend).not.toHaveBeenCalled()
  })

  it('keeps its claim through a halt of the event loop longer than the lease, if nobody took over', async () => {
    let now = start
    const ticking = manualClock(start)
    const clock = { ...ticking, now: () => now }
    const { deliver, runs, receiver, store } = endpoint({
      clock,
      handle: () => ticking.sleep(60_000),
    })
    void deliver()
    await ticking.advance(1)
    // The time went by, and only now the timers get their turn.
    now = start + 45_000
    await ticking.advance(30_000)
    expect(store.extend).toHaveBeenCalled()
    expect(runs[0]?.context.signal.aborted).toBe(false)
    await ticking.advance(60_000)
    await receiver.idle()
    expect(seen(await deliver())).toBe('200 duplicate')
  })

  it('never runs its handler beside itself in this process, even when its lease was lost', async () => {
    const clock = manualClock(start)
    const memory = memoryStore({ clock })
    const store = { ...bound(memory), extend: () => new Promise<boolean>(() => {}) }
    const { deliver, runs } = endpoint({ clock, store, handle: () => clock.sleep(120_000) })
    void deliver()
    await clock.advance(61_000)
    expect(runs[0]?.context.signal.aborted).toBe(true)
    const repeat = deliver()
    await clock.advance(2_000)
    expect(seen(await repeat)).toBe('503 in_flight RINGHOOK_IN_FLIGHT retry-after 30')
    expect(runs).toHaveLength(1)
  })

  it('is finished by a handler that ended after its lease, although a repeat came in between', async () => {
    const clock = manualClock(start)
    const memory = memoryStore({ clock })
    const store = { ...bound(memory), extend: () => Promise.reject(new Error('away')) }
    const { deliver, runs } = endpoint({ clock, store, handle: () => clock.sleep(50_000) })
    void deliver()
    await clock.advance(40_000)
    const repeat = deliver()
    await clock.advance(2_000)
    expect(seen(await repeat)).toBe('503 in_flight RINGHOOK_IN_FLIGHT retry-after 30')
    await clock.advance(10_000)
    expect(seen(await deliver())).toBe('200 duplicate')
    expect(runs).toHaveLength(1)
  })

  it('is not begun once the receiver is closed, however slow the store was', async () => {
    const clock = manualClock(start)
    const memory = memoryStore({ clock })
    const slow = gate()
    const store = {
      ...bound(memory),
      claim: async (...values: Parameters<typeof memory.claim>) => {
        await slow.opened
        return memory.claim(...values)
      },
    }
    const { deliver, receiver, runs } = endpoint({ clock, store })
    const answer = deliver()
    const closing = receiver.close()
    slow.open()
    expect(seen(await answer)).toBe('503 unavailable RINGHOOK_SHUTTING_DOWN retry-after 30')
    expect(await closing).toEqual({ drained: true, running: 0 })
    expect(runs).toEqual([])
    const next = endpoint({ clock, store: memory })
    expect(seen(await next.deliver())).toBe('200 handled')
  })

  it('renews its lease at once when the store took its time to grant it', async () => {
    const clock = manualClock(start)
    const memory = memoryStore({ clock })
    const store = {
      ...bound(memory),
      claim: async (...values: Parameters<typeof memory.claim>) => {
        const claim = await memory.claim(...values)
        await clock.sleep(2_500)
        return claim
      },
    }
    const slow = endpoint({ clock, store, leaseMs: 3_000, handle: () => clock.sleep(6_000) })
    const other = endpoint({ clock, store: memory, leaseMs: 3_000 })
    void slow.deliver()
    await clock.advance(3_100)
    const repeat = other.deliver()
    await clock.advance(2_000)
    expect(seen(await repeat)).toMatch(/^503 in_flight/)
    expect([slow.runs.length, other.runs.length]).toEqual([1, 0])
  })

  it('is warned when its lease ran out, and holds it again when the store comes back in time', async () => {
    const clock = manualClock(start)
    const memory = memoryStore({ clock })
    let isAway = false
    const store = {
      ...bound(memory),
      extend: (...values: Parameters<typeof memory.extend>) =>
        isAway ? Promise.reject(new Error('away')) : memory.extend(...values),
    }
    const { deliver, runs } = endpoint({ clock, store, handle: () => clock.sleep(300_000) })
    const other = endpoint({ clock, store: memory })
    void deliver()
    await clock.advance(15_000)
    isAway = true
    await clock.advance(45_000)
    expect(runs[0]?.context.signal.aborted).toBe(true)
    isAway = false
    await clock.advance(10_000)
    const repeat = other.deliver()
    await clock.advance(2_000)
    expect(seen(await repeat)).toMatch(/^503 in_flight/)
    expect(other.runs).toEqual([])
  })

  it('asks for its lease again when the store went silent, and holds it when that is answered', async () => {
    const clock = manualClock(start)
    const memory = memoryStore({ clock })
    let isSilent = false
    const store = {
      ...bound(memory),
      extend: (...values: Parameters<typeof memory.extend>) =>
        isSilent ? new Promise<boolean>(() => {}) : memory.extend(...values),
    }
    const { deliver } = endpoint({ clock, store, handle: () => clock.sleep(300_000) })
    const other = endpoint({ clock, store: memory })
    void deliver()
    await clock.advance(15_000)
    isSilent = true
    await clock.advance(45_000)
    isSilent = false
    await clock.advance(10_000)
    const repeat = other.deliver()
    await clock.advance(2_000)
    expect(seen(await repeat)).toMatch(/^503 in_flight/)
    expect(other.runs).toEqual([])
  })

  it.each(['release', 'complete'] as const)(
    'is free for another instance in the end when the store never answers %s',
    async (operation) => {
      const clock = manualClock(start)
      const memory = memoryStore({ clock })
      const store = { ...bound(memory), [operation]: () => new Promise<boolean>(() => {}) }
      const stuck = endpoint({
        clock,
        store,
        handle: () => {
          if (operation === 'release') throw new Error('no')
        },
      })
      const answer = stuck.deliver()
      await clock.advance(10_000)
      expect(seen(await answer)).toBe(operation === 'release' ? failed : '200 handled')
      await clock.advance(90_000)
      const other = endpoint({ clock, store: memory })
      expect(seen(await other.deliver())).toBe('200 handled')
    },
  )

  it('leaves nothing behind of the repeats that waited for it in vain', async () => {
    const clock = manualClock(start)
    const running = new InFlightRegistry(clock)
    const run = { claim: { key: 'k' }, waiters: undefined } as unknown as Execution
    running.begin(run)
    const waits = Array.from({ length: 100 }, () => running.pause('k', 2_000))
    expect(run.waiters?.size).toBe(100)
    await clock.advance(2_000)
    await Promise.all(waits)
    expect(run.waiters?.size).toBe(0)
  })
})

describe('context', () => {
  it('says under which key, attempt and fence the handler runs, on what bytes and until when', async () => {
    const { deliver, runs, outcomes } = endpoint()
    const body = Buffer.from(JSON.stringify(event()))
    await deliver(body, { headers: { 'x-request-id': '7' } })
    const { context } = runs[0] ?? expect.fail()
    expect(context.idempotencyKey).toBe('krosai~evt_1')
    expect(context.idempotencyKey).toBe(outcomes[0]?.idempotencyKey)
    expect([context.attempt, context.fence]).toEqual([1, 1])
    expect(context.receivedAt).toEqual(new Date(start))
    expect(context.deadline).toEqual(new Date(start + 10_000))
    expect(Buffer.compare(context.rawBody, body)).toBe(0)
    expect(context.headers).toMatchObject({ 'x-request-id': '7' })
    expect(context.signal.aborted).toBe(false)
    expect(JSON.parse(JSON.stringify(context))).not.toHaveProperty('headers')
  })

  it.each([
    ['a transaction on a store that has none', {}, 'RINGHOOK_STORE_NOT_TRANSACTIONAL'],
    ['undefined', undefined, 'RINGHOOK_TRANSACTION_INVALID'],
    ['null', null, 'RINGHOOK_TRANSACTION_INVALID'],
  ])('refuses complete() with %s, and the event is given back', async (_, transaction, code) => {
    const { deliver, outcomes, store } = endpoint({
      handle: (_event, { complete }) => complete(transaction),
    })
    expect(seen(await deliver())).toBe(failed)
    expect(outcomes[0]?.error).toMatchObject({ code })
    expect(store.release).toHaveBeenCalledOnce()
  })

  it('is marked by the receiver when a later call of complete() failed', async () => {
    const memory = memoryStore()
    let calls = 0
    const complete = vi.fn(async (...[claim, options]: Parameters<typeof memory.complete>) => {
      if (options.transaction === undefined) return memory.complete(claim, options)
      if (calls++ === 0) return true
      throw new Error('rolled back')
    })
    const { deliver, runs } = endpoint({
      store: { ...bound(memory), complete },
      handle: async (_event, context) => {
        await context.complete({})
        await context.complete({}).catch(() => {})
      },
    })
    expect(seen(await deliver())).toBe('200 handled')
    expect(seen(await deliver())).toBe('200 duplicate')
    expect(runs).toHaveLength(1)
  })

  it('is not told that it lost the event when it completed it itself', async () => {
    const clock = manualClock(start)
    const memory = memoryStore({ clock })
    const store = {
      ...bound(memory),
      complete: (...[claim, options]: Parameters<typeof memory.complete>) =>
        memory.complete(claim, { retentionMs: options.retentionMs }),
    }
    const { deliver, runs } = endpoint({
      clock,
      store,
      ackDeadlineMs: 60_000,
      handle: async (_event, context) => {
        await context.complete({})
        await clock.sleep(25_000)
      },
    })
    const answer = deliver()
    await clock.advance(25_000)
    expect(seen(await answer)).toBe('200 handled')
    expect(runs[0]?.context.signal.aborted).toBe(false)
  })

  it('marks the event in the transaction of the handler, and not once more', async () => {
    const memory = memoryStore()
    const transactions: unknown[] = []
    const store = {
      ...bound(memory),
      complete: async (
        claim: never,
        { transaction, ...options }: { transaction?: unknown; retentionMs: number },
      ) => {
        transactions.push(transaction)
        return memory.complete(claim, options)
      },
    }
    const { deliver } = endpoint({ store, handle: (_event, context) => context.complete('tx') })
    expect([seen(await deliver()), seen(await deliver())]).toEqual(['200 handled', '200 duplicate'])
    expect(transactions).toEqual(['tx'])
  })

  it('refuses complete() of a run whose event was taken over, so that its transaction rolls back', async () => {
    const store = { ...bound(memoryStore()), complete: async () => false }
    const { deliver, outcomes } = endpoint({
      store,
      handle: (_event, context) => context.complete('tx'),
    })
    expect(seen(await deliver())).toBe(failed)
    expect(outcomes[0]?.error).toMatchObject({ code: 'RINGHOOK_LEASE_LOST' })
  })
})

describe('receiver.receive(), ten thousand times', () => {
  it('leave nothing behind: no delivery under way and no timer for one', async () => {
    const clock = manualClock(start)
    const store = memoryStore({ clock, maxEntries: 100, logger: false })
    const { receiver, deliver, runs, outcomes } = endpoint({ clock, store })
    for (let batch = 0; batch < 100; batch++) {
      await Promise.all(
        Array.from({ length: 100 }, (_, at) => deliver(event({ id: `evt_${batch}_${at}` }))),
      )
    }
    await receiver.idle()
    expect([runs.length, outcomes.length]).toEqual([10_000, 10_000])
    // Its few timers are the queues' own: they fall due once and are not set again.
    await clock.advance(60_000)
    expect(clock.nextTimerMs()).toBeUndefined()
    expect(await receiver.close()).toEqual({ drained: true, running: 0 })
  })
})

function bound(store: ReturnType<typeof memoryStore>) {
  return {
    claim: store.claim.bind(store),
    extend: store.extend.bind(store),
    complete: store.complete.bind(store),
    release: store.release.bind(store),
    forget: store.forget.bind(store),
    status: store.status.bind(store),
  }
}

function throwingGetters(): Error {
  const refuse = {
    get(): never {
      throw new Error('secret 555')
    },
  }
  return Object.defineProperties(new Error('secret 555'), {
    stack: refuse,
    message: refuse,
    name: refuse,
  })
}

function refusingProxy(): object {
  const refuse = (): never => {
    throw new Error('secret 555')
  }
  return new Proxy(new Error('secret 555'), {
    get: refuse,
    has: refuse,
    getPrototypeOf: refuse,
    ownKeys: refuse,
  })
}

function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable(new Error('secret 555'), {})
  revoke()
  return proxy
}
