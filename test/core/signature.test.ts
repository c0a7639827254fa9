import { createHmac, Hmac, type KeyObject } from 'node:crypto'
import fc from 'fast-check'
import { defineProvider, krosai, type RequestHeaders } from 'ringhook'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { signatureVerifier, signingKey } from '../../src/core/authentication/signature.ts'
import type { SignatureScheme } from '../../src/providers/provider.ts'
import { build, endpoint, event, post, secret, seen, sign } from '../helpers/endpoint.ts'

const hex = { header: 'x-signature', encoding: 'hex', prefix: 'sha256=' } as const
const body = Buffer.from(JSON.stringify(event()))
const right = sign(body)
const digits = right.slice('sha256='.length)
const refused = '401 rejected RINGHOOK_NOT_AUTHENTIC'

afterEach(() => {
  vi.restoreAllMocks()
})

/** Whether a delivery verifies. */
function verifierOf(scheme: SignatureScheme) {
  const { verify } = signatureVerifier(scheme)
  return (headers: RequestHeaders, bytes: Uint8Array, keys: readonly KeyObject[]) =>
    'keyIndex' in verify(headers, bytes, keys)
}

describe('signature', () => {
  it('verifies exactly what node signs, for any key and any bytes', () => {
    const verify = verifierOf(hex)
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
    const verify = verifierOf(hex)
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
    const verify = verifierOf(scheme)
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
    const verify = verifierOf(scheme)
    const keys = [signingKey(scheme, secret)]
    const value = createHmac('sha256', secret).update('7.').update(body).digest('hex')
    expect(verify({ 'x-signature': value, 'x-time': '7' }, body, keys)).toBe(true)
    expect(verify({ 'x-signature': value, 'x-time': '8' }, body, keys)).toBe(false)
    expect(verify({ 'x-signature': value }, body, keys)).toBe(false)
  })
})

describe('signature, byte by byte', () => {
  const other = 'another secret'

  /** What a form and a comparison of text make of a header, without a byte in sight. */
  function isRight(value: string, separator: string | undefined): boolean {
    const isJoined = separator === undefined || value.includes(', ')
    const parts = isJoined ? [value] : value.split(separator).slice(0, 16)
    return parts.some(
      (part) => /^sha256=[0-9a-f]{64}$/.test(part) && [right, sign(body, other)].includes(part),
    )
  }

  /** Characters that share a byte with those of a signature, in one encoding or another. */
  const odd = fc.constantFrom(
    '\u0131',
    '\u0161',
    '\u00b1',
    'é',
    '\ud800',
    '💥',
    '\0',
    'A',
    '0',
    ' ',
  )

  it.each([undefined, ' ', ','])(
    'verifies by the form and the text, whatever came before it, with %j between signatures',
    (separator) => {
      const scheme = { ...hex, ...(separator !== undefined && { separator }) }
      // One verifier for all: what one delivery presents must not be found by the next.
      const verify = verifierOf(scheme)
      const keys = [signingKey(scheme, secret), signingKey(scheme, other)]
      const mutated = fc
        .tuple(fc.constantFrom(right, sign(body, other), sign(body, 'unknown')), fc.nat(72), odd)
        .map(([from, at, character]) => from.slice(0, at) + character + from.slice(at + 1))
      const part = fc.oneof(fc.constantFrom(right, sign(body, other)), mutated, mutated)
      const values = fc.oneof(
        part,
        fc.array(part, { maxLength: 18 }).map((parts) => parts.join(separator ?? ' ')),
      )
      let accepted = 0
      fc.assert(
        fc.property(values, (value) => {
          const verified = verify({ 'x-signature': value }, body, keys)
          expect(verified).toBe(isRight(value, separator))
          if (verified) accepted++
        }),
        { numRuns: 1_000, seed: 21 },
      )
      expect(accepted).toBeGreaterThan(100)
    },
  )

  it('is not completed by the end of the one before it', () => {
    const { verify } = signatureVerifier({ ...hex, separator: ' ' })
    const keys = [signingKey(hex, secret)]
    // Its last character takes two bytes, and there is room for one.
    const cut = `${right.slice(0, -1)}é`
    expect(verify({ 'x-signature': right }, body, keys)).toEqual({ keyIndex: 0 })
    for (const value of [cut, `${sign(body, other)} ${cut}`]) {
      expect(verify({ 'x-signature': value }, body, keys)).toHaveProperty('reason')
    }
  })

  it('may have a prefix beyond ASCII', () => {
    const scheme = { ...hex, prefix: 'über=' }
    const verify = verifierOf(scheme)
    const keys = [signingKey(scheme, secret)]
    expect(verify({ 'x-signature': `über=${digits}` }, body, keys)).toBe(true)
    for (const prefix of ['uber=', 'über =', '\ufffdber=']) {
      expect(verify({ 'x-signature': prefix + digits }, body, keys)).toBe(false)
    }
  })
})

