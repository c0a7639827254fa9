import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import {
  createReceiver,
  type DeliveryRequest,
  defineProvider,
  krosai,
  type Receiver,
} from 'ringhook'
import { webhooks } from 'ringhook/express'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { parseJsonObject } from '../../src/core/event/json.ts'
import { secret } from '../helpers/endpoint.ts'

/** Texts of a given length that make a careless expression, loop or parse go over them many times. */
const shapes: Readonly<Record<string, (length: number) => string>> = {
  'no-break spaces': (length) => `${'\u00a0'.repeat(length)}x`,
  spaces: (length) => `${' '.repeat(length)}x`,
  tabs: (length) => `${'\t'.repeat(length)}x`,
  'spaces behind a word': (length) => `identity${' '.repeat(length)}x`,
  'spaces between commas': (length) => `${' ,'.repeat(length / 2)}x`,
  'no-break spaces behind a comma': (length) => `close,${'\u00a0'.repeat(length)}close x`,
  commas: (length) => ','.repeat(length),
  zeros: (length) => `${'0'.repeat(length)}x`,
  digits: (length) => `${'9'.repeat(length)}x`,
  'hex digits': (length) => `sha256=${'a'.repeat(length)}`,
  'a signature many times': (length) => `v1,${'A'.repeat(44)} `.repeat(length / 48),
  'the name of the scheme many times': (length) => 'sha256='.repeat(length / 7),
  quotes: (length) => `"${'\\"'.repeat(length / 2)}`,
  'percent signs': (length) => '%'.repeat(length),
  'escaped bytes': (length) => '%ff'.repeat(length / 3),
  'equals signs': (length) => '='.repeat(length),
  ampersands: (length) => '&'.repeat(length),
  'many tokens': (length) => '&token=a'.repeat(length / 8),
  'pluses in a token': (length) => `token=${'+'.repeat(length)}`,
  'escapes in a token': (length) => `token=${'%20'.repeat(length / 3)}`,
  'question marks': (length) => '?'.repeat(length),
  'number signs': (length) => '#'.repeat(length),
  slashes: (length) => '/'.repeat(length),
  'dots between digits': (length) => '1.'.repeat(length / 2),
  'colons between digits': (length) => 'a:'.repeat(length / 2),
  colons: (length) => ':'.repeat(length),
  brackets: (length) => '['.repeat(length),
  'addresses of proxies': (length) => '127.0.0.1, '.repeat(length / 11),
  'addresses of version 6': (length) => '::ffff:127.0.0.1, '.repeat(length / 18),
  'addresses with ports': (length) => '[::1]:80,127.0.0.1:443,'.repeat(length / 23),
  'an address and a zone': (length) => `fe80::1%${'a'.repeat(length)}!`,
  'times that run on': (length) => `2026-03-01T12:00:00.${'0'.repeat(length)}x`,
  'letters beyond ASCII': (length) => 'é'.repeat(length),
}

/** Signs as Standard Webhooks say: with other headers under the signature, and several signatures. */
const acme = defineProvider({
  name: 'acme',
  signature: {
    header: 'webhook-signature',
    encoding: 'base64',
    prefix: 'v1,',
    separator: ' ',
    signedPrefix: ({ 'webhook-id': id, 'webhook-timestamp': text }) => {
      const seconds = Number(text)
      const isPlain = Number.isSafeInteger(seconds) && String(seconds) === text
      return typeof id === 'string' && isPlain ? `${id}.${seconds}.` : undefined
    },
  },
  signedTimestamp: false,
  events: { 'call.ended': { schema: z.looseObject({}) } },
  delivery: { retryDelaysMs: [0] },
})

const body = Buffer.from('{}')
const on = {}
const common = { logger: false, on } as const
const senders = { allowedIps: ['192.0.2.1'], trustedProxies: ['loopback', '::ffff:127.0.0.0/104'] }
const socket = { remoteAddress: '127.0.0.1' }
const signature = `sha256=${'0'.repeat(64)}`

