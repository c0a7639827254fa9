import { callkaro, defineProvider, krosai, memoryStore, type StoredDelivery } from 'ringhook'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { tokenFinder } from '../../src/core/authentication/token-finder.ts'
import { build, endpoint, event, post, sign } from '../helpers/endpoint.ts'
import { handInbox } from '../helpers/hand-inbox.ts'

const token = 'Kq3_tz+8Zr/27-fW0x=n9'
const url = `/hooks?token=${encodeURIComponent(token)}`
const store = memoryStore()

const percent = (text: string) =>
  [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
const jsonOf = (text: string) =>
  [...text].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
const base64 = (text: string) => Buffer.from(text).toString('base64')
const hex = (text: string) => Buffer.from(text).toString('hex')

/** What proxies and platforms write a URL as. */
const spellings: readonly (readonly [string, string])[] = [
  ['as it is', `/hooks?token=${token}`],
  ['in an absolute URL', `https://example.com/hooks?token=${token}&a=b`],
  ['percent-encoded', url],
  ['percent-encoded in lower case', url.replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase())],
  ['percent-encoded twice', encodeURIComponent(url)],
  ['percent-encoded three times', encodeURIComponent(encodeURIComponent(url))],
  ['percent-encoded to the last character', percent(token)],
  ['percent-encoded in part', `${percent(token.slice(0, 7))}${token.slice(7)}`],
  ['with a space for the plus', token.replaceAll('+', ' ')],
  ['in other letters', token.toUpperCase()],
  ['in JSON', JSON.stringify({ url })],
  ['escaped in JSON', jsonOf(token)],
  ['with escaped slashes', JSON.stringify(token).replaceAll('/', '\\u002F')],
  ['escaped in JavaScript', token.replaceAll('-', '\\x2d').replaceAll('_', '\\u{5f}')],
  ['escaped in HTML', token.replaceAll('+', '&#43;').replaceAll('/', '&#x2F;')],
  ['in old JavaScript', token.replaceAll('+', '%u002B')],
  ['quoted-printable', token.replaceAll('=', '=3D')],
  ['in base64', base64(url)],
  ['in base64 of the token alone', base64(token)],
  ['in base64 one byte off', base64(`a${token}`)],
  ['in base64 two bytes off', base64(`ab${token}`)],
  ['in base64url', Buffer.from(url).toString('base64url')],
  ['in base64url behind other text', `v1-${Buffer.from(token).toString('base64url')}`],
  ['in base64 that is percent-encoded', encodeURIComponent(base64(url))],
  ['in base64 of base64', base64(base64(token))],
  ['in base64 of UTF-16', Buffer.from(token, 'utf16le').toString('base64')],
  ['in an encoded word', `=?utf-8?B?${base64(url)}?=`],
  ['in hex', hex(url)],
  ['in upper-case hex', hex(token).toUpperCase()],
  ['in hex one digit off', `a${hex(token)}`],
  ['in hex with colons', hex(token).replaceAll(/..(?=.)/g, '$&:')],
  ['in hex of percent-encoded text', hex(encodeURIComponent(token))],
]

/** Headers in which something in front of the server repeats the URL it was asked for. */
const urlHeaders = [
  'x-envoy-original-path',
  'x-ms-original-url',
  'x-forwarded-path',
  'x-forwarded-uri',
  'x-forwarded-url',
  'x-original-uri',
  'x-original-url',
  'x-rewrite-url',
  'x-waws-unencoded-url',
  'x-appengine-original-path',
  'x-request-uri',
  'x-real-url',
  'x-accel-redirect',
  'x-amz-cf-url',
  'x-webhook-url',
  'x-callkaro-callback-path',
  'referer',
  'origin',
  'link',
  'forwarded',
  ':path',
]

const credentials = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'x-api-key',
  'x-webhook-secret',
  'x-webhook-token',
  'webhook-signature',
  'x-callkaro-authorization',
  'x-amz-security-token',
  'x-forwarded-access-token',
]

