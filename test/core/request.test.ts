import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { endpoint, event, post, secret, seen, sign, start } from '../helpers/endpoint.ts'

const body = Buffer.from(JSON.stringify(event({ id: 'ünïcödé 💥' })))
const signature = sign(body)
const invalid = '500 rejected RINGHOOK_REQUEST_INVALID'
const alreadyRead = '500 rejected RINGHOOK_BODY_ALREADY_READ'

/** Bytes in memory of their own, as platforms that are not Node give them. */
function own(bytes: Uint8Array = body): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}

function shared(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(body.length)
  new Uint8Array(memory).set(body)
  return memory
}

/** What is answered, and the line that is logged. */
async function receive(request: unknown, options = {}) {
  const { receiver, lines, runs } = endpoint(options)
  const reply = await receiver.receive(request as never)
  return { answer: seen(reply), lines, runs }
}

const given = (changes: object) => ({ ...post(body), ...changes })

describe('receiver.receive(), with a request that it can read', () => {
  it.each<[string, unknown]>([
    ['a Uint8Array', new Uint8Array(own())],
    ['an ArrayBuffer', own()],
    ['a SharedArrayBuffer', shared()],
    ['a DataView', new DataView(own())],
    ['a Uint8ClampedArray', new Uint8ClampedArray(own())],
    ['an Int8Array', new Int8Array(own())],
    ['a view of a part', new DataView(own(Buffer.concat([Buffer.from('xx'), body])), 2)],
    ['a stream', Readable.from([body])],
    [
      'a stream of the Fetch API as one of Node’s',
      Readable.fromWeb(new Blob([body]).stream() as never),
    ],
  ])('a body in %s', async (_, given_) => {
    const { answer, runs } = await receive(given({ body: given_ }))
    expect(answer).toBe('200 handled')
    expect(Buffer.compare(runs[0]?.context.rawBody ?? Buffer.of(), body)).toBe(0)
  })

  it.each<[string, unknown]>([
    ['in their original case', { 'X-Webhook-Signature': signature }],
    ['in capitals', { 'X-WEBHOOK-SIGNATURE': signature }],
    ['as a Headers', new Headers({ 'X-Webhook-Signature': signature })],
    ['as a Map', new Map([['X-Webhook-Signature', signature]])],
    ['as pairs', [['X-Webhook-Signature', signature]]],
    [
      'beside numbers and undefined',
      { 'x-webhook-signature': signature, 'content-length': body.length, a: undefined },
    ],
    [
      'beside a name of a property',
      JSON.parse(`{"__proto__":"a","X-Webhook-Signature":"${signature}"}`),
    ],
  ])('headers %s', async (_, headers) => {
    const { answer, runs } = await receive(given({ headers }))
    expect(answer).toBe('200 handled')
    expect(runs[0]?.context.headers['x-webhook-signature']).toBe(signature)
  })

  it('every header that decides something, whatever its case', async () => {
    const signed = { 'X-Webhook-Signature': signature }
    const encoded = await receive(given({ headers: { ...signed, 'Content-Encoding': 'gzip' } }))
    expect(encoded.answer).toBe('415 rejected RINGHOOK_BODY_ENCODED')
    const long = await receive(given({ headers: { ...signed, 'Content-Length': '99999999' } }))
    expect(long.answer).toBe('413 rejected RINGHOOK_BODY_TOO_LARGE')
    const proxied = await receive(
      given({
        headers: { ...signed, 'X-Forwarded-For': '192.0.2.1' },
        socket: { remoteAddress: '127.0.0.1' },
      }),
      { allowedIps: ['192.0.2.1'], trustedProxies: 'loopback' },
    )
    expect(proxied.answer).toBe('200 handled')
  })

  it('a signature that was sent twice, under names of two cases, as two', async () => {
    for (const headers of [
      { 'X-Webhook-Signature': signature, 'x-webhook-signature': signature },
      { 'x-webhook-signature': [signature, signature] },
      [
        ['x-webhook-signature', signature],
        ['X-Webhook-Signature', signature],
      ],
    ]) {
      expect((await receive(given({ headers }))).answer).toBe('401 rejected RINGHOOK_NOT_AUTHENTIC')
    }
  })

  it('a method in lower case, and a URL', async () => {
    const url = new URL('https://example.com/hooks?tenant=acme')
    const urls: string[] = []
    const { answer } = await receive(given({ method: 'post', url }), {
      secret: ({ url: asked }: { readonly url: string }) => {
        urls.push(asked)
        return secret
      },
    })
    expect(answer).toBe('200 handled')
    expect(urls).toEqual([url.href])
  })
})

