import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { createReceiver, krosai } from 'ringhook'
import { manualClock } from 'ringhook/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { wholeOf } from '../../src/conformance/adapter-contract/events.ts'
import { writeThenRead } from '../../src/conformance/adapter-contract/wire.ts'
import { frameworks, type Served } from '../helpers/frameworks.ts'

const secret = 'a secret for adapter tests'
const start = Date.parse('2026-03-01T12:00:00Z')

/** A request as it goes over the wire. */
interface RawRequest {
  readonly method?: string
  readonly target?: string
  readonly version?: string
  /** Lines, each as it is sent. */
  readonly headers?: readonly string[]
  readonly body?: Uint8Array
  readonly signature?: string
  readonly chunked?: boolean
}

let events = 0

/** A new event, the same for every framework. */
function event(data = '{"call_id":"call_abc123"}', name = 'call.ringing'): Buffer {
  const id = `evt_${events++}`
  const timestamp = new Date(start).toISOString()
  return Buffer.from(`{"event":"${name}","id":"${id}","timestamp":"${timestamp}","data":${data}}`)
}

function sign(body: Uint8Array): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`
}

function bytesOf(request: RawRequest): Buffer {
  const { method = 'POST', target = '/hooks', version = '1.1', headers = [], chunked } = request
  const body = request.body ?? event()
  const signature = request.signature ?? sign(body)
  const lines = [
    `${method} ${target} HTTP/${version}`,
    'Host: 127.0.0.1',
    'Connection: close',
    ...(signature === '' ? [] : [`X-Webhook-Signature: ${signature}`]),
    chunked === true ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`,
    ...headers,
    '',
    '',
  ]
  const head = Buffer.from(lines.join('\r\n'), 'latin1')
  return Buffer.concat([head, ...(chunked === true ? chunksOf(body) : [body])])
}

function chunksOf(body: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = []
  for (let at = 0; at < body.length; at += 7) {
    const chunk = body.subarray(at, at + 7)
    chunks.push(Buffer.from(`${chunk.length.toString(16)};x=y\r\n`), chunk, Buffer.from('\r\n'))
  }
  return [...chunks, Buffer.from('0\r\nX-Trailer: t\r\n\r\n')]
}

const requests: readonly (readonly [name: string, request: RawRequest])[] = [
  ['a good delivery', {}],
  ['a good delivery in chunks, with extensions and a trailer', { chunked: true }],
  ['a good delivery over HTTP/1.0', { version: '1.0' }],
  ['a query', { target: '/hooks?a=1&a=2' }],
  ['a query that is not a query', { target: '/hooks?%' }],
  ['a slash at the end of the path', { target: '/hooks/' }],
  ['header names in capitals', { headers: ['CONTENT-TYPE: application/json'] }],
  ['a header beyond ASCII', { headers: ['X-Note: \xe9\xff'] }],
  ['a header of 8 kB', { headers: [`X-Note: ${'x'.repeat(8_000)}`] }],
  ['an expectation', { headers: ['Expect: 100-continue'] }],
  ['an upgrade that is not offered', { headers: ['X-Upgrade: websocket'] }],
  ['another method in a header', { headers: ['X-HTTP-Method-Override: GET'] }],
  ...['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'].map(
    (method) => [`the method ${method}`, { method }] as const,
  ),
  ...[
    'text/plain',
    'text/html; =',
    'application/json; charset=utf-16',
    'multipart/form-data',
    ';',
    '',
    'a/b, c/d',
  ].map((type) => [`the content type "${type}"`, { headers: [`Content-Type: ${type}`] }] as const),
  ['two content types', { headers: ['Content-Type: text/plain', 'Content-Type: a/b'] }],
  ...['gzip', 'identity', 'deflate, gzip', ''].map(
    (encoding) =>
      [`the encoding "${encoding}"`, { headers: [`Content-Encoding: ${encoding}`] }] as const,
  ),
  ['no signature', { signature: '' }],
  ['a wrong signature', { signature: sign(Buffer.from('')) }],
  ['a bare digest', { signature: '0'.repeat(64) }],
  ['two signatures', { headers: [`X-Webhook-Signature: ${sign(Buffer.from('a'))}`] }],
  ['no body', { body: Buffer.alloc(0) }],
  ['a body of white space', { body: Buffer.from(' \r\n ') }],
  ['a body that is an array', { body: Buffer.from('[]') }],
  ['a body that is null', { body: Buffer.from('null') }],
  ['a body that is cut', { body: event().subarray(0, 40) }],
  ['a body in Devanagari', { body: event('{"call_id":"नमस्ते"}') }],
  ['a body that is not UTF-8', { body: Buffer.concat([event(), Buffer.from([0xff])]) }],
  [
    'a body with a byte order mark',
    { body: Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), event()]) },
  ],
  ['a body over the limit', { body: Buffer.alloc(2_000, ' ') }],
  ['a body over the limit, in chunks', { body: Buffer.alloc(2_000, ' '), chunked: true }],
  ['an undocumented event', { body: event('{}', 'constructor') }],
  ['an event whose data fails its schema', { body: event('[]') }],
  ['an event whose handler fails', { body: event('{"call_id":"fail"}') }],
]