const plain = createReceiver(krosai, { secret, ...common })
const behindProxies = createReceiver(krosai, { secret, ...senders, ...common })
const withToken = createReceiver(krosai, { secret, urlToken: 'a-token-of-these-tests', ...common })
const bySecretOfTenant = createReceiver(krosai, {
  secret: ({ url }) =>
    new URL(url, 'http://localhost').searchParams.get('tenant') === 'acme' ? secret : undefined,
  ...common,
})
const withFailingSecret = createReceiver(krosai, {
  secret: ({ url }) => {
    throw new Error(`no tenant at ${url}, nor at ${url}`)
  },
  ...common,
})
const withSeparator = createReceiver(acme, { secret: 'a secret of Acme, of the tests', ...common })

type Place = readonly [
  name: string,
  receiver: Receiver,
  request: (text: string) => Partial<DeliveryRequest>,
]

const inHeader =
  (name: string, others: Readonly<Record<string, string>> = {}) =>
  (text: string) => ({ headers: { ...others, [name]: text } })

/** Wherever a stranger can put a text of some length. */
const places: readonly Place[] = [
  ...[
    'content-encoding',
    'content-length',
    'content-type',
    'connection',
    'transfer-encoding',
    'x-webhook-signature',
    'x-forwarded-for',
    'forwarded',
    'host',
    'user-agent',
    'date',
  ].map((name): Place => [name, plain, inHeader(name)]),
  ['x-forwarded-for, behind proxies', behindProxies, inHeader('x-forwarded-for')],
  ['webhook-signature', withSeparator, inHeader('webhook-signature')],
  [
    'webhook-id',
    withSeparator,
    inHeader('webhook-id', {
      'webhook-timestamp': '1',
      'webhook-signature': `v1,${'A'.repeat(44)}`,
    }),
  ],
  [
    'webhook-timestamp',
    withSeparator,
    inHeader('webhook-timestamp', {
      'webhook-id': '1',
      'webhook-signature': `v1,${'A'.repeat(44)}`,
    }),
  ],
  ['the name of a header', plain, (text) => ({ headers: { [text]: '1' } })],
  ['the method', plain, (method) => ({ method })],
  ['the path', withToken, (text) => ({ url: `/${text}?token=a` })],
  ['the query', withToken, (text) => ({ url: `/?${text}` })],
  ['the fragment', withToken, (text) => ({ url: `/?token=a#${text}` })],
  ['the query, for a secret by tenant', bySecretOfTenant, (text) => ({ url: `/?${text}` })],
  ['the path, for a secret by tenant', bySecretOfTenant, (text) => ({ url: text })],
  ['the path, in an error', withFailingSecret, (text) => ({ url: text })],
  ['the address', behindProxies, (remoteAddress) => ({ socket: { remoteAddress } })],
  ['the body', plain, (text) => ({ body: Buffer.from(text) })],
]

describe('receiver.receive(), before authentication', () => {
  it.each(places)('takes time in proportion to what was sent: %s', async (_, receiver, request) => {
    const deliver = (text: string) => {
      const { headers, ...rest } = request(text)
      const signed = { 'x-webhook-signature': signature, ...headers }
      return receiver.receive({ method: 'POST', url: '/', socket, body, ...rest, headers: signed })
    }
    expect(await shapesThatAreSlow(deliver)).toEqual([])
  })

  it('takes time in proportion to what was sent: one header many times, as pairs', async () => {
    const deliver = (text: string) => {
      const headers = [...text].map((value) => ['x-forwarded-for', value] as const)
      return plain.receive({ method: 'POST', url: '/', socket, body, headers })
    }
    const letters = { letters: (length: number) => 'a'.repeat(16 * length) }
    expect(await shapesThatAreSlow(deliver, letters)).toEqual([])
  })

  it.each([
    ['content-encoding over HTTP/1.1', overHttp1, plain],
    ['content-encoding over HTTP/2', overHttp2, plain],
    ['x-webhook-signature over HTTP/1.1', overHttp1, plain],
    ['x-forwarded-for over HTTP/2', overHttp2, behindProxies],
  ])('takes time in proportion to what was sent: %s', async (name, connected, receiver) => {
    await connected(webhooks(receiver), async (send) => {
      const header = name.slice(0, name.indexOf(' '))
      expect(await shapesThatAreSlow((text) => send({ [header]: text }))).toEqual([])
    })
  })
})

