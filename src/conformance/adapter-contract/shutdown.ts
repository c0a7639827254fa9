import assert from 'node:assert/strict'
import { newGate } from '../gate.ts'
import { assertAnswer, newEvent, signature, signed } from './events.ts'
import type { Rule } from './harness.ts'
import { begin, headOf, keptConnection, writeThenRead } from './wire.ts'

/** What senders see of a receiver that is being closed. The clock stands still: nothing is waited for. */
export function shutdownRules(rule: Rule): void {
  rule(
    'sends "connection: close" with every answer once the receiver is closing',
    async ({ clock, open }) => {
      const endpoint = await open()
      const agent = keptConnection()
      const before = await endpoint.send({ ...signed(newEvent(clock)), agent })
      assert.equal(before.headers['connection'], 'keep-alive')

      const closing = endpoint.receiver.close({ acceptForMs: 5_000 })
      const meanwhile = await endpoint.send({ ...signed(newEvent(clock)), agent })
      assertAnswer(meanwhile, 200, 'handled')
      const refused = await endpoint.send({ body: newEvent(clock), agent })
      assertAnswer(refused, 401, 'rejected', 'RINGHOOK_NOT_AUTHENTIC')
      await clock.advance(5_000)
      await closing
      const after = await endpoint.send({ ...signed(newEvent(clock)), agent })
      assertAnswer(after, 503, 'unavailable', 'RINGHOOK_SHUTTING_DOWN', { retryAfter: 30 })

      for (const { headers } of [meanwhile, refused, after]) {
        assert.equal(headers['connection'], 'close')
      }
      agent.destroy()
    },
  )

  rule(
    'sends "connection: close" with the answer of a handler that finishes while the receiver closes',
    async ({ clock, open }) => {
      const { opened, open: finish } = newGate()
      const endpoint = await open({ handle: () => opened })
      const agent = keptConnection()
      const answer = endpoint.send({ ...signed(newEvent(clock)), agent })
      await endpoint.until(() => endpoint.calls.length === 1)
      const closing = endpoint.receiver.close()
      finish()
      assertAnswer(await answer, 200, 'handled')
      assert.equal((await answer).headers['connection'], 'close')
      assert.deepEqual(await closing, { drained: true, running: 0 })
      agent.destroy()
    },
  )

  for (const chunked of [false, true]) {
    const length = chunked ? 'no declared length' : 'a declared length'

    for (const keepsAlive of [true, false]) {
      rule(
        `answers 503 to a half-received upload when the receiver closes, without waiting for the rest, on a ${keepsAlive ? 'keep-alive' : 'close'} connection with ${length}`,
        async ({ clock, open }) => {
          const endpoint = await open({ watchBytes: true })
          const body = newEvent(clock)
          const half = body.length >> 1
          const agent = keepsAlive && keptConnection()
          const sender = begin(endpoint.url, {
            headers: { ...signature(body), ...(!chunked && { 'content-length': body.length }) },
            agent,
          })
          await sender.write(body.subarray(0, half))
          await endpoint.until(() => endpoint.bytes === half)
          assert.deepEqual(await endpoint.receiver.close(), { drained: true, running: 0 })
          const answer = await sender.answer
          assertAnswer(answer, 503, 'unavailable', 'RINGHOOK_SHUTTING_DOWN', { retryAfter: 30 })
          assert.equal(answer.headers['connection'], 'close')
          assert.deepEqual([endpoint.calls, endpoint.claims], [[], []])
          await sender.leave()
        },
      )
    }
  }

  rule(
    'answers 503 to a sender that writes everything before it reads, when the receiver closes meanwhile',
    async ({ open }) => {
      const large = 8 * 1024 * 1024
      const endpoint = await open({ maxBodyBytes: large, watchBytes: true })
      const head = headOf(endpoint.url, 'keep-alive', `content-length: ${large}`)
      const request = Buffer.concat([Buffer.from(head), Buffer.alloc(large)])
      const answer = writeThenRead(endpoint.url, request)
      await endpoint.until(() => endpoint.bytes > 0)
      await endpoint.receiver.close()
      assertAnswer(await answer, 503, 'unavailable', 'RINGHOOK_SHUTTING_DOWN', { retryAfter: 30 })
    },
  )
}
