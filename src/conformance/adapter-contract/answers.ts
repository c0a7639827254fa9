import assert from 'node:assert/strict'
import { PermanentFailure } from '../../core/errors.ts'
import { newGate } from '../gate.ts'
import { assertAnswer, newEvent, signed } from './events.ts'
import type { Rule } from './harness.ts'

/** An authentic delivery: what is answered, and what the next one of the same event finds. */
export function answerRules(rule: Rule): void {
  rule(
    'answers 200 handled when the handler has finished, and 200 duplicate to a repeat',
    async ({ clock, open }) => {
      const endpoint = await open()
      const delivery = signed(newEvent(clock))
      assertAnswer(await endpoint.send(delivery), 200, 'handled')
      assertAnswer(await endpoint.send(delivery), 200, 'duplicate')
      assert.equal(endpoint.calls.length, 1)
    },
  )

  rule(
    'answers 200 duplicate to other bytes under the id of a completed event',
    async ({ clock, open }) => {
      const endpoint = await open()
      assertAnswer(await endpoint.send(signed(newEvent(clock, { id: 'evt_1' }))), 200, 'handled')
      const changed = newEvent(clock, { id: 'evt_1', data: { call_id: 'call_xyz789' } })
      assertAnswer(await endpoint.send(signed(changed)), 200, 'duplicate')
      assert.equal(endpoint.outcomes[1]?.bodyChanged, true)
      assert.equal(endpoint.calls.length, 1)
    },
  )

  rule('answers 200 ignored to an event without a handler', async ({ clock, open }) => {
    const endpoint = await open()
    for (const event of ['endpoint.deleted', 'never.documented', 'constructor']) {
      assertAnswer(await endpoint.send(signed(newEvent(clock, { event }))), 200, 'ignored')
    }
    assert.deepEqual(endpoint.claims, [])
  })

  rule(
    'makes a repeat wait while the first is running, then answers 200 duplicate',
    async ({ clock, open }) => {
      const { opened, open: finish } = newGate()
      const endpoint = await open({ handle: () => opened })
      const delivery = signed(newEvent(clock))
      const first = endpoint.send(delivery)
      await endpoint.until(() => endpoint.calls.length === 1)
      const second = endpoint.send(delivery)
      await endpoint.until(() => endpoint.waits === 1)
      finish()
      assertAnswer(await first, 200, 'handled')
      assertAnswer(await second, 200, 'duplicate')
      assert.equal(endpoint.calls.length, 1)
    },
  )

  rule(
    'makes a repeat wait while the first is running, and runs it if the first fails',
    async ({ clock, open }) => {
      const { opened, open: fail } = newGate()
      const endpoint = await open({
        handle: async (_, { attempt }) => {
          if (attempt > 1) return
          await opened
          throw new Error('no')
        },
      })
      const delivery = signed(newEvent(clock))
      const first = endpoint.send(delivery)
      await endpoint.until(() => endpoint.calls.length === 1)
      const second = endpoint.send(delivery)
      await endpoint.until(() => endpoint.waits === 1)
      fail()
      assertAnswer(await first, 500, 'failed', 'RINGHOOK_HANDLER_FAILED')
      assertAnswer(await second, 200, 'handled')
    },
  )

  rule(
    'answers 503 in flight to a repeat that waited 2 s, with the rest of the lease in Retry-After',
    async ({ clock, open }) => {
      const { opened, open: finish } = newGate()
      const endpoint = await open({ handle: () => opened })
      const delivery = signed(newEvent(clock))
      const first = endpoint.send(delivery)
      await endpoint.until(() => endpoint.calls.length === 1)
      const second = endpoint.send(delivery)
      await endpoint.until(() => endpoint.waits === 1)
      await clock.advance(2_000)
      assertAnswer(await second, 503, 'in_flight', 'RINGHOOK_IN_FLIGHT', { retryAfter: 28 })
      finish()
      assertAnswer(await first, 200, 'handled')
    },
  )

  rule(
    'answers 500 without details when the handler throws, and runs a repeat as the second attempt',
    async ({ clock, open }) => {
      const endpoint = await open({
        handle: (_, { attempt }) => {
          if (attempt === 1) throw new Error('a private matter')
        },
      })
      const delivery = signed(newEvent(clock))
      assertAnswer(await endpoint.send(delivery), 500, 'failed', 'RINGHOOK_HANDLER_FAILED')
      assertAnswer(await endpoint.send(delivery), 200, 'handled')
      assert.deepEqual(
        endpoint.calls.map(({ context }) => context.attempt),
        [1, 2],
      )
    },
  )

  rule(
    'answers 200 failed to a permanent failure, and 200 duplicate to a repeat',
    async ({ clock, open }) => {
      const endpoint = await open({
        handle: () => {
          throw new PermanentFailure('a private matter')
        },
      })
      const delivery = signed(newEvent(clock))
      assertAnswer(await endpoint.send(delivery), 200, 'failed', 'RINGHOOK_PERMANENT_FAILURE')
      assertAnswer(await endpoint.send(delivery), 200, 'duplicate')
    },
  )

  rule(
    'answers 503 past the deadline while the handler continues, and 200 duplicate to a later repeat',
    async ({ clock, open }) => {
      const { opened, open: finish } = newGate()
      const endpoint = await open({ handle: () => opened })
      const delivery = signed(newEvent(clock))
      const answer = endpoint.send(delivery)
      await endpoint.until(() => endpoint.calls.length === 1)
      await clock.advance(10_000)
      assertAnswer(await answer, 503, 'timed_out', 'RINGHOOK_DEADLINE_EXCEEDED', { retryAfter: 30 })
      finish()
      await endpoint.receiver.idle()
      assertAnswer(await endpoint.send(delivery), 200, 'duplicate')
      assert.equal(endpoint.calls.length, 1)
    },
  )

  rule('answers 503 and runs no handler while the store is down', async ({ clock, open }) => {
    const endpoint = await open()
    endpoint.failing = 'claim'
    const delivery = signed(newEvent(clock))
    assertAnswer(await endpoint.send(delivery), 503, 'unavailable', 'RINGHOOK_STORE_UNAVAILABLE', {
      retryAfter: 30,
    })
    assert.deepEqual(endpoint.calls, [])
    endpoint.failing = undefined
    assertAnswer(await endpoint.send(delivery), 200, 'handled')
  })

  rule(
    'answers 200 when the handler has finished but the store cannot record it by the deadline',
    async ({ clock, open }) => {
      const endpoint = await open()
      endpoint.failing = 'complete'
      const delivery = signed(newEvent(clock))
      const answer = endpoint.send(delivery)
      await endpoint.until(() => endpoint.calls.length === 1)
      await clock.advance(10_000)
      assertAnswer(await answer, 200, 'handled')
      assert.equal(endpoint.outcomes[0]?.completionLost, true)

      // The marking goes on: once the store is back, a repeat is known again.
      endpoint.failing = undefined
      await clock.advance(1_000)
      await endpoint.receiver.idle()
      assertAnswer(await endpoint.send(delivery), 200, 'duplicate')
    },
  )

  rule('answers 503 while the secret is unavailable', async ({ clock, open }) => {
    const endpoint = await open({ secret: () => Promise.reject(new Error('the vault is away')) })
    const answer = await endpoint.send(signed(newEvent(clock)))
    assertAnswer(answer, 503, 'unavailable', 'RINGHOOK_SECRET_UNAVAILABLE', { retryAfter: 30 })
  })

  rule('answers 503 to new deliveries once the receiver is closed', async ({ clock, open }) => {
    const endpoint = await open()
    await endpoint.receiver.close()
    const answer = await endpoint.send(signed(newEvent(clock)))
    assertAnswer(answer, 503, 'unavailable', 'RINGHOOK_SHUTTING_DOWN', { retryAfter: 30 })
    assert.deepEqual(endpoint.calls, [])
  })

  for (const [invalidEvents, status] of [
    ['reject', 422],
    ['acknowledge', 200],
  ] as const) {
    rule(
      `answers ${status} to data that fails its schema, with invalidEvents "${invalidEvents}"`,
      async ({ clock, open }) => {
        const endpoint = await open({ invalidEvents })
        const body = newEvent(clock, { data: { call_id: 7 } })
        assertAnswer(await endpoint.send(signed(body)), status, 'invalid', 'RINGHOOK_EVENT_INVALID')
        assert.deepEqual(endpoint.calls, [])
      },
    )
  }
}