describe('receiver.receive(), after authentication', () => {
  it.each<[string, (length: number) => string]>([
    [
      'lists within each other',
      (length) => `{"a":${'['.repeat(length / 2)}${']'.repeat(length / 2)}}`,
    ],
    ['lists beside each other', (length) => `{"a":[${'[],'.repeat(length / 3)}[]]}`],
    [
      'objects with __proto__ in them',
      (length) => `{"a":[${'{"__proto__":{"b":1}},'.repeat(length / 22)}1]}`,
    ],
    [
      '__proto__ many times in one object',
      (length) => `{${'"__proto__":1,'.repeat(length / 14)}"a":1}`,
    ],
    ['__proto__ beside many keys', (length) => `{"__proto__":1,${keys(length / 9)}"a":1}`],
    ['keys that are numbers', (length) => `{${keys(length / 9).replaceAll('k', '')}"a":1}`],
    ['escapes', (length) => `{"a":"${'\\u00e9'.repeat(length / 6)}"}`],
    ['blanks', (length) => `{"a":${' '.repeat(length)}1}`],
    ['digits', (length) => `{"a":${'1'.repeat(length)}}`],
    ['no JSON', (length) => '{"a":'.repeat(length / 5)],
  ])('takes time in proportion to its length: %s', async (_, textOf) => {
    const read = async (text: string) => parseJsonObject(Buffer.from(text))
    expect(await shapesThatAreSlow(read, { body: textOf })).toEqual([])
  })
})

/** Fields of an object, each with a key of its own. */
function keys(count: number): string {
  return Array.from({ length: count }, (_, at) => `"k${at}":0,`).join('')
}

const small = 3_584
const large = 16 * small

/** Measured again where it looks bad: the machine may have done something else meanwhile. */
async function shapesThatAreSlow(
  deliver: (text: string) => Promise<unknown>,
  texts = shapes,
): Promise<string[]> {
  const slow: string[] = []
  for (const [shape, textOf] of Object.entries(texts)) {
    let attempts = 4
    while (attempts > 0 && !(await isLinear(deliver, textOf))) attempts--
    if (attempts === 0) slow.push(shape)
  }
  return slow
}

/** 16 times the length is to cost about 16 times; what is quadratic costs 256 times. */
async function isLinear(
  deliver: (text: string) => Promise<unknown>,
  textOf: (length: number) => string,
): Promise<boolean> {
  const ofSmall = await fewestMs(deliver, textOf(small))
  const ofLarge = await fewestMs(deliver, textOf(large))
  return ofLarge < 80 * ofSmall || ofLarge < 0.5
}

/** The least processor time of three runs, in ms: other processes don't count, and can't add much. */
async function fewestMs(deliver: (text: string) => Promise<unknown>, text: string) {
  let fewest = Number.POSITIVE_INFINITY
  for (let run = 0; run < 3; run++) {
    const before = process.cpuUsage()
    await deliver(text)
    const { user, system } = process.cpuUsage(before)
    fewest = Math.min(fewest, (user + system) / 1_000)
  }
  return fewest
}

type Send = (headers: Readonly<Record<string, string>>) => Promise<void>

async function overHttp1(
  listener: ReturnType<typeof webhooks>,
  run: (send: Send) => Promise<void>,
) {
  const server = createServer({ maxHeaderSize: 2 * large }, listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  try {
    await run(async (headers) => {
      const lines = Object.entries({ host: 'a', 'content-length': '2', ...headers })
      const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
      const sender = connect(port, '127.0.0.1').resume()
      sender.end(Buffer.from(`POST / HTTP/1.1\r\nconnection: close\r\n${head}\r\n{}`, 'latin1'))
      await once(sender, 'close')
    })
  } finally {
    server.close()
  }
}

async function overHttp2(
  listener: ReturnType<typeof webhooks>,
  run: (send: Send) => Promise<void>,
) {
  const server = createHttp2Server(listener as never).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  try {
    await run(async (headers) => {
      const sender = session.request({ ':method': 'POST', ...headers }).resume()
      sender.end('{}')
      await once(sender, 'close')
    })
  } finally {
    session.close()
    server.close()
  }
}
