import assert from 'node:assert/strict'
import type { OutgoingHttpHeaders } from 'node:http'
import type { Clock } from '../../core/clock.ts'
import type { DeliveryCode } from '../../core/errors.ts'
import { assertAnswer, newEvent, signature, signed, timestampOf, wholeOf } from './events.ts'
import type { Rule } from './harness.ts'

const day = 24 * 60 * 60_000

const forgeries: readonly (readonly [
  name: string,
  forge: (body: Buffer) => OutgoingHttpHeaders,
])[] = [
  ['no signature', () => ({})],
  ['the signature of other bytes', () => signature(Buffer.from('{}'))],
  ['its signature twice', (body) => ({ 'x-webhook-signature': [goodOne(body), goodOne(body)] })],
  [
    'its signature in upper case',
    (body) => ({ 'x-webhook-signature': goodOne(body).toUpperCase() }),
  ],
  ['its signature without a prefix', (body) => ({ 'x-webhook-signature': goodOne(body).slice(7) })],
  ['a byte after its signature', (body) => ({ 'x-webhook-signature': `${goodOne(body)}0` })],
  ['a non-ASCII signature', () => ({ 'x-webhook-signature': `sha256=${'é'.repeat(64)}` })],
]

const unfit: readonly (readonly [
  name: string,
  code: DeliveryCode,
  make: (clock: Clock) => Buffer,
])[] = [
  ['that is not JSON', 'RINGHOOK_BODY_NOT_JSON', () => Buffer.from('event=call.ringing')],
  ['that is not an object', 'RINGHOOK_BODY_NOT_JSON', () => Buffer.from('["call.ringing"]')],
  [
    'that is nested too deeply',
    'RINGHOOK_BODY_TOO_DEEP',
    (clock) => newEvent(clock, { data: nested(300) }),
  ],
  ['without an event', 'RINGHOOK_EVENT_MISSING', (clock) => newEvent(clock, { event: undefined })],
  [
    'without a timestamp',
    'RINGHOOK_TIMESTAMP_MISSING',
    (clock) => newEvent(clock, { timestamp: undefined }),
  ],
  [
    'with an invalid timestamp',
    'RINGHOOK_TIMESTAMP_INVALID',
    (clock) => newEvent(clock, { timestamp: 'soon' }),
  ],
  [
    'from 31 days ago',
    'RINGHOOK_TIMESTAMP_TOO_OLD',
    (clock) => newEvent(clock, { timestamp: timestampOf(clock, 31 * day) }),
  ],
  [
    'from tomorrow',
    'RINGHOOK_TIMESTAMP_IN_FUTURE',
    (clock) => newEvent(clock, { timestamp: timestampOf(clock, -day) }),
  ],
]

/** A delivery that is refused: no handler runs, and nothing is claimed. */
export function refusalRules(rule: Rule): void {
  for (const [name, forge] of forgeries) {
    rule(`answers 401 to a delivery with ${name}`, async ({ clock, open }) => {
      const endpoint = await open()
      const body = newEvent(clock)
      const answer = await endpoint.send({ body, headers: forge(body) })
      assertAnswer(answer, 401, 'rejected', 'RINGHOOK_NOT_AUTHENTIC')
      assert.deepEqual([endpoint.calls, endpoint.claims], [[], []])
    })
  }

  for (const [name, code, make] of unfit) {
    rule(`answers 400 to an authentic body ${name}`, async ({ clock, open }) => {
      const endpoint = await open()
      assertAnswer(await endpoint.send(signed(make(clock))), 400, 'rejected', code)
      assert.deepEqual([endpoint.calls, endpoint.claims], [[], []])
    })
  }

  for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    rule(`answers 405 to ${method}, naming POST as allowed`, async ({ clock, open }) => {
      const endpoint = await open()
      // Authentic in everything but the method.
      const answer = await endpoint.send({ ...signed(newEvent(clock)), method })
      assertAnswer(answer, 405, 'rejected', 'RINGHOOK_METHOD_NOT_ALLOWED', { allow: 'POST' })
      assert.deepEqual(endpoint.calls, [])
    })
  }

  rule('answers 405 to HEAD without a body, naming POST as allowed', async ({ open }) => {
    const endpoint = await open()
    const answer = await endpoint.send({ method: 'HEAD' })
    const get = await endpoint.send({ method: 'GET' })
    assert.deepEqual(wholeOf(answer), { ...wholeOf(get), body: '' })
    assert.equal(answer.status, 405)
  })

  for (const encoding of ['gzip', 'br', 'identity, gzip', 'nonsense']) {
    rule(`answers 415 to the content encoding "${encoding}"`, async ({ clock, open }) => {
      const endpoint = await open()
      const answer = await endpoint.send(signed(newEvent(clock), { 'content-encoding': encoding }))
      assertAnswer(answer, 415, 'rejected', 'RINGHOOK_BODY_ENCODED')
      assert.deepEqual(endpoint.calls, [])
    })
  }

  rule('accepts a body whose content encoding is "identity"', async ({ clock, open }) => {
    const endpoint = await open()
    const answer = await endpoint.send(signed(newEvent(clock), { 'content-encoding': 'identity' }))
    assertAnswer(answer, 200, 'handled')
  })

  rule(
    'answers 403 to an address that is not allowed, whatever the headers say',
    async ({ clock, open }) => {
      const endpoint = await open({ allowedIps: ['192.0.2.1'] })
      const claimed = { 'x-forwarded-for': '192.0.2.1', forwarded: 'for=192.0.2.1' }
      const answer = await endpoint.send(signed(newEvent(clock), claimed))
      assertAnswer(answer, 403, 'rejected', 'RINGHOOK_IP_NOT_ALLOWED')
      assert.deepEqual(endpoint.calls, [])
    },
  )

  rule(
    'accepts a delivery whose connection comes from an allowed address',
    async ({ clock, open }) => {
      const endpoint = await open({ allowedIps: ['127.0.0.0/8', '::1'] })
      assertAnswer(await endpoint.send(signed(newEvent(clock))), 200, 'handled')
    },
  )

  rule(
    'accepts a delivery from an allowed address that a trusted proxy names',
    async ({ clock, open }) => {
      const endpoint = await open({ allowedIps: ['192.0.2.1'], trustedProxies: 'loopback' })
      const allowed = signed(newEvent(clock), { 'x-forwarded-for': '192.0.2.1' })
      assertAnswer(await endpoint.send(allowed), 200, 'handled')
      const other = signed(newEvent(clock), { 'x-forwarded-for': '192.0.2.1, 192.0.2.2' })
      assertAnswer(await endpoint.send(other), 403, 'rejected', 'RINGHOOK_IP_NOT_ALLOWED')
    },
  )

  rule('reads a token from the query', async ({ clock, open }) => {
    const urlToken = 'token_&_a_half=/?%20'
    const endpoint = await open({ urlToken })
    const query = `?a=1&token=${encodeURIComponent(urlToken)}`
    assertAnswer(await endpoint.send({ ...signed(newEvent(clock)), query }), 200, 'handled')
    for (const wrong of ['', '?token=', `${query}&token=x`]) {
      const answer = await endpoint.send({ ...signed(newEvent(clock)), query: wrong })
      assertAnswer(answer, 401, 'rejected', 'RINGHOOK_NOT_AUTHENTIC')
    }
  })
}

function goodOne(body: Buffer): string {
  return signature(body)['x-webhook-signature']
}

function nested(levels: number): unknown {
  let value: unknown = 'c'
  for (let level = 0; level < levels; level++) value = { call_id: value }
  return value
}
