import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { callkaro, defineProvider, krosai, odis } from 'ringhook'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { signatureVerifier, signingKey } from '../../src/core/signature.ts'
import {
  build,
  codeOf,
  endpoint,
  event,
  gate,
  post,
  secret,
  seen,
  sign,
} from '../helpers/endpoint.ts'

const hex = { header: 'x-signature', encoding: 'hex', prefix: 'sha256=' } as const
const body = Buffer.from(JSON.stringify(event()))
const right = sign(body)
const digits = right.slice('sha256='.length)
const refused = '401 rejected RINGHOOK_NOT_AUTHENTIC'

afterEach(() => {
  vi.restoreAllMocks()
})

describe('signature', () => {
  it('verifies exactly what node signs, for any key and any bytes', () => {
    const { verify } = signatureVerifier(hex)
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, unit: 'binary' }),
        fc.uint8Array({ maxLength: 300 }),
        fc.string({ minLength: 1 }),
        (key, bytes, otherKey) => {
          const value = `sha256=${createHmac('sha256', key).update(bytes).digest('hex')}`
          const keys = [signingKey(hex, key)]
          const other = `sha256=${createHmac('sha256', otherKey).update(bytes).digest('hex')}`
          expect(verify({ 'x-signature': value }, bytes, keys)).toBe(true)
          expect(verify({ 'x-signature': other }, bytes, keys)).toBe(other === value)
        },
      ),
      { numRuns: 200, seed: 1 },
    )
  })

  it('refuses every change of one character of the header or one bit of the body', () => {
    const { verify } = signatureVerifier(hex)
    const keys = [signingKey(hex, secret)]
    fc.assert(
      fc.property(
        fc.nat({ max: right.length - 1 }),
        fc.string({ minLength: 1, maxLength: 1, unit: 'binary' }),
        fc.nat({ max: body.length * 8 - 1 }),
        (at, character, bit) => {
          const value = right.slice(0, at) + character + right.slice(at + 1)
          expect(verify({ 'x-signature': value }, body, keys)).toBe(value === right)
          const damaged = Buffer.from(body)
          damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
          expect(verify({ 'x-signature': right }, damaged, keys)).toBe(false)
        },
      ),
      { numRuns: 500, seed: 2 },
    )
  })

  it('accepts the lower-case hex of the documented form and no other length from 0 to 200', async () => {
    const { deliver, runs } = endpoint()
    const long = digits.repeat(4)
    for (let length = 0; length <= 200; length++) {
      for (const value of [`sha256=${long.slice(0, length)}`, long.slice(0, length)]) {
        const reply = await deliver(body, { headers: { 'x-webhook-signature': value } })
        expect(seen(reply)).toBe(value === right ? '200 handled' : refused)
      }
    }
    expect(runs).toHaveLength(1)
  })

  it.each([
    ['missing', undefined],
    ['empty', ''],
    ['upper case', `sha256=${digits.toUpperCase()}`],
    ['upper case of one digit', right.replace(/[a-f]/, (digit) => digit.toUpperCase())],
    ['upper case of the prefix', `SHA256=${digits}`],
    ['sent twice', `${right}, ${right}`],
    ['sent twice without a space', `${right},${right}`],
    ['the right one after a wrong one', `sha256=${'0'.repeat(64)}, ${right}`],
    ['another prefix', `sha512=${digits}`],
    ['a prefix that truncates to the right one', `\u0173ha256=${digits}`],
    ['two prefixes', `sha256=sha256=${digits}`],
    ['no prefix', digits],
    ['a space before', ` ${right}`],
    ['a space after', `${right} `],
    ['a space behind the prefix', `sha256= ${digits}`],
    ['a line end after', `${right}\n`],
    ['trailing hex', `${right}00`],
    ['trailing text', `${right};v=1`],
    ['one digit less', right.slice(0, -1)],
    ['base64', `sha256=${Buffer.from(digits, 'hex').toString('base64')}`],
    ['a character that truncates to "a"', `sha256=${digits.replace('a', '\u0161')}`],
    ['64 characters that truncate to "a"', `sha256=${'\u0161'.repeat(64)}`],
    ['the capital I with a dot', `sha256=${'\u0130'.repeat(64)}`],
    ['full-width digits', `sha256=${'\uff10'.repeat(64)}`],
    ['a lone surrogate', `sha256=${digits.slice(1)}\ud800`],
    ['an emoji', `sha256=${digits.slice(2)}💥`],
    ['NUL', `sha256=${digits.slice(1)}\0`],
    ['a bad digit in the middle', `sha256=${digits.slice(0, 32)}g${digits.slice(33)}`],
    ['an array of the right one', [right]],
    ['an array of two', [right, right]],
    ['an empty array', []],
    ['an array as long as a signature', [...right]],
    ['a megabyte', `sha256=${'a'.repeat(1024 * 1024)}`],
  ])('answers a signature that is %s with 401, and nothing runs', async (_, value) => {
    const read = vi.fn(krosai.read)
    const parse = vi.spyOn(JSON, 'parse')
    const { deliver, runs, store, outcomes } = endpoint()
    const spying = build({ ...krosai, read }, { secret, on: { '*': () => {} }, logger: false })
    const headers = { 'x-webhook-signature': value }
    const [reply, other] = [
      await deliver(body, { headers }),
      await spying.receive(post(body, { headers })),
    ]
    expect([parse.mock.calls, read.mock.calls, runs]).toEqual([[], [], []])
    expect(store.claim).not.toHaveBeenCalled()
    expect([seen(reply), seen(other)]).toEqual([refused, refused])
    expect(outcomes).toMatchObject([{ outcome: 'rejected', code: 'RINGHOOK_NOT_AUTHENTIC' }])
    expect(outcomes[0]).not.toHaveProperty('eventId')
  })

  it('answers a wrong and a missing signature alike', async () => {
    const { deliver } = endpoint()
    const missing = await deliver(body, { headers: { 'x-webhook-signature': undefined } })
    const wrong = await deliver(body, { headers: { 'x-webhook-signature': sign(body, 'other') } })
    expect([missing.status, missing.headers, missing.body]).toEqual([
      wrong.status,
      wrong.headers,
      wrong.body,
    ])
  })

  it('takes the HMAC over the bytes: a body that is not UTF-8 is not its replacement characters', async () => {
    const { deliver } = endpoint()
    const bytes = Buffer.from([0xff])
    const forged = await deliver(bytes, { headers: { 'x-webhook-signature': sign('\ufffd') } })
    expect(seen(forged)).toBe(refused)
    expect(seen(await deliver(bytes))).toBe('400 rejected RINGHOOK_BODY_NOT_UTF8')
  })

  it('answers any header and any bytes with 401, whatever is in them', async () => {
    const { deliver, runs, store } = endpoint()
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        fc.oneof(fc.string({ unit: 'binary' }), fc.array(fc.string({ unit: 'binary' }))),
        async (bytes, value) => {
          expect(seen(await deliver(bytes, { headers: { 'x-webhook-signature': value } }))).toBe(
            refused,
          )
        },
      ),
      { numRuns: 200, seed: 3 },
    )
    expect(runs).toEqual([])
    expect(store.claim).not.toHaveBeenCalled()
  })

  it('takes one of several signatures where the provider may send several, of the first 16', () => {
    const scheme = {
      header: 'x-signature',
      encoding: 'base64',
      prefix: 'v1,',
      separator: ' ',
    } as const
    const { verify } = signatureVerifier(scheme)
    const keys = [signingKey(scheme, secret)]
    const mine = `v1,${createHmac('sha256', secret).update(body).digest('base64')}`
    const other = `v1,${createHmac('sha256', 'other').update(body).digest('base64')}`
    const many = (count: number) => Array.from({ length: count }, () => other).join(' ')
    expect(verify({ 'x-signature': mine }, body, keys)).toBe(true)
    expect(verify({ 'x-signature': `v1a,something ${other} ${mine}` }, body, keys)).toBe(true)
    expect(verify({ 'x-signature': `${many(15)} ${mine}` }, body, keys)).toBe(true)
    expect(verify({ 'x-signature': `${many(16)} ${mine}` }, body, keys)).toBe(false)
    expect(verify({ 'x-signature': `${other}  ` }, body, keys)).toBe(false)
  })

  it('signs what the provider says stands before the body, and refuses without it', () => {
    const scheme = {
      header: 'x-signature',
      encoding: 'hex',
      signedPrefix: (headers: Readonly<Record<string, unknown>>) =>
        typeof headers['x-time'] === 'string' ? `${headers['x-time']}.` : undefined,
    } as const
    const { verify } = signatureVerifier(scheme)
    const keys = [signingKey(scheme, secret)]
    const value = createHmac('sha256', secret).update('7.').update(body).digest('hex')
    expect(verify({ 'x-signature': value, 'x-time': '7' }, body, keys)).toBe(true)
    expect(verify({ 'x-signature': value, 'x-time': '8' }, body, keys)).toBe(false)
    expect(verify({ 'x-signature': value }, body, keys)).toBe(false)
  })
})

