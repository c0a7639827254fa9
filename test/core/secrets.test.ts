import fc from 'fast-check'
import { callkaro, defineProvider, krosai, odis } from 'ringhook'
import { describe, expect, it, vi } from 'vitest'
import { build, codeOf, endpoint, event, gate, secret, seen, sign } from '../helpers/endpoint.ts'

const hex = { header: 'x-signature', encoding: 'hex', prefix: 'sha256=' } as const
const body = Buffer.from(JSON.stringify(event()))
/** Kept out of the texts: a linter takes `$` and a brace for a mistake. */
const dollar = '$'
const refused = '401 rejected RINGHOOK_NOT_AUTHENTIC'

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
    ['a list with an empty one', [secret, ''], 'RINGHOOK_SECRET_MISSING'],
    ['a list with a number', [secret, 1], 'RINGHOOK_SECRET_INVALID'],
    ['a list in a list', [[secret]], 'RINGHOOK_SECRET_INVALID'],
    ['a list with a hole', Object.assign([secret], { length: 2 }), 'RINGHOOK_SECRET_MISSING'],
  ])('that is %s is refused when the receiver is built', (_, wrong, code) => {
    for (const provider of [krosai, odis]) {
      expect(codeOf(() => build(provider, { secret: wrong }))).toBe(code)
    }
  })

  it.each([
    ['of 32 NULs', '\0'.repeat(32)],
    ['with a NUL behind it', `${secret}\0`],
    ['with a NUL in it', 'whsec_\x0012345678'],
    ['with a tab in it', 'whsec_\t12345678'],
    ['with an escape sequence in it', 'whsec_\x1b[0m12345678'],
    ['with a C1 control character in it', 'whsec_\x8512345678'],
    ['with half a character in it', 'whsec_\ud83d12345678'],
    ['with a replacement character in it', 'whsec_\ufffd12345678'],
    ['with a zero-width space behind it', `${secret}\u200b`],
    ['with a zero-width joiner in it', 'whsec_\u200d12345678'],
    ['with a word joiner before it', `\u2060${secret}`],
    ['with a byte order mark before it', `\ufeff${secret}`],
    ['with a byte order mark in it', 'whsec_\ufeff12345678'],
    ['with a soft hyphen in it', 'whsec_\u00ad12345678'],
    ['with a direction mark in it', 'whsec_\u202e12345678'],
    ['with a variation selector in it', 'whsec_\ufe0f12345678'],
    ['with a Hangul filler in it', 'whsec_\u316412345678'],
    ['with a tag character in it', 'whsec_\u{e0041}12345678'],
    ['with a blank Braille pattern in it', 'whsec_\u280012345678'],
    ['with a no-break space behind it', `${secret}\u00a0`],
    ['with a no-break space in it', 'whsec_\u00a012345678'],
    ['with an ideographic space in it', 'whsec_\u300012345678'],
    ['with a line separator in it', 'whsec_\u202812345678'],
    ['with a line end in it', 'whsec_1234\r\nwhsec_5678'],
    ['of zero-width spaces', '\u200b'.repeat(32)],
    ['in double quotes', '"whsec_12345678"'],
    ['in single quotes', "'whsec_12345678'"],
    ['in backticks', '`whsec_12345678`'],
    ['in escaped quotes', '\\"whsec_12345678\\"'],
    ['in typographic quotes', '\u201cwhsec_12345678\u201d'],
    ['a variable of Compose', `${dollar}{KROSAI_WEBHOOK_SECRET}`],
    ['a variable with a default', `${dollar}{KROSAI_WEBHOOK_SECRET:-}`],
    ['a variable in the middle', `whsec_${dollar}{KROSAI_WEBHOOK_SECRET}`],
    ['a variable of a shell', '$KROSAI_WEBHOOK_SECRET'],
    ['a command of a shell', '$(cat /run/secrets/krosai)'],
    ['a variable of Windows', '%KROSAI_WEBHOOK_SECRET%'],
    ['a template', '{{ krosai.webhookSecret }}'],
    ['an expression of a workflow', `${dollar}{{ secrets.KROSAI_WEBHOOK_SECRET }}`],
    ['something to fill in', '<your signing secret>'],
    ['something to fill in, in brackets', '[your signing secret]'],
    ['an object as text', '[object Object]'],
    ['a promise as text', '[object Promise]'],
    ['JSON', '{"secret":"whsec_12345678"}'],
    ['a list as JSON', '["whsec_12345678"]'],
    ['NaN as text', 'NaN'],
    ['true as text', 'true'],
    ['false as text', 'false'],
    ['Infinity as text', 'Infinity'],
    ['None as text', 'None'],
    ['UNDEFINED as text', 'UNDEFINED'],
    ['a function as text', '() => process.env.SECRET'],
    ['an old function as text', 'function secret() { return 1 }'],
    ['undefined behind a prefix', 'whsec_undefined'],
    ['undefined twice', 'undefinedundefined'],
    ['an object behind a prefix', 'whsec_[object Object]'],
    ['a symbol as text', 'Symbol(secret)'],
    ['an error as text', 'TypeError: no secret'],
    ['a line of an env file', 'KROSAI_WEBHOOK_SECRET=k3Y9qZx7'],
    ['a line of a shell', 'export KROSAI_WEBHOOK_SECRET=k3Y9qZx7'],
    ['code', 'process.env.KROSAI_WEBHOOK_SECRET'],
    ['masked', '••••••••q3Zx'],
    ['cut short for show', 'whsec_k3Y9…qZx7'],
    ['one character', 'x'],
    ['of 7 characters', 'k3Y9qZx'],
    ['four emoji, which are eight code units', '💥🔑🎲🦄'],
    ['one character again and again', 'x'.repeat(64)],
    ['asterisks', '********'],
    ['two characters in turn', 'ab'.repeat(16)],
    ['counting up', '12345678'],
    ['counting down', 'hgfedcba'],
    ['counting beyond nine', '1234567890'],
    ['counting round and round', '78901234567890123456'],
    ['counting down beyond zero', '3210987654'],
    ['changeme', 'changeme'],
    ['CHANGE_ME', 'CHANGE_ME'],
    ['the secret of ODIS’s page', 'your_webhook_secret'],
    ['the secret of many pages', 'your-signing-secret-here'],
    ['what is to be replaced', 'REPLACE_WITH_YOUR_SECRET'],
    ['password', 'password123'],
  ])(
    'that is %s is refused when the receiver is built, by a function, and beside a good one',
    async (_, weak) => {
      for (const wrong of [weak, [secret, weak]]) {
        const building = () => build(krosai, { secret: wrong })
        expect(building).toThrow(expect.objectContaining({ code: 'RINGHOOK_SECRET_INVALID' }))
        // It says what is wrong, in words of its own.
        const parts = weak.match(/[a-z_]{7,}/gi) ?? []
        for (const part of parts) expect(building).not.toThrow(part)
      }
      const { deliver, lines } = endpoint({ secret: () => weak })
      const key = weak.replaceAll('\0', '') === '' ? '' : weak
      const headers = { 'x-webhook-signature': sign(body, key) }
      expect(seen(await deliver(body, { headers }))).toBe(
        '503 unavailable RINGHOOK_SECRET_UNAVAILABLE retry-after 30',
      )
      expect(lines).toEqual([
        expect.stringMatching(/cannot be a secret \(The secret .*\[RINGHOOK_SECRET_INVALID/),
      ])
    },
  )

  it.each([
    ['8 random characters', 'k3Y9qZx7'],
    ['8 hex digits', 'f3a91c6e'],
    ['16 bytes in base64', 'F5wrP9SKYU6w8sbZXkp7GA=='],
    ['32 bytes in hex', '4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b'],
    ['of Standard Webhooks', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
    ['a UUID', '6ba7b810-9dad-11d1-80b4-00c04fd430c8'],
    ['of 16 digits', '8305719264473829'],
    ['with punctuation', '$a{b}"c\'<d>%e%'],
    ['that begins with a quote', `"${secret}`],
    ['words', 'a secret for tests'],
    ['words of another alphabet', 'ключ от всех дверей'],
    ['with an emoji', 'whsec_💥_12345'],
    ['with the word secret in it', 'krosai-secret-8f3a91'],
  ])('that is %s verifies', async (_, good) => {
    const { deliver } = endpoint({ secret: good })
    const headers = { 'x-webhook-signature': sign(body, good) }
    expect(seen(await deliver(body, { headers }))).toBe('200 handled')
  })

  it('made at random is taken, however it is written', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 64 }), (bytes) => {
        // What a generator makes does not repeat so much.
        fc.pre(new Set(bytes).size > 8)
        for (const encoding of ['hex', 'base64', 'base64url'] as const) {
          build(krosai, { secret: Buffer.from(bytes).toString(encoding), logger: false })
        }
      }),
      { numRuns: 200, seed: 12 },
    )
  })

  it.each<[string, (secret: string) => unknown]>([
    ['no bytes', () => new Uint8Array()],
    ['zeros', () => new Uint8Array(32)],
    ['a few bytes and zeros', () => Buffer.concat([Buffer.from('abcde'), Buffer.alloc(27)])],
    ['one byte again and again', () => Buffer.alloc(32, 0xff)],
    ['a text', (text) => text],
    ['a promise', async (text) => Buffer.from(text)],
    ['a rejection', () => Promise.reject(new Error('no key'))],
    ['nothing', () => undefined],
  ])('of which its provider makes %s is refused: anybody could sign with that', (_, key) => {
    const signature = { ...hex, key: key as () => Uint8Array }
    const provider = defineProvider({ ...krosai, name: 'keyless', signature })
    expect(codeOf(() => build(provider, { secret }))).toBe('RINGHOOK_SECRET_INVALID')
  })

  it('of which its provider makes a key that happens to end in zeros is taken', () => {
    const key = () => Buffer.concat([Buffer.from('k3Y9qZx7'), Buffer.alloc(2)])
    const signature = { ...hex, key }
    build(defineProvider({ ...krosai, name: 'keyed', signature }), { secret, logger: false })
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
    const headers = { 'x-webhook-signature': sign(body, 'the old secret') }
    const both = endpoint({ secret: ['the new secret', 'the old secret'] })
    const after = endpoint({ secret: ['the new secret'] })
    expect(seen(await both.deliver(body, { headers }))).toBe('200 handled')
    expect(seen(await after.deliver(body, { headers }))).toBe(refused)
    expect(
      seen(
        await after.deliver(body, {
          headers: { 'x-webhook-signature': sign(body, 'the new secret') },
        }),
      ),
    ).toBe('200 handled')
  })

  it.each([
    ['the secret', () => secret, '200 handled'],
    ['the secret later', async () => secret, '200 handled'],
    ['several', () => ['another secret', secret], '200 handled'],
    ['another', () => 'another secret', refused],
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

  it('that a function does not have is said in the log, and answered like a wrong one', async () => {
    const wrong = await endpoint({ secret: () => 'another secret' }).deliver()
    for (const none of [undefined, null, []]) {
      const { deliver, lines } = endpoint({ secret: () => none })
      const reply = await deliver()
      expect([reply.status, reply.headers, reply.body]).toEqual([
        wrong.status,
        wrong.headers,
        wrong.body,
      ])
      expect(lines).toEqual([expect.stringContaining('the secret function returned no secret')])
    }
  })
})
