import { type IdempotencyStore, memoryStore, PermanentFailure } from 'ringhook'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { digestKeyMaker, keyMaker } from '../../src/core/event/idempotency.ts'
import { endpoint, event } from '../helpers/endpoint.ts'
import { handInbox, started } from '../helpers/hand-inbox.ts'

const keyOf = keyMaker('krosai', '')

/** A store whose operations can be taken over one by one. */
function bound(store: IdempotencyStore): IdempotencyStore {
  return {
    claim: (...values) => store.claim(...values),
    extend: (...values) => store.extend(...values),
    complete: (...values) => store.complete(...values),
    release: (...values) => store.release(...values),
    forget: (...values) => store.forget(...values),
    status: (...values) => store.status(...values),
  }
}

describe('receiver.start(), an attempt', () => {
  it('runs the handler over the bytes, long after they arrived, and is done', async () => {
    const { inbox, deliver, clock, runs, outcomes, store: ownStore } = await started()
    await deliver()
    const receivedAt = clock.now()
    await clock.advance(40 * 24 * 3_600_000)

    expect(await inbox.hand(3)).toEqual({ state: 'completed' })
    expect(runs).toHaveLength(1)
    const { context, event: received } = runs[0] ?? expect.unreachable()
    expect(received).toMatchObject({
      id: 'evt_1',
      type: 'call.ringing',
      data: { call_id: 'call_1' },
    })
    expect(Buffer.from(context.rawBody).toString()).toContain('evt_1')
    expect(context).toMatchObject({ attempt: 3, fence: 1, idempotencyKey: keyOf('evt_1') })
    expect(context.deadline).toBeUndefined()
    expect(context.receivedAt).toEqual(new Date(receivedAt))
    expect(outcomes[1]).toMatchObject({
      outcome: 'handled',
      next: 'completed',
      attempt: 3,
      fence: 1,
    })
    expect(outcomes[1]).not.toHaveProperty('status')
    expect(ownStore.complete).toHaveBeenCalledOnce()
  })

  it('is done without a run when the event has finished', async () => {
    const { inbox, deliver, runs, outcomes } = await started()
    await deliver()
    await inbox.hand(1)

    expect(await inbox.hand(1)).toEqual({ state: 'completed' })
    expect(runs).toHaveLength(1)
    expect(outcomes.at(-1)).toMatchObject({ outcome: 'duplicate', next: 'completed' })
  })

  it('comes again when the handler throws: later each time, and no more after the last', async () => {
    const { inbox, deliver, lines, outcomes, clock } = await started({
      retry: { maxAttempts: 4, initialDelayMs: 1_000, maxDelayMs: 3_000 },
      logErrors: false,
      handle: () => {
        throw new TypeError('call +15550100')
      },
    })
    await deliver()
    const failure = {
      code: 'RINGHOOK_HANDLER_FAILED',
      reason: expect.stringMatching(/^TypeError at /),
      at: clock.now(),
    }

    for (const [number, most] of [
      [1, 1_000],
      [2, 2_000],
      [3, 3_000],
    ] as const) {
      const verdict = await inbox.hand(number)
      expect(verdict).toEqual({ state: 'retry', delayMs: expect.any(Number), failure })
      const { delayMs } = verdict as { readonly delayMs: number }
      expect(delayMs).toBeGreaterThanOrEqual(most / 2)
      expect(delayMs).toBeLessThanOrEqual(most)
      expect(outcomes.at(-1)).toMatchObject({ outcome: 'failed', next: 'retry', nextInMs: delayMs })
    }
    expect(await inbox.hand(4)).toEqual({ state: 'dead', failure })
    expect(outcomes.at(-1)).toMatchObject({ outcome: 'failed', next: 'dead' })
    expect(lines.filter((line) => line.includes('next attempt in'))).toHaveLength(3)
    expect(lines.at(-1)).toContain(
      'error ringhook krosai: call.ringing evt_1 attempt 4 failed, and is a dead letter now',
    )
    expect(JSON.stringify([lines, failure])).not.toContain('15550100')
  })

  it('follows the policy of its own key in on', async () => {
    const retry = {
      maxAttempts: 5,
      on: { '*': { maxAttempts: 2 }, 'call.*': { initialDelayMs: 0 } },
    }
    const fail = () => {
      throw new Error('no')
    }
    const { inbox, deliver } = await started({ retry, on: { '*': fail, 'call.*': fail } })
    await deliver()
    expect(await inbox.hand(4)).toMatchObject({ state: 'retry', delayMs: 0 })
    expect(await inbox.hand(5)).toMatchObject({ state: 'dead' })

    await deliver(event({ id: 'evt_2', event: 'sms.received' }))
    expect(await inbox.hand(1)).toMatchObject({ state: 'retry' })
    expect(await inbox.hand(2)).toMatchObject({ state: 'dead' })
  })

  it('has a verdict also when what the handler threw refuses every question', async () => {
    const { proxy, revoke } = Proxy.revocable(new Error('secret 555'), {})
    revoke()
    const { inbox, deliver, receiver } = await started({ handle: () => Promise.reject(proxy) })
    await deliver()

    expect(await inbox.hand(1)).toMatchObject({
      state: 'retry',
      failure: { code: 'RINGHOOK_HANDLER_FAILED', reason: 'a thrown object' },
    })
    expect(await receiver.close()).toEqual({ drained: true, running: 0 })
  })

  it('ends with a PermanentFailure as a dead letter, which a replay runs again', async () => {
    let isMended = false
    const { inbox, deliver, outcomes, runs } = await started({
      handle: () => {
        if (!isMended) throw new PermanentFailure('no such customer')
      },
    })
    await deliver()

    expect(await inbox.hand(1)).toMatchObject({
      state: 'dead',
      failure: { code: 'RINGHOOK_PERMANENT_FAILURE' },
    })
    expect(outcomes.at(-1)).toMatchObject({ code: 'RINGHOOK_PERMANENT_FAILURE', next: 'dead' })
    isMended = true
    expect(await inbox.hand(1)).toEqual({ state: 'completed' })
    expect(runs.map(({ context }) => context.fence)).toEqual([1, 2])
    expect(runs.map(({ context }) => context.idempotencyKey)).toEqual([
      keyOf('evt_1'),
      keyOf('evt_1'),
    ])
  })

  it('makes data that fails its schema a dead letter, which runs when the schema is mended', async () => {
    const inbox = handInbox()
    const first = await started({}, inbox)
    await first.deliver(event({ data: { call_id: 5 } }))

    expect(await inbox.hand(1)).toMatchObject({
      state: 'dead',
      failure: { code: 'RINGHOOK_EVENT_INVALID', reason: 'data.call_id: invalid_type' },
    })
    expect(first.runs).toEqual([])
    await first.receiver.close()

    const mended = { 'call.ringing': z.object({ call_id: z.coerce.string() }) }
    const second = await started({ events: mended } as object, inbox)
    expect(await inbox.hand(1)).toEqual({ state: 'completed' })
    expect(second.runs[0]?.event.data).toEqual({ call_id: '5' })
    expect(second.runs[0]?.context.idempotencyKey).toBe(keyOf('evt_1'))
  })

  it('keeps the key that it was put under, whatever eventId gives now', async () => {
    const inbox = handInbox()
    const first = await started({ eventId: () => 'one' }, inbox)
    await first.deliver()
    await first.receiver.close()
    const second = await started({ eventId: () => 'two' }, inbox)
    await inbox.hand(1)

    expect(second.runs[0]?.context.idempotencyKey).toBe(digestKeyMaker('krosai', '')('one'))
    expect(second.runs[0]?.event.id).toBe('two')
  })

  it('ends as a dead letter when all attempts before it crashed', async () => {
    const { inbox, deliver, runs, store: ownStore } = await started({ retry: { maxAttempts: 3 } })
    await deliver()

    expect(await inbox.hand(4)).toMatchObject({
      state: 'dead',
      failure: { code: 'RINGHOOK_ATTEMPTS_EXHAUSTED' },
    })
    expect(runs).toEqual([])
    expect(ownStore.release).toHaveBeenCalledOnce()
  })

  it('ends without its schema being asked, which may be what ends the process', async () => {
    let asked = 0
    const schema = z.unknown().refine(() => {
      asked++
      return true
    })
    const { inbox, deliver } = await started({ events: { 'call.ringing': schema } } as object)
    await deliver()
    asked = 0

    for (const number of [16, 101]) {
      expect(await inbox.hand(number)).toMatchObject({
        failure: { code: 'RINGHOOK_ATTEMPTS_EXHAUSTED' },
      })
    }
    expect(asked).toBe(0)
  })

  it('is done, and not dead, when the last attempt had finished the event before it crashed', async () => {
    const { inbox, deliver } = await started({ retry: { maxAttempts: 1 } })
    await deliver()
    await inbox.hand(1)

    expect(await inbox.hand(2)).toEqual({ state: 'completed' })
  })

  it('comes later, uncounted, while the event runs elsewhere', async () => {
    const { inbox, deliver, store: ownStore, clock } = await started()
    await deliver()
    const key = keyOf('evt_1')
    await ownStore.claim(key, { owner: 'else', leaseMs: 20_000, fingerprint: '' })
    const verdict = inbox.hand(1)
    await clock.advance(5_000)

    expect(await verdict).toEqual({ state: 'postponed', delayMs: expect.any(Number) })
    expect(await verdict).toMatchObject({
      delayMs: expect.toSatisfy((ms) => ms > 10_000 && ms <= 20_000),
    })
  })

  it('comes later, uncounted, while the store is away', async () => {
    const failing = { ...bound(memoryStore()), claim: () => Promise.reject(new Error('away')) }
    const inbox = handInbox()
    const { deliver, receiver, outcomes, runs } = endpoint({ inbox, store: failing })
    await receiver.start()
    await deliver()

    const verdict = await inbox.hand(15)
    expect(verdict).toMatchObject({ state: 'postponed' })
    expect((verdict as { readonly delayMs: number }).delayMs).toBeGreaterThanOrEqual(2_500)
    expect(outcomes.at(-1)).toMatchObject({ code: 'RINGHOOK_STORE_UNAVAILABLE', next: 'postponed' })
    expect(runs).toEqual([])
  })

  it('waits with its mark for a store that is away, which a sender could not', async () => {
    let isAway = true
    const base = memoryStore()
    const store: IdempotencyStore = {
      ...bound(base),
      complete: (...values) =>
        isAway ? Promise.reject(new Error('away')) : base.complete(...values),
      extend: (...values) => (isAway ? Promise.reject(new Error('away')) : base.extend(...values)),
    }
    const { inbox, deliver, clock, outcomes } = await started({ store })
    await deliver()
    const verdict = inbox.hand(1)
    await clock.advance(14 * 60_000)
    expect(outcomes).toHaveLength(1)
    isAway = false
    await clock.advance(2_000)

    expect(await verdict).toEqual({ state: 'completed' })
    expect(outcomes[1]).toMatchObject({ outcome: 'handled', next: 'completed' })
    expect(outcomes[1]).not.toHaveProperty('completionLost')
  })

  it.each([
    ['that stays away', 15 * 60_000 + 2_000, false],
    ['when the receiver is closed', 5_000, true],
  ])('is done without its mark by a store %s', async (_, ms, isClosed) => {
    const failing = {
      ...bound(memoryStore()),
      complete: () => Promise.reject(new Error('away')),
    }
    const { inbox, deliver, clock, outcomes, receiver } = await started({ store: failing })
    await deliver()
    const verdict = inbox.hand(1)
    await clock.advance(3_000)
    const closing = isClosed ? receiver.close() : undefined
    await clock.advance(ms)

    expect(await verdict).toEqual({ state: 'completed' })
    expect(outcomes[1]).toMatchObject({ outcome: 'handled', completionLost: true })
    await closing
  })

  it('is given back at once when the receiver is closed', async () => {
    const { inbox, deliver, receiver } = await started()
    await deliver()
    const closed = receiver.close()
    expect(await inbox.hand(1)).toEqual({ state: 'postponed', delayMs: 0 })
    await closed
    expect(inbox.calls).toEqual(['start', 'stop 10000'])
  })

  it('does not count when its handler fails because the receiver is closed', async () => {
    const { inbox, deliver, receiver, clock, outcomes } = await started({
      retry: { maxAttempts: 1 },
      handle: (_event, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
    })
    await deliver()
    const verdict = inbox.hand(1)
    await clock.advance(0)
    const closing = receiver.close({ drainMs: 1_000 })
    await clock.advance(1_000)

    expect(await verdict).toEqual({ state: 'postponed', delayMs: 0 })
    expect(outcomes.at(-1)).toMatchObject({ outcome: 'failed', next: 'postponed' })
    await closing
  })

  it('becomes a dead letter when its handler was removed since', async () => {
    const inbox = handInbox()
    const first = await started({}, inbox)
    await first.deliver()
    await first.receiver.close()
    const second = await started({ on: { 'call.completed': () => {} } }, inbox)

    expect(await inbox.hand(1)).toMatchObject({
      state: 'dead',
      failure: { code: 'RINGHOOK_HANDLER_MISSING' },
    })
    expect(second.outcomes).toMatchObject([{ code: 'RINGHOOK_HANDLER_MISSING', next: 'dead' }])
  })

  it.each([
    ['a newer version', { version: 2 }, /has version 2, and this ringhook knows version 1/],
    ['no version', { version: undefined }, /no version/],
    ['no body', { body: undefined }, /body is no text/],
    ['a body that is no base64', { body: '***=' }, /no base64/],
    ['no time', { receivedAt: 'x' }, /receivedAt/],
    ['no headers', { headers: [5] }, /headers/],
  ])('becomes a dead letter when what was kept has %s', async (_, changes, reason) => {
    const { inbox, deliver, outcomes, lines } = await started()
    await deliver()
    const delivery = { ...inbox.puts[0]?.delivery, ...changes }

    expect(await inbox.hand(1, delivery)).toMatchObject({
      state: 'dead',
      failure: { code: 'RINGHOOK_DELIVERY_UNREADABLE', reason: expect.stringMatching(reason) },
    })
    expect(outcomes.at(-1)).toMatchObject({ code: 'RINGHOOK_DELIVERY_UNREADABLE', next: 'dead' })
    expect(lines.at(-1)).toMatch(reason)
  })

  it.each([[undefined], [null], ['{'], [5], [[]]])(
    'becomes a dead letter when %j was kept',
    async (kept) => {
      const { inbox } = await started()
      const verdict = await inbox.hand(1, kept === undefined ? null : kept)
      expect(verdict).toMatchObject({ failure: { code: 'RINGHOOK_DELIVERY_UNREADABLE' } })
    },
  )

  it('becomes a dead letter when no receiver here is for its provider', async () => {
    const { inbox, deliver, outcomes } = await started()
    await deliver()
    const foreign = { ...inbox.puts[0]?.delivery, provider: 'odis' }

    expect(await inbox.hand(1, foreign)).toMatchObject({
      state: 'dead',
      failure: { code: 'RINGHOOK_RECEIVER_MISSING' },
    })
    expect(outcomes.at(-1)).toMatchObject({ provider: 'odis', code: 'RINGHOOK_RECEIVER_MISSING' })
  })

  it('becomes a dead letter when its bytes are no event any more', async () => {
    const { inbox, deliver } = await started()
    await deliver()
    const damaged = { ...inbox.puts[0]?.delivery, body: Buffer.from('{').toString('base64') }

    expect(await inbox.hand(1, damaged)).toMatchObject({
      state: 'dead',
      failure: { code: 'RINGHOOK_BODY_NOT_JSON' },
    })
  })
})

describe('context.complete(), in a worker', () => {
  const transaction = {}

  it.each([
    ['true', () => true, 'handled'],
    ['a promise of true', async () => true, 'handled'],
    ['nothing, as it has no part in it', () => undefined, 'handled'],
    ['false', () => false, 'failed'],
    ['a promise of false', async () => false, 'failed'],
  ])(
    'ends the delivery in the same transaction, which answers %s',
    async (_, complete, outcome) => {
      const given: unknown[] = []
      const inbox = handInbox()
      const base = memoryStore()
      let owner = ''
      const marked = {
        ...base,
        claim: async (...values: Parameters<typeof base.claim>) => {
          // The second claim of one owner asks whether the transaction was committed.
          if (owner === values[1].owner) return { state: 'completed', fingerprint: '' } as const
          owner = values[1].owner
          return await base.claim(...values)
        },
        complete: () => true,
      }
      const { deliver, receiver, outcomes } = endpoint({
        inbox,
        store: marked,
        handle: (_event, context) => context.complete(transaction),
      })
      await receiver.start()
      await deliver()
      const attempt = {
        complete: (value: unknown) => {
          given.push(value)
          return complete()
        },
      }
      await inbox.hand(1, undefined, attempt)

      expect(given).toEqual([transaction])
      expect(outcomes.at(-1)).toMatchObject({ outcome })
    },
  )
})
