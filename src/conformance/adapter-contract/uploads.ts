import assert from 'node:assert/strict'
import { newGate } from '../gate.ts'
import { assertAnswer, newEvent, newEventAround, signature, signed } from './events.ts'
import type { Rule } from './harness.ts'
import {
  begin,
  headOf,
  keptConnection,
  sendForEver,
  type WireRequest,
  writeThenRead,
} from './wire.ts'

/** More than sockets hold, so that the sender still sends when it is refused. */
const large = 8 * 1024 * 1024
const endless = 'content-length: 1000000000000'

/** Bodies that are too long, too slow, or never come to their end. */
export function uploadRules(rule: Rule): void {
  for (const chunked of [false, true]) {
    const length = chunked ? 'no declared length' : 'a declared length'

    rule(`accepts a body of exactly the maximum size, with ${length}`, async ({ clock, open }) => {
      const body = newEvent(clock)
      const endpoint = await open({ maxBodyBytes: body.length })
      assertAnswer(await endpoint.send({ ...signed(body), chunked }), 200, 'handled')
    })

    rule(
      `answers 413 to a body one byte over the limit, with ${length}`,
      async ({ clock, open }) => {
        const body = newEvent(clock)
        const endpoint = await open({ maxBodyBytes: body.length - 1 })
        const answer = await endpoint.send({ ...signed(body), chunked })
        assertAnswer(answer, 413, 'rejected', 'RINGHOOK_BODY_TOO_LARGE')
        assert.deepEqual(endpoint.calls, [])
      },
    )

    rule(
      `answers 413 to a large upload in progress, and accepts the next delivery on the same connection, with ${length}`,
      async ({ clock, open }) => {
        const endpoint = await open({ maxBodyBytes: 1_024 })
        const agent = keptConnection()
        const upload: WireRequest = { ...signed(Buffer.alloc(large)), chunked, agent }
        assertAnswer(await endpoint.send(upload), 413, 'rejected', 'RINGHOOK_BODY_TOO_LARGE')
        assertAnswer(await endpoint.send({ ...signed(newEvent(clock)), agent }), 200, 'handled')
        agent.destroy()
      },
    )

    for (const connection of ['keep-alive', 'close']) {
      rule(
        `answers 413 to a sender that writes everything before it reads, on a ${connection} connection with ${length}`,
        async ({ open }) => {
          const endpoint = await open({ maxBodyBytes: 1_024 })
          const request = rawRequest(endpoint.url, connection, chunked, Buffer.alloc(large))
          const answer = await writeThenRead(endpoint.url, request)
          assertAnswer(answer, 413, 'rejected', 'RINGHOOK_BODY_TOO_LARGE')
        },
      )
    }
  }

  rule('cuts off an endless upload after its sender could read the 413', async ({ open }) => {
    const endpoint = await open({ maxBodyBytes: 1_024 })
    const head = headOf(endpoint.url, 'keep-alive', endless)
    const answer = await sendForEver(endpoint.url, head, Buffer.alloc(64 * 1024))
    if (answer === undefined) assert.fail('the connection ended before the answer')
    assertAnswer(answer, 413, 'rejected', 'RINGHOOK_BODY_TOO_LARGE')
  })

  for (const connection of ['close', 'x-close']) {
    rule(
      `cuts off an endless upload on a connection with "connection: ${connection}"`,
      async ({ open }) => {
        const endpoint = await open({ maxBodyBytes: 1_024 })
        const head = headOf(endpoint.url, connection, endless)
        // That its sender reads an answer cannot be promised: Node closes the connection with it.
        await sendForEver(endpoint.url, head, Buffer.alloc(64 * 1024))
        assert.equal(endpoint.outcomes[0]?.code, 'RINGHOOK_BODY_TOO_LARGE')
      },
    )
  }

  rule('answers 408 to a body that arrives at one byte a second', async ({ clock, open }) => {
    const endpoint = await open({ bodyTimeoutMs: 5_000, watchBytes: true })
    const body = newEvent(clock)
    const sender = begin(endpoint.url, {
      headers: { ...signature(body), 'content-length': body.length },
    })
    for (let second = 0; second < 5; second++) {
      assert.deepEqual(endpoint.outcomes, [])
      await sender.write(body.subarray(second, second + 1))
      await endpoint.until(() => endpoint.bytes === second + 1)
      await clock.advance(1_000)
    }
    assertAnswer(await sender.answer, 408, 'rejected', 'RINGHOOK_BODY_TIMEOUT')
    assert.deepEqual(endpoint.calls, [])
    await sender.leave()
  })

  for (const chunked of [false, true]) {
    const length = chunked ? 'no declared length' : 'a declared length'

    rule(
      `forgets a sender that disconnects before the end of its body, with ${length}`,
      async ({ clock, open }) => {
        const endpoint = await open({ watchBytes: true })
        const body = newEventAround(clock, '{"call_id":"call_abc123"}')
        const half = body.length >> 1
        const sender = begin(endpoint.url, {
          headers: { ...signature(body), ...(!chunked && { 'content-length': body.length }) },
        })
        await sender.write(body.subarray(0, half))
        await endpoint.until(() => endpoint.bytes === half)
        await sender.leave()
        await endpoint.until(() => endpoint.outcomes.length === 1)
        const [{ outcome, status, code } = {}] = endpoint.outcomes
        assert.deepEqual([outcome, status, code], ['rejected', 400, 'RINGHOOK_BODY_ABORTED'])
        assert.deepEqual([endpoint.calls, endpoint.claims], [[], []])
        assertAnswer(await endpoint.send(signed(body)), 200, 'handled')
      },
    )
  }

  rule(
    'lets the handler finish after its sender disconnects, and answers duplicate to a repeat',
    async ({ clock, open }) => {
      const { opened, open: finish } = newGate()
      const endpoint = await open({ handle: () => opened })
      const delivery = signed(newEvent(clock))
      const { body, ...head } = delivery
      const sender = begin(endpoint.url, { ...head })
      sender.end(body)
      await endpoint.until(() => endpoint.calls.length === 1)
      await sender.leave()
      // One more exchange, by the end of which the server has seen the other connection end.
      await endpoint.send({ method: 'GET' })
      finish()
      await endpoint.receiver.idle()
      assertAnswer(await endpoint.send(delivery), 200, 'duplicate')
      assert.equal(endpoint.calls.length, 1)
    },
  )
}

function rawRequest(url: string, connection: string, chunked: boolean, body: Buffer): Buffer {
  if (!chunked) {
    return Buffer.concat([
      Buffer.from(headOf(url, connection, `content-length: ${body.length}`)),
      body,
    ])
  }
  const head = headOf(url, connection, 'transfer-encoding: chunked')
  const chunk = `${body.length.toString(16)}\r\n`
  return Buffer.concat([Buffer.from(head + chunk), body, Buffer.from('\r\n0\r\n\r\n')])
}
