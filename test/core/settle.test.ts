import { type IdempotencyStore, memoryStore } from 'ringhook'
import { describe, expect, it } from 'vitest'
import { keyMaker } from '../../src/core/event/idempotency.ts'
import { type ManualClock, manualClock } from '../../src/testing/manual-clock.ts'
import { endpoint, event, gate, seen, start } from '../helpers/endpoint.ts'
import { handInbox } from '../helpers/hand-inbox.ts'

const failed = '500 failed RINGHOOK_HANDLER_FAILED'
const unavailable = '503 unavailable RINGHOOK_STORE_UNAVAILABLE retry-after 30'

/** A store in memory whose marks wait for the commit of a transaction, as a database's do. */
function transactional(clock: ManualClock) {
  const memory = memoryStore({ clock })
  class Transaction {
    readonly #marks: (() => unknown)[] = []
    add(mark: () => unknown): void {
      this.#marks.push(mark)
    }
    async commit(): Promise<void> {
      for (const mark of this.#marks) await mark()
    }
  }
  const store: IdempotencyStore = {
    claim: (key, options) => memory.claim(key, options),
    extend: (claim, options) => memory.extend(claim, options),
    release: (claim) => memory.release(claim),
    forget: (key) => memory.forget(key),
    status: (key) => memory.status(key),
    complete(claim, { retentionMs, transaction }) {
      if (!(transaction instanceof Transaction)) return memory.complete(claim, { retentionMs })
      transaction.add(() => memory.complete(claim, { retentionMs }))
      return true
    },
  }
  return { store, begin: () => new Transaction() }
}

describe('context.complete(), before the handler ends', () => {
  it('has finished when the transaction is committed', async () => {
    const { store, begin } = transactional(manualClock(start))
    const { deliver, runs } = endpoint({
      store,
      handle: async (_event, context) => {
        const transaction = begin()
        await context.complete(transaction)
        await transaction.commit()
      },
    })
    expect([seen(await deliver()), seen(await deliver())]).toEqual(['200 handled', '200 duplicate'])
    expect(runs).toHaveLength(1)
  })

  it('has failed when it returns although the transaction was rolled back, and runs again', async () => {
    const clock = manualClock(start)
    const { store, begin } = transactional(clock)
    let rollsBack = true
    const { deliver, outcomes, runs } = endpoint({
      clock,
      store,
      handle: async (_event, context) => {
        const transaction = begin()
        await context.complete(transaction)
        if (!rollsBack) await transaction.commit()
      },
    })
    expect(seen(await deliver())).toBe(failed)
    expect(outcomes[0]?.error).toMatchObject({ code: 'RINGHOOK_TRANSACTION_NOT_COMMITTED' })
    rollsBack = false
    expect([seen(await deliver()), seen(await deliver())]).toEqual(['200 handled', '200 duplicate'])
    expect(runs.map(({ context }) => context.fence)).toEqual([1, 2])
  })

  it('has failed when another run took over meanwhile, whatever it believes', async () => {
    const clock = manualClock(start)
    const { store, begin } = transactional(clock)
    const { deliver, outcomes, runs } = endpoint({
      clock,
      store: { ...store, extend: () => Promise.reject(new Error('the network is down')) },
      ackDeadlineMs: 100_000,
      handle: async (_event, context) => {
        await context.complete(begin())
        await clock.sleep(30_001)
        const owner = { owner: 'another process', leaseMs: 30_000, fingerprint: 'f' }
        await store.claim(context.idempotencyKey, owner)
      },
    })
    const answer = deliver()
    await clock.advance(30_001)
    expect(seen(await answer)).toBe(failed)
    expect(outcomes[0]?.error).toMatchObject({ code: 'RINGHOOK_TRANSACTION_NOT_COMMITTED' })
    expect(runs[0]?.context.signal.aborted).toBe(true)
  })

  it('is answered 503 while the store cannot say whether it was committed', async () => {
    const clock = manualClock(start)
    const { store, begin } = transactional(clock)
    let isAway = false
    const { deliver, lines, runs } = endpoint({
      clock,
      store: {
        ...store,
        claim: async (...asked) => {
          if (isAway) throw new Error('the network is down')
          return await store.claim(...asked)
        },
      },
      handle: async (_event, context) => {
        const transaction = begin()
        await context.complete(transaction)
        await transaction.commit()
        isAway = true
      },
    })
    const answer = deliver()
    await clock.advance(10_000)
    expect(seen(await answer)).toBe(unavailable)
    expect(lines).toEqual([expect.stringMatching(/^error .*RINGHOOK_STORE_UNAVAILABLE/)])
    isAway = false
    await clock.advance(1_000)
    expect(seen(await deliver())).toBe('200 duplicate')
    expect(runs).toHaveLength(1)
  })

  it('has failed when it did not wait for the mark, unless that is committed by then', async () => {
    const clock = manualClock(start)
    const { store, begin } = transactional(clock)
    const { open, opened } = gate()
    let waits = false
    const { deliver, outcomes, runs } = endpoint({
      clock,
      store: {
        ...store,
        complete: async (claim, options) => {
          if (options.transaction === undefined) return await store.complete(claim, options)
          await opened
          return await store.complete(claim, options)
        },
      },
      handle: async (_event, context) => {
        const transaction = begin()
        const marking = context.complete(transaction)
        if (!waits) return
        await marking
        await transaction.commit()
      },
    })
    expect(seen(await deliver())).toBe(failed)
    expect(outcomes[0]?.error).toMatchObject({ code: 'RINGHOOK_TRANSACTION_NOT_COMMITTED' })
    open()
    waits = true
    expect([seen(await deliver()), seen(await deliver())]).toEqual(['200 handled', '200 duplicate'])
    expect(runs).toHaveLength(2)
  })

  it('is told at once, in a synchronous transaction, that it lost the event', async () => {
    const { store, begin } = transactional(manualClock(start))
    const thrown: unknown[] = []
    const { deliver } = endpoint({
      store: { ...store, complete: () => false },
      handle: (_event, context) => {
        try {
          void context.complete(begin())
        } catch (error) {
          thrown.push(error)
          throw error
        }
      },
    })
    expect(seen(await deliver())).toBe(failed)
    expect(thrown).toEqual([expect.objectContaining({ code: 'RINGHOOK_LEASE_LOST' })])
  })

  it('has finished when the mark was made synchronously and nothing was awaited', async () => {
    const clock = manualClock(start)
    const memory = memoryStore({ clock })
    const { store } = transactional(clock)
    const { deliver, runs } = endpoint({
      clock,
      store: {
        ...store,
        claim: (key, options) => memory.claim(key, options),
        complete(claim, { retentionMs }) {
          void memory.complete(claim, { retentionMs })
          return true
        },
      },
      handle: (_event, context) => {
        void context.complete('a database handle')
      },
    })
    expect([seen(await deliver()), seen(await deliver())]).toEqual(['200 handled', '200 duplicate'])
    expect(runs).toHaveLength(1)
  })
})

describe('receiver.receive(), once the handler has ended', () => {
  it('is not told that it lost the event, when a renewal meets the mark that is on its way', async () => {
    const clock = manualClock(start)
    const memory = memoryStore({ clock })
    const { store } = transactional(clock)
    const { deliver, runs } = endpoint({
      clock,
      ackDeadlineMs: 60_000,
      store: {
        ...store,
        claim: (key, options) => memory.claim(key, options),
        extend: (claim, options) => memory.extend(claim, options),
        complete: async (claim, options) => {
          const isMarked = await memory.complete(claim, options)
          await clock.sleep(15_000)
          return isMarked
        },
      },
      handle: (_event, context) => void context.signal,
    })
    const answer = deliver()
    await clock.advance(15_000)
    expect(seen(await answer)).toBe('200 handled')
    expect(runs[0]?.context.signal.aborted).toBe(false)
  })
})

describe('store, when it returns nonsense', () => {
  it.each([
    ['a fence that is no number', { state: 'claimed', fence: '1', attempt: 1 }],
    ['a fence of 0', { state: 'claimed', fence: 0, attempt: 1 }],
    ['a fence that is not whole', { state: 'claimed', fence: 1.5, attempt: 1 }],
    ['the owner of somebody else', { state: 'claimed', fence: 1, attempt: 1, owner: 'b' }],
    ['the key of another event', { state: 'claimed', fence: 1, attempt: 1, key: 'k' }],
    ['a lease that is no number', { state: 'in_flight', retryAfterMs: Number.NaN }],
    ['no fingerprint', { state: 'completed' }],
  ])('is refused at claim: %s', async (_, answer) => {
    const clock = manualClock(start)
    const { store } = transactional(clock)
    const { deliver, outcomes, runs } = endpoint({
      clock,
      store: {
        ...store,
        claim: async (key, { owner }) => ({ key, owner, ...answer }) as never,
      },
    })
    expect(seen(await deliver())).toBe(unavailable)
    expect(outcomes[0]?.error).toMatchObject({ code: 'RINGHOOK_STORE_INVALID' })
    expect(runs).toEqual([])
  })

  it('is refused at complete: what is no boolean marks nothing', async () => {
    const clock = manualClock(start)
    const { store } = transactional(clock)
    const { deliver, outcomes } = endpoint({
      clock,
      store: { ...store, complete: async () => 'OK' as never },
    })
    const answer = deliver()
    await clock.advance(10_000)
    expect(seen(await answer)).toBe('200 handled')
    expect(outcomes[0]).toMatchObject({
      completionLost: true,
      error: { code: 'RINGHOOK_STORE_INVALID' },
    })
  })

  it('is refused at extend: it takes no lease away, and the log says so', async () => {
    const clock = manualClock(start)
    const { store } = transactional(clock)
    const { deliver, lines, runs } = endpoint({
      clock,
      store: { ...store, extend: async () => undefined as never },
      ackDeadlineMs: 60_000,
      handle: () => clock.sleep(15_000),
    })
    const answer = deliver()
    await clock.advance(15_000)
    expect(seen(await answer)).toBe('200 handled')
    expect(runs[0]?.context.signal.aborted).toBe(false)
    expect(lines).toEqual([
      expect.stringMatching(/^warn .*lease .*could not be renewed.*RINGHOOK_STORE_INVALID/),
    ])
  })
})

describe('receiver.forget', () => {
  it('has the inbox forget it too, and first: its repeats would be duplicates for ever', async () => {
    const calls: string[] = []
    const memory = memoryStore()
    const store = {
      ...memory,
      forget: async () => {
        calls.push('store')
        return 'forgotten' as const
      },
    }
    const inbox = handInbox({ forget: async (key) => void calls.push(key) })
    const { receiver } = endpoint({ inbox, store })

    expect(await receiver.forget('evt_1')).toBe('forgotten')
    expect(calls).toEqual([keyMaker('krosai', '')('evt_1'), 'store'])

    const away = handInbox({ forget: () => Promise.reject(new Error('away')) })
    await expect(endpoint({ inbox: away, store }).receiver.forget('evt_1')).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_UNAVAILABLE',
    })
    expect(calls).toHaveLength(2)
  })

  const id = 'evt_1'

  it('makes a finished event run once more, with the next fence', async () => {
    const { deliver, receiver, runs } = endpoint({ store: memoryStore() })
    await deliver(event({ id }))
    expect(seen(await deliver(event({ id })))).toBe('200 duplicate')
    expect(await receiver.forget(id)).toBe('forgotten')
    expect(seen(await deliver(event({ id })))).toBe('200 handled')
    expect(seen(await deliver(event({ id })))).toBe('200 duplicate')
    expect(runs.map(({ context }) => context.fence)).toEqual([1, 2])
  })

  it('leaves an event alone that runs, and one that it does not know', async () => {
    const { open, opened } = gate()
    const { deliver, receiver, runs } = endpoint({ store: memoryStore(), handle: () => opened })
    expect(await receiver.forget(id)).toBe('unknown')
    const answer = deliver(event({ id }))
    await new Promise<void>((resolve) => setImmediate(resolve))
    expect(await receiver.forget(id)).toBe('in_flight')
    open()
    expect(seen(await answer)).toBe('200 handled')
    expect(seen(await deliver(event({ id })))).toBe('200 duplicate')
    expect(runs).toHaveLength(1)
  })

  it('says that it does not know when the store fails, does not answer, or answers nonsense', async () => {
    for (const forget of [
      () => Promise.reject(new Error('ECONNREFUSED 555-0100')),
      () => new Promise<never>(() => {}),
      async () => true as never,
    ]) {
      const clock = manualClock(start)
      const { store } = transactional(clock)
      const { receiver } = endpoint({ clock, store: { ...store, forget } })
      const failure = receiver.forget(id).catch((error: unknown) => error)
      await clock.advance(30_000)
      expect(await failure).toMatchObject({
        code: 'RINGHOOK_STORE_UNAVAILABLE',
        message: expect.not.stringContaining('555'),
      })
    }
  })

  it('refuses an id that is no text', async () => {
    const { receiver } = endpoint({ store: memoryStore() })
    for (const eventId of ['', undefined, 7]) {
      await expect(receiver.forget(eventId as never)).rejects.toMatchObject({
        code: 'RINGHOOK_OPTION_INVALID',
      })
    }
  })
})