const generated: fc.Arbitrary<RawRequest> = fc.record(
  {
    method: fc.constantFrom('PUT', 'GET'),
    target: fc.webQueryParameters().map((query) => `/hooks?${query}`),
    body: fc.oneof(
      fc.uint8Array({ maxLength: 1_200 }),
      fc.json().map((json) => Buffer.from(json)),
      fc.json().map((json) => event(json)),
      {
        weight: 3,
        arbitrary: fc
          .string({ unit: 'binary' })
          .map((text) => event(JSON.stringify({ call_id: text }))),
      },
    ),
    headers: fc.array(
      fc
        .tuple(
          fc.constantFrom('Content-Type', 'Accept', 'X-Forwarded-For', 'Cookie', 'Range', 'TE'),
          fc.string({ unit: 'grapheme-ascii', maxLength: 30 }),
        )
        .map(([name, value]) => `${name}: ${value}`),
      { maxLength: 4 },
    ),
    signature: fc.constantFrom('', `sha256=${'0'.repeat(64)}`),
    chunked: fc.boolean(),
  },
  { requiredKeys: ['target', 'body', 'headers', 'chunked'] },
)

describe('webhooks() on every framework', () => {
  const served = new Map<string, Served>()

  beforeAll(async () => {
    for (const { name, serve } of frameworks) served.set(name, await serve(receiver()))
  })
  afterAll(async () => {
    for (const { close } of served.values()) await close()
  })

  /** Sends the same bytes everywhere and gives the answers by framework. */
  async function answersTo(request: RawRequest) {
    const bytes = bytesOf(request)
    const answers = await Promise.all(
      Array.from(served, async ([name, { url }]) => {
        return [name, wholeOf(await writeThenRead(url, bytes))] as const
      }),
    )
    return Object.fromEntries(answers)
  }

  it.each(requests)('returns the same answer to %s', async (_, request) => {
    expectTheSame(await answersTo(request))
  })

  it('returns the same answer to random requests', async () => {
    const statuses = new Set<unknown>()
    const property = fc.asyncProperty(generated, async (request) => {
      const answers = await answersTo(request)
      expectTheSame(answers)
      for (const { status } of Object.values(answers)) statuses.add(status)
    })
    await fc.assert(property, { seed: 20_260_301, numRuns: 100 })
    expect([...statuses]).toEqual(expect.arrayContaining([200, 400, 401, 405, 422]))
  })
})

function expectTheSame(answers: Readonly<Record<string, ReturnType<typeof wholeOf>>>): void {
  const [first] = Object.values(answers)
  expect(first?.contentType).toBe('application/json; charset=utf-8')
  expect(answers).toEqual(Object.fromEntries(frameworks.map(({ name }) => [name, first])))
}

function receiver() {
  return createReceiver(krosai, {
    secret,
    clock: manualClock(start),
    logger: false,
    maxBodyBytes: 1_500,
    on: {
      'call.ringing': ({ data }) => {
        if (data.call_id === 'fail') throw new Error('a private matter')
      },
    },
  })
}