describe("receiver.receive(), with a request that it can't read", () => {
  it.each<[string, unknown, string, RegExp]>([
    ['text', body.toString(), alreadyRead, /is a string, .*base64.*Give bytes: Buffer\.from/],
    [
      'a stream of the Fetch API',
      new Blob([body]).stream(),
      invalid,
      /ReadableStream.*Readable\.fromWeb/,
    ],
    ['a Blob', new Blob([body]), invalid, /Blob.*arrayBuffer\(\)/],
    [
      'a Request',
      new Request('http://a', { method: 'POST', body }),
      invalid,
      /Request.*arrayBuffer\(\)/,
    ],
    ['a promise', Promise.resolve(body), invalid, /a promise\. Await it/],
    [
      'an async generator',
      (async function* () {
        yield body
      })(),
      invalid,
      /an iterator.*Readable\.from/,
    ],
    [
      'a parsed object',
      JSON.parse(String(body)),
      alreadyRead,
      /the body is an object, as a body parser/,
    ],
    [
      'a Buffer that was written as JSON',
      JSON.parse(JSON.stringify(body)),
      alreadyRead,
      /an object/,
    ],
    ['a parsed list', [1], alreadyRead, /the body is an array/],
    ['a number', 1, alreadyRead, /the body is a number/],
    ['nothing', undefined, alreadyRead, /by a body parser or by something else/],
    ['null', null, alreadyRead, /by a body parser or by something else/],
  ])('a body that is %s', async (_, given_, answered, reason) => {
    const { answer, lines, runs } = await receive(given({ body: given_ }))
    expect(answer).toBe(answered)
    expect(lines).toEqual([expect.stringMatching(reason)])
    expect(lines[0]).toMatch(/^error /)
    expect(runs).toEqual([])
  })

  it.each<[string, unknown, RegExp]>([
    ['no request', undefined, /called with undefined/],
    ['null', null, /called with null/],
    ['text', 'POST /hooks', /called with a string/],
    ['a function', () => {}, /called with a function/],
    ['no method', given({ method: undefined }), /whose method is undefined/],
    ['a number as its method', given({ method: 1 }), /whose method is a number/],
    ['no URL', given({ url: undefined }), /whose url is undefined.*the path and the query/],
    ['a URL that is an object', given({ url: {} }), /whose url is an object/],
    ['no headers', given({ headers: undefined }), /whose headers are undefined/],
    ['text as headers', given({ headers: 'a: b' }), /whose headers are a string/],
    ['rawHeaders', given({ headers: ['Host', 'a'] }), /a list, and not of pairs/],
    [
      'a property that throws',
      Object.defineProperty({}, 'method', {
        get() {
          throw new Error('no')
        },
      }),
      /a property that throws/,
    ],
    [
      'a proxy that throws',
      new Proxy(
        {},
        {
          get() {
            throw new Error('no')
          },
        },
      ),
      /a property that throws/,
    ],
  ])('a request with %s', async (_, request, reason) => {
    const { answer, lines } = await receive(request)
    expect(answer).toBe(invalid)
    expect(lines).toEqual([expect.stringMatching(reason)])
    expect(lines[0]).toMatch(/^error .*Give { method, url, headers, body }/)
  })

  it('without a word from the request in the log or the answer', async () => {
    const number = '+14155551234'
    for (const request of [
      given({ body: number }),
      given({ body: { to: number } }),
      given({ method: { to: number } }),
      given({ url: [number] }),
      given({ headers: [number] }),
    ]) {
      const { answer, lines } = await receive(request)
      expect(answer).toMatch(/^500 /)
      expect(lines.join()).not.toContain('4155551234')
    }
  })
})

describe('RINGHOOK_BODY_ALREADY_READ, in the log', () => {
  it.each<[string, unknown, RegExp]>([
    [
      'RINGHOOK_BODY_ENCODED',
      given({ headers: { 'content-encoding': 'gzip' } }),
      /Content-Encoding is not identity/,
    ],
    [
      'RINGHOOK_BODY_TOO_LARGE',
      given({ headers: { 'content-length': '9999999' } }),
      /longer than maxBodyBytes/,
    ],
    [
      'RINGHOOK_BODY_ABORTED',
      given({ body: Readable.from([]).destroy() }),
      /ended before the body did/,
    ],
    ['RINGHOOK_BODY_NOT_UTF8', post(Buffer.of(0xff)), /not UTF-8/],
    ['RINGHOOK_BODY_NOT_JSON', post(Buffer.from('[]')), /not a JSON object.*right provider/],
    [
      'RINGHOOK_BODY_TOO_DEEP',
      post(Buffer.from(`{"a":${'['.repeat(300)}${']'.repeat(300)}}`)),
      /256 levels/,
    ],
    [
      'RINGHOOK_BODY_ALREADY_READ',
      given({ body: Readable.from([body]).setEncoding('utf8') }),
      /called setEncoding\(\)/,
    ],
  ])('%s says what to look at', async (code, request, hint) => {
    const { lines } = await receive(request)
    expect(lines).toEqual([expect.stringMatching(hint)])
    expect(lines[0]).toContain(`[${code}, see`)
  })

  it('RINGHOOK_BODY_TIMEOUT says what to look at', async () => {
    const { receiver, clock, lines } = endpoint()
    const reply = receiver.receive({ ...post(body), body: new Readable({ read() {} }) })
    await clock.advance(10_000)
    await reply
    expect(clock.now()).toBe(start + 10_000)
    expect(lines).toEqual([expect.stringMatching(/did not arrive within bodyTimeoutMs/)])
  })
})
