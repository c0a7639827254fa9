import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import { assertAnswer, newEvent, newEventAround, signature, signed, timestampOf } from './events.ts'
import type { Endpoint, Rule } from './harness.ts'
import { begin } from './wire.ts'

/** Bodies that any detour over text or over objects would change. */
const bodies: readonly (readonly [name: string, make: (clock: Clock) => Buffer])[] = [
  ['with CRLF line endings and surrounding whitespace', withWhiteSpace],
  ['in Devanagari', (clock) => newEventAround(clock, '{"call_id":"c","transcript":"नमस्ते, कैसे हैं?"}')],
  ['with a literal emoji', (clock) => newEventAround(clock, '{"call_id":"💥"}')],
  ['with an escaped emoji', (clock) => newEventAround(clock, '{"call_id":"\\ud83d\\ude00"}')],
  [
    "with half of an escaped emoji's surrogate pair's surrogate pair",
    (clock) => newEventAround(clock, '{"call_id":"\\ud83d"}'),
  ],
  ['with the number 1.0', (clock) => newEventAround(clock, '{"call_id":"c","cost":1.0}')],
  [
    'with the number 2^53 + 1',
    (clock) => newEventAround(clock, '{"call_id":"c","n":9007199254740993}'),
  ],
  ['with a duplicate key', (clock) => newEventAround(clock, '{"call_id":"a","call_id":"b"}')],
  [
    'with a byte order mark inside a string',
    (clock) => newEventAround(clock, '{"call_id":"\uFEFFc"}'),
  ],
  [
    'with a key named __proto__',
    (clock) => newEventAround(clock, '{"call_id":"c","__proto__":{}}'),
  ],
  ['with $$ and %s in it', (clock) => newEventAround(clock, '{"call_id":"$$ $& %s %"}')],
  [
    'of 900 kB',
    (clock) => newEventAround(clock, `{"call_id":"c","transcript":"${'अ'.repeat(300_000)}"}`),
  ],
]

const contentTypes = [
  undefined,
  '',
  'text/plain',
  'text/html; =',
  'application/json; charset=utf-16',
  'application/json;',
  'application/x-www-form-urlencoded',
  'multipart/form-data',
  'multipart/form-data; boundary=x',
  'application/octet-stream',
  'nonsense',
]

/** The bytes that were sent are the bytes that are verified and handed over. */
export function bodyRules(rule: Rule): void {
  for (const [name, make] of bodies) {
    rule(`hands over the exact bytes of a body ${name}`, async ({ clock, open }) => {
      const endpoint = await open()
      const body = make(clock)
      assertAnswer(await endpoint.send(signed(body)), 200, 'handled')
      assertHandedOver(endpoint, body)
    })
  }

  rule(
    'hands over the exact bytes of a body without a declared length',
    async ({ clock, open }) => {
      const endpoint = await open()
      const body = newEventAround(clock, '{"call_id":"नमस्ते"}')
      assertAnswer(await endpoint.send({ ...signed(body), chunked: true }), 200, 'handled')
      assertHandedOver(endpoint, body)
    },
  )

  rule(
    'hands over the exact bytes of a body that arrives in two parts, split inside a character',
    async ({ clock, open }) => {
      const endpoint = await open({ watchBytes: true })
      const body = newEventAround(clock, '{"call_id":"नमस्ते"}')
      const cut = body.indexOf('न') + 1
      const sender = begin(endpoint.url, {
        headers: { ...signature(body), 'content-length': body.length },
      })
      await sender.write(body.subarray(0, cut))
      await endpoint.until(() => endpoint.bytes === cut)
      sender.end(body.subarray(cut))
      assertAnswer(await sender.answer, 200, 'handled')
      assertHandedOver(endpoint, body)
    },
  )

  for (const contentType of contentTypes) {
    const name = contentType === undefined ? 'no content type' : `the content type "${contentType}"`
    rule(`hands over the exact bytes of a body with ${name}`, async ({ clock, open }) => {
      const endpoint = await open()
      const body = newEventAround(clock, '{"call_id":"नमस्ते"}')
      const headers = {
        ...signature(body),
        ...(contentType !== undefined && { 'content-type': contentType }),
      }
      assertAnswer(await endpoint.send({ body, headers }), 200, 'handled')
      assertHandedOver(endpoint, body)
    })
  }

  rule('verifies the raw bytes of invalid UTF-8, then rejects them', async ({ clock, open }) => {
    const endpoint = await open()
    const body = newEventAround(clock, '{"call_id":"?"}')
    body[body.indexOf('?')] = 0xff
    assertAnswer(await endpoint.send(signed(body)), 400, 'rejected', 'RINGHOOK_BODY_NOT_UTF8')

    // What a decoder makes of the bytes has another signature.
    const decoded = Buffer.from(body.toString('utf8'), 'utf8')
    const forged = { body, headers: signature(decoded) }
    assertAnswer(await endpoint.send(forged), 401, 'rejected', 'RINGHOOK_NOT_AUTHENTIC')
    assert.deepEqual(endpoint.calls, [])
  })

  rule(
    'verifies a leading byte order mark with the rest, then rejects it as invalid JSON',
    async ({ clock, open }) => {
      const endpoint = await open()
      const body = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), newEvent(clock)])
      assertAnswer(await endpoint.send(signed(body)), 400, 'rejected', 'RINGHOOK_BODY_NOT_JSON')
      assert.deepEqual(endpoint.calls, [])
    },
  )

  rule(
    'rejects an empty body: as invalid JSON if it is signed, as not authentic otherwise',
    async ({ open }) => {
      const endpoint = await open()
      const empty = Buffer.alloc(0)
      assertAnswer(await endpoint.send(signed(empty)), 400, 'rejected', 'RINGHOOK_BODY_NOT_JSON')
      assertAnswer(await endpoint.send({}), 401, 'rejected', 'RINGHOOK_NOT_AUTHENTIC')
      assertAnswer(
        await endpoint.send({ chunked: true, body: empty }),
        401,
        'rejected',
        'RINGHOOK_NOT_AUTHENTIC',
      )
    },
  )
}

function withWhiteSpace(clock: Clock): Buffer {
  const lines = [
    ' {',
    '  "event" : "call.ringing",',
    `  "id" : "evt_${randomUUID()}",`,
    `  "timestamp" : "${timestampOf(clock)}",`,
    '\t"data" : { "call_id" : "call_abc123" }',
    '}',
    '',
  ]
  return Buffer.from(lines.join('\r\n'), 'utf8')
}

function assertHandedOver({ calls }: Endpoint, body: Uint8Array): void {
  const handed = calls.map(({ context }) => Buffer.from(context.rawBody).toString('base64'))
  assert.deepEqual(handed, [Buffer.from(body).toString('base64')])
}