describe('signature, in several headers', () => {
  // As Node hands them over: joined with a comma and a space.
  const mine = createHmac('sha256', secret).update(body).digest('base64')
  const other = createHmac('sha256', 'other').update(body).digest('base64')

  it.each<[string, string, string]>([
    [' ', `v1,${mine} v1,${other}`, 'accepted'],
    [' ', `v1,${mine}, v1,${other}`, 'refused'],
    [' ', `v1,${other}, v1,${mine}`, 'refused'],
    [' ', `v1,${mine}, v1,${mine}`, 'refused'],
    [' ', `, v1,${mine}`, 'refused'],
    [' ', `v1,${mine}, `, 'refused'],
    [' ', `v1,${other} v1,${mine}, v1,${other}`, 'refused'],
    [',', `v1=${mine},v1=${other}`, 'accepted'],
    [',', `v1=${mine}, v1=${other}`, 'refused'],
    [',', `v1=${other}, v1=${mine}`, 'refused'],
    [',', `v1=${mine},v1=${other}, v1=${mine}`, 'refused'],
    [',', `, v1=${mine}`, 'refused'],
    [';', `v1=${mine};v1=${other}`, 'accepted'],
    [';', `v1=${mine}, v1=${other}`, 'refused'],
    [';', `v1=${mine};v1=${other}, v1=${other};v1=${mine}`, 'refused'],
  ])('with signatures between %j: %s is %s', (separator, value, expected) => {
    const prefix = separator === ' ' ? 'v1,' : 'v1='
    const scheme = { header: 'x-signature', encoding: 'base64', prefix, separator } as const
    const { verify } = signatureVerifier(scheme)
    const verified = verify({ 'x-signature': value }, body, [signingKey(scheme, secret)])
    if (expected === 'accepted') expect(verified).toEqual({ keyIndex: 0 })
    else expect(verified).toEqual({ reason: expect.stringContaining('sent more than once') })
  })
})

describe('signature, its cost', () => {
  const scheme = { ...hex, separator: ' ' } as const
  const keys = [signingKey(scheme, secret), signingKey(scheme, 'another secret')]

  /** How many bytes go into HMACs. */
  function hashed(value: unknown, tried: readonly KeyObject[], signedPrefix?: () => string) {
    const update = vi.spyOn(Hmac.prototype, 'update')
    const { verify } = signatureVerifier({ ...scheme, ...(signedPrefix && { signedPrefix }) })
    verify({ 'x-signature': value as string }, body, tried)
    const bytes = update.mock.calls.reduce((sum, [data]) => sum + Buffer.byteLength(data), 0)
    update.mockRestore()
    return bytes
  }

  it.each([
    ['right', right],
    ['right, with the last key', sign(body, 'another secret')],
    ['wrong', sign(body, 'unknown')],
    ['missing', undefined],
    ['empty', ''],
    ['of another form', 'v1=abc'],
    ['a list', [right]],
    ['sent twice', `${right}, ${right}`],
    ['several', `${sign(body, 'unknown')} ${right}`],
  ])('is the same for a signature that is %s', (_, value) => {
    expect(hashed(value, keys)).toBe(2 * body.length)
    expect(hashed(value, keys.slice(0, 1))).toBe(body.length)
  })

  it('is the same for a tenant that is not known, whose body is never authentic', () => {
    for (const value of [right, sign(body, ''), undefined, 'v1=abc']) {
      expect(hashed(value, [])).toBe(body.length)
      const { verify } = signatureVerifier(scheme)
      expect(verify({ 'x-signature': value }, body, [])).toHaveProperty('reason')
    }
  })

  it('is the same when another header is missing, and when signedPrefix throws', () => {
    const fails = () => {
      throw new Error('no such header')
    }
    expect(hashed(right, keys, fails)).toBe(2 * body.length)
    expect(hashed(right, keys, () => undefined as never)).toBe(2 * body.length)
  })

  it('is done beside a wrong URL token too', async () => {
    const update = vi.spyOn(Hmac.prototype, 'update')
    const { deliver, lines } = endpoint({ urlToken: 'a-token-of-sixteen' })
    expect(seen(await deliver(body, { headers: { 'x-webhook-signature': right } }))).toBe(refused)
    expect(update).toHaveBeenCalledWith(body)
    expect(lines).toEqual([expect.stringContaining('?token=')])
  })

  it('tells which key it was', () => {
    const { verify } = signatureVerifier(scheme)
    const verified = (value: string) => verify({ 'x-signature': value }, body, keys)
    expect(verified(right)).toEqual({ keyIndex: 0 })
    expect(verified(sign(body, 'another secret'))).toEqual({ keyIndex: 1 })
    expect(verified(`${sign(body, 'another secret')} ${right}`)).toEqual({ keyIndex: 0 })
  })
})

describe('signedPrefix', () => {
  it.each<[string, () => unknown, string]>([
    [
      'throws',
      () => {
        throw new TypeError('+14155551234 is not what it should be')
      },
      'signedPrefix threw: TypeError',
    ],
    [
      'throws something that is not an error',
      () => {
        throw '+14155551234'
      },
      'signedPrefix threw: a thrown string',
    ],
    [
      'throws what throws again',
      () => {
        throw new Proxy(new Error('no'), {
          get() {
            throw new Error('twice')
          },
        })
      },
      'signedPrefix threw',
    ],
    ['rejects', () => Promise.reject(new Error('too late')), 'not a string'],
    ['is asynchronous', async () => '7.', 'not a string'],
    ['returns a number', () => 7, 'not a string'],
    ['returns bytes', () => Buffer.from('7.'), 'not a string'],
    ['returns an object', () => ({ toString: () => '7.' }), 'not a string'],
    ['returns null', () => null, 'missing or malformed'],
    ['returns nothing', () => undefined, 'missing or malformed'],
  ])('that %s is answered 401, and the log says so', async (_, signedPrefix, hint) => {
    const provider = defineProvider({
      ...krosai,
      name: 'prefixed',
      signature: { ...krosai.signature, signedPrefix: signedPrefix as () => string },
    })
    const lines: string[] = []
    const logger = { ...console, warn: (line: string) => void lines.push(line) }
    const receiver = build(provider, { secret, on: { '*': () => {} }, logger })
    expect(seen(await receiver.receive(post(body)))).toBe(refused)
    expect(lines).toEqual([expect.stringContaining(hint)])
    expect(lines.join()).not.toContain('5551234')
  })
})