describe('context.headers, in a worker', () => {
  it('are those that handlers need', async () => {
    const headers = {
      'content-type': 'application/json',
      'user-agent': 'CallKaro/1.0',
      'x-request-id': 'request 7',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      'x-webhook-event': 'call_ended',
      'x-callkaro-attempt': '2',
      'webhook-id': 'msg_1',
      date: 'Mon, 30 Nov 2026 12:00:00 GMT',
    }
    expect((await storedWith(headers)).headers).toEqual(headers)
  })

  it('are none that repeat the URL, or authenticate, whatever they hold', async () => {
    const names = [...urlHeaders, ...credentials, 'x-whatever', 'x-forwarded-for', 'host']
    const headers = Object.fromEntries(names.map((name) => [name, 'harmless']))
    expect((await storedWith(headers)).headers).toEqual({})
  })

  it.each(spellings)('never hold the URL’s token %s', async (_, value) => {
    const names = [...urlHeaders, 'user-agent', 'x-request-id', 'x-webhook-event']
    const headers = Object.fromEntries(names.map((name) => [name, value]))
    const several = { 'webhook-id': ['harmless', value], 'content-type': 'application/json' }
    const stored = await storedWith({ ...headers, ...several })
    expect(stored.headers).toEqual({ 'content-type': 'application/json' })
  })

  it('are the same for each of several tokens', async () => {
    const other = 'another token of 28 letters'.replaceAll(' ', '-')
    const headers = { 'x-request-id': base64(other), 'user-agent': percent(token) }
    expect((await storedWith(headers, [other, token])).headers).toEqual({})
  })

  it('have the token’s own letters beyond ASCII taken for what they are', () => {
    const finds = tokenFinder(['schlüsselwörter-für-alle'])
    for (const spelling of [
      'schlüsselwörter-für-alle',
      encodeURIComponent('schlüsselwörter-für-alle'),
      Buffer.from('schlüsselwörter-für-alle').toString('latin1'),
      base64('schlüsselwörter-für-alle'),
      jsonOf('schlüsselwörter-für-alle'),
    ]) {
      expect(finds(spelling)).toBe(true)
    }
  })

  it('are none with a token in their name', async () => {
    const other = 'k3Y9-qZx7-v1W5-t2Rs'
    const headers = { [`x-webhook-${other.toLowerCase()}`]: '1' }
    expect((await storedWith(headers, [other, token])).headers).toEqual({})
  })

  it('are kept where they only look encoded', () => {
    const finds = tokenFinder([token])
    for (const harmless of [
      '',
      base64('nothing of interest to anybody here'),
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 100%25 %zz =20 &#99999999; \\u12',
      'f'.repeat(64),
      token.slice(1),
    ]) {
      expect(finds(harmless)).toBe(false)
    }
  })

  it('are dropped where looking would take too long', () => {
    let nested = 'a harmless text that is longer than sixteen characters'
    while (nested.length < 400_000) nested = base64(nested)
    expect(tokenFinder([token])(nested)).toBe(true)
  })

  it('are those that the provider reads too: the worker reads them again', async () => {
    const acme = defineProvider({
      name: 'acme',
      signature: { header: 'x-acme-signature', encoding: 'hex', prefix: 'sha256=' },
      signedTimestamp: false,
      events: { 'call.ended': { schema: z.looseObject({}) } },
      read: (data, given = {}) => ({ event: given['x-gateway-topic'], id: data['id'], data }),
      delivery: { retryDelaysMs: [0] },
    })
    const inbox = handInbox()
    const secret = 'a secret that only the tests know'
    const receiver = build(acme, { secret, inbox, store, logger: false, on: { '*': () => {} } })
    const body = Buffer.from(JSON.stringify({ id: 'evt_1' }))
    const headers = {
      'x-acme-signature': sign(body, secret),
      'x-gateway-topic': 'call.ended',
      'x-gateway-other': 'no',
    }
    const { outcome } = await receiver.receive({ method: 'POST', url: '/', headers, body })
    expect(outcome.outcome).toBe('accepted')
    expect(inbox.puts[0]?.delivery.headers).toEqual({ 'x-gateway-topic': 'call.ended' })
  })

  it('are only these, for a provider that looks at all of them', async () => {
    const nosy = defineProvider({
      ...krosai,
      name: 'nosy',
      read: (json, given) => ({ ...krosai.read(json, given), ...pick({ ...given }) }),
    })
    const inbox = handInbox()
    const secret = 'a secret that only the tests know'
    const receiver = build(nosy, { secret, inbox, store, logger: false, on: { '*': () => {} } })
    const body = Buffer.from(JSON.stringify(event({ timestamp: new Date().toISOString() })))
    const headers = {
      'x-webhook-signature': sign(body, secret),
      authorization: 'Bearer abc',
      cookie: 'a=b',
      'x-other': 'yes',
    }
    await receiver.receive({ method: 'POST', url: '/', headers, body })
    expect(inbox.puts[0]?.delivery.headers).toEqual({ 'x-other': 'yes' })
  })
})

describe('urlToken, in the headers that an inbox keeps', () => {
  it('is in nothing else that is told of a delivery or kept of it', async () => {
    const inbox = handInbox()
    const fail = () => {
      throw new Error('no such order')
    }
    const { deliver, outcomes, lines } = endpoint({
      inbox,
      store,
      urlToken: token,
      orderingKey: fail,
    })
    const plain = endpoint({ urlToken: token, handle: fail })
    const headers = { referer: url, 'x-ms-original-url': url }
    const bytes = Buffer.from(JSON.stringify(event()))
    const signature = { 'x-webhook-signature': sign(bytes) }
    for (const each of [deliver, plain.deliver]) {
      await each(bytes, { url, headers: { ...headers, ...signature } })
      await each(bytes, { url: `${url}&token=2`, headers: { ...headers, ...signature } })
      await each(bytes, { url, headers })
    }
    const told = JSON.stringify([outcomes, plain.outcomes, lines, plain.lines, inbox.puts])
    expect(outcomes).toHaveLength(3)
    expect(tokenFinder([token])(told)).toBe(false)
    expect(told).not.toContain('/hooks')
  })
})

function pick(all: Readonly<Record<string, unknown>>): object {
  return all['x-other'] === 'no' ? { id: 'none' } : {}
}

/** What an inbox is given of a CallKaro delivery with these headers. */
async function storedWith(
  headers: Readonly<Record<string, string | readonly string[]>>,
  urlToken: string | readonly string[] = token,
): Promise<StoredDelivery> {
  const inbox = handInbox()
  const receiver = build(callkaro, { urlToken, inbox, store, logger: false, on: { '*': () => {} } })
  const body = Buffer.from(JSON.stringify({ event: 'call_ended', callSid: 'CA1' }))
  const { outcome } = await receiver.receive({ ...post(body), url, headers })
  expect(outcome.outcome).toBe('accepted')
  return inbox.puts[0]?.delivery ?? expect.unreachable()
}