describe('secret', () => {
  it.each([
    ['undefined', undefined, 'RINGHOOK_SECRET_MISSING'],
    ['null', null, 'RINGHOOK_SECRET_MISSING'],
    ['empty', '', 'RINGHOOK_SECRET_MISSING'],
    ['a space', ' ', 'RINGHOOK_SECRET_MISSING'],
    ['a no-break space', '\u00a0', 'RINGHOOK_SECRET_MISSING'],
    ['the text undefined', 'undefined', 'RINGHOOK_SECRET_MISSING'],
    ['the text null', 'null', 'RINGHOOK_SECRET_MISSING'],
    ['the text undefined and a line end', 'undefined\n', 'RINGHOOK_SECRET_MISSING'],
    ['with a line end', 'whsec_1234\n', 'RINGHOOK_SECRET_INVALID'],
    ['with a space before it', ' whsec_1234', 'RINGHOOK_SECRET_INVALID'],
    ['a number', 1234, 'RINGHOOK_SECRET_INVALID'],
    ['true', true, 'RINGHOOK_SECRET_INVALID'],
    ['an object', {}, 'RINGHOOK_SECRET_INVALID'],
    ['bytes', Buffer.from('whsec_1234'), 'RINGHOOK_SECRET_INVALID'],
    ['no secrets', [], 'RINGHOOK_SECRET_MISSING'],
    ['a list with undefined', [undefined], 'RINGHOOK_SECRET_MISSING'],
    ['a list with an empty one', ['fine', ''], 'RINGHOOK_SECRET_MISSING'],
    ['a list with a number', ['fine', 1], 'RINGHOOK_SECRET_INVALID'],
    ['a list in a list', [['fine']], 'RINGHOOK_SECRET_INVALID'],
  ])('that is %s is refused when the receiver is built', (_, wrong, code) => {
    for (const provider of [krosai, odis]) {
      expect(codeOf(() => build(provider, { secret: wrong }))).toBe(code)
    }
  })

  it('that its provider turns into an empty key is refused: anybody could sign with that', () => {
    const provider = defineProvider({
      ...krosai,
      name: 'keyless',
      signature: { ...hex, key: () => new Uint8Array() },
    })
    expect(codeOf(() => build(provider, { secret }))).toBe('RINGHOOK_SECRET_INVALID')
  })

  it('is refused without saying what it was', () => {
    expect(() => build(krosai, { secret: ' whsec_hush' })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hush') }),
    )
  })

  it('has no place with a provider that signs nothing', () => {
    expect(codeOf(() => build(callkaro, { secret, allowUnsigned: true }))).toBe(
      'RINGHOOK_OPTION_INVALID',
    )
  })

  it('can be rotated: any of several verifies, and a removed one no longer does', async () => {
    const headers = { 'x-webhook-signature': sign(body, 'old') }
    const both = endpoint({ secret: ['new', 'old'] })
    const after = endpoint({ secret: ['new'] })
    expect(seen(await both.deliver(body, { headers }))).toBe('200 handled')
    expect(seen(await after.deliver(body, { headers }))).toBe(refused)
    expect(
      seen(await after.deliver(body, { headers: { 'x-webhook-signature': sign(body, 'new') } })),
    ).toBe('200 handled')
  })

  it.each([
    ['the secret', () => secret, '200 handled'],
    ['the secret later', async () => secret, '200 handled'],
    ['several', () => ['other', secret], '200 handled'],
    ['another', () => 'other', refused],
    ['none', () => undefined, refused],
    ['none later', async () => undefined, refused],
    ['an empty list', () => [], refused],
    ['a blank text', () => ' ', 'unavailable'],
    ['null', () => null, refused],
    ['a number', () => 5, 'unavailable'],
    ['an object', () => ({}), 'unavailable'],
    ['a list with a hole in it', () => [secret, undefined], 'unavailable'],
    ['white space around it', () => `${secret}\n`, 'unavailable'],
    [
      'an error',
      () => {
        throw new Error('vault 555-0100')
      },
      'unavailable',
    ],
    ['an error later', () => Promise.reject(new Error('vault 555-0100')), 'unavailable'],
    ['something that is no error', () => Promise.reject(undefined), 'unavailable'],
  ])('from a function that gives %s is answered %3$s', async (_, give, expected) => {
    const { deliver, runs, lines } = endpoint({ secret: give as () => string })
    const unavailable = '503 unavailable RINGHOOK_SECRET_UNAVAILABLE retry-after 30'
    expect(seen(await deliver())).toBe(expected === 'unavailable' ? unavailable : expected)
    expect(runs).toHaveLength(expected === '200 handled' ? 1 : 0)
    expect(lines.join()).not.toContain('555')
    expect(lines.join()).not.toContain(secret)
  })

  it('from a function is asked for every request, with the URL and the headers', async () => {
    const give = vi.fn(() => secret)
    const { deliver } = endpoint({ secret: give })
    await deliver(body, { url: '/hooks/7', headers: { 'x-tenant': 'a' } })
    await deliver(body)
    expect(give.mock.calls).toMatchObject([
      [{ url: '/hooks/7', headers: { 'x-tenant': 'a' } }],
      [{ url: '/hooks' }],
    ])
  })

  it('from a function that never answers is answered 503 at the deadline, and nothing runs when it does', async () => {
    const slow = gate<string>()
    const { deliver, clock, runs, store, receiver } = endpoint({ secret: () => slow.opened })
    const reply = deliver()
    await clock.advance(10_000)
    expect(seen(await reply)).toBe('503 unavailable RINGHOOK_SECRET_UNAVAILABLE retry-after 30')
    slow.open(secret)
    await receiver.idle()
    expect(runs).toEqual([])
    expect(store.claim).not.toHaveBeenCalled()
  })
})
