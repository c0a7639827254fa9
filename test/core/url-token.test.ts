import fc from 'fast-check'
import { callkaro, krosai } from 'ringhook'
import { describe, expect, it, vi } from 'vitest'
import { build, codeOf, endpoint, event, post, secret, seen, sign } from '../helpers/endpoint.ts'

const fine = '200 handled'

describe('urlToken', () => {
  const token = 'abcDEF123456-_~+/=x'
  const encoded = encodeURIComponent(token)
  const unauthentic = '401 rejected RINGHOOK_NOT_AUTHENTIC'

  async function answerAt(url: string, urlToken: string | string[] = token): Promise<string> {
    const handler = vi.fn()
    const receiver = build(callkaro, { urlToken, on: { '*': handler }, logger: false })
    const reply = await receiver.receive(post({ event: 'new', data: {} }, { url }))
    expect(handler).toHaveBeenCalledTimes(reply.status === 200 ? 1 : 0)
    return seen(reply)
  }

  it.each([
    ['percent-encoded', `/hooks?token=${encoded}`],
    ['as it is, with its plus sign', `/hooks?token=${token}`],
    ['percent-encoded where it need not be', `/hooks?token=%61${encoded.slice(1)}`],
    ['behind an empty parameter', `/hooks?&token=${encoded}`],
    ['between other parameters', `/hooks?a=1&token=${encoded}&b=token`],
    ['in an absolute URL', `https://example.com/hooks?token=${encoded}`],
  ])('lets a URL in that has it %s', async (_, url) => {
    expect(await answerAt(url)).toBe(fine)
  })

  it.each([
    ['missing', '/hooks'],
    ['without a URL', ''],
    ['empty', '/hooks?token='],
    ['a name alone', '/hooks?token'],
    ['wrong', `/hooks?token=${encoded}x`],
    ['cut', `/hooks?token=${encodeURIComponent(token.slice(0, -1))}`],
    ['in upper case', `/hooks?token=${encodeURIComponent(token.toUpperCase())}`],
    ['twice', `/hooks?token=${encoded}&token=${encoded}`],
    ['twice, once under an encoded name', `/hooks?token=${encoded}&%74oken=${encoded}`],
    ['under an encoded name', `/hooks?%74oken=${encoded}`],
    ['under a name that is encoded in part', `/hooks?a=1&to%6ben=${encoded}`],
    ['behind two question marks', `/hooks??token=${encoded}`],
    ['behind a question mark that is encoded', `/hooks?%3Ftoken=${encoded}`],
    ['behind a semicolon', `/hooks?a=1;token=${encoded}`],
    ['with a blank before its name', `/hooks?+token=${encoded}`],
    ['with NUL behind its name', `/hooks?token%00=${encoded}`],
    ['behind an empty parameter of its name', `/hooks?token&token=${encoded}`],
    ['twice, once wrong', `/hooks?token=${encoded}&token=x`],
    ['as a list', `/hooks?token[]=${encoded}`],
    ['under another name', `/hooks?Token=${encoded}`],
    ['in the path', `/hooks/token=${encoded}`],
    ['behind a second question mark', `/hooks?a?token=${encoded}`],
    ['with a blank behind it', `/hooks?token=${encoded}%20`],
    ['with NUL behind it', `/hooks?token=${encoded}%00`],
    ['in broken percent-encoding', '/hooks?token=%'],
    ['in broken UTF-8', '/hooks?token=%ff%fe'],
    ['a megabyte', `/hooks?token=${'x'.repeat(1024 * 1024)}`],
  ])('keeps a URL out that has it %s', async (_, url) => {
    expect(await answerAt(url)).toBe(unauthentic)
  })

  it('does not look behind the fragment mark for it, which no client sends', async () => {
    expect(await answerAt(`/hooks#?token=${encoded}`)).toBe(unauthentic)
    expect(await answerAt(`/hooks?a=1#&token=${encoded}`)).toBe(unauthentic)
  })

  it('can be rotated: any of several is let in', async () => {
    const other = 'another-token-of-mine'
    expect(await answerAt(`/hooks?token=${other}`, [token, other])).toBe(fine)
    expect(await answerAt(`/hooks?token=${other}`, [token])).toBe(unauthentic)
  })

  it('is asked for beside the signature where there is one', async () => {
    const { deliver } = endpoint({ urlToken: token })
    expect(seen(await deliver(event(), { url: `/?token=${encoded}` }))).toBe(fine)
    expect(seen(await deliver(event({ id: 'b' })))).toBe(unauthentic)
    const headers = { 'x-webhook-signature': sign('other') }
    expect(seen(await deliver(event(), { url: `/?token=${encoded}`, headers }))).toBe(unauthentic)
  })

  it('answers any URL', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), async (text) => {
        expect(await answerAt(`/?token=${text}`)).toBe(unauthentic)
        expect(await answerAt(text)).toBe(unauthentic)
      }),
      { numRuns: 100, seed: 11 },
    )
  })

  it.each([
    ['undefined', undefined],
    ['empty', ''],
    ['of 15 characters', 'x'.repeat(15)],
    ['with a blank', 'sixteen and more characters'],
    ['with a line end', `${'x'.repeat(20)}\n`],
    ['a number', 1234567890123456],
    ['no tokens', []],
    ['a list with a short one', [token, 'short']],
    ['a list with undefined', [token, undefined]],
    ['null', null],
    ['a placeholder', '<the token of CallKaro>'],
    ['a variable of a shell', '$CALLKARO_URL_TOKEN'],
    ['in quotes', '"abcDEF123456-_~+/=x"'],
    ['with a zero-width space in it', `${token}\u200b`],
    ['with NUL in it', `${token}\0`],
    ['one character again and again', 'x'.repeat(32)],
    ['an object as text', String(Promise.resolve())],
    ['the text of an example', 'your-secret-token'],
  ])('that is %s is refused when the receiver is built', (_, urlToken) => {
    expect(codeOf(() => build(callkaro, { urlToken }))).toBe('RINGHOOK_URL_TOKEN_INVALID')
    expect(codeOf(() => build(krosai, { secret, urlToken }))).toBe('RINGHOOK_URL_TOKEN_INVALID')
  })
})

describe('allowUnsigned', () => {
  it('is refused when nothing keeps others out', () => {
    expect(codeOf(() => build(callkaro, {}))).toBe('RINGHOOK_UNSIGNED_PROVIDER')
    expect(codeOf(() => build(callkaro, { allowedIps: undefined }))).toBe(
      'RINGHOOK_UNSIGNED_PROVIDER',
    )
    expect(codeOf(() => build(callkaro, { allowUnsigned: undefined }))).toBe(
      'RINGHOOK_UNSIGNED_PROVIDER',
    )
    for (const allowUnsigned of [false, 'true', 1, null]) {
      expect(codeOf(() => build(callkaro, { allowUnsigned }))).toBe('RINGHOOK_OPTION_INVALID')
    }
    expect(codeOf(() => build(krosai, { secret, allowUnsigned: true }))).toBe(
      'RINGHOOK_OPTION_INVALID',
    )
  })

  it('is built with one of the three', () => {
    build(callkaro, { urlToken: 'a-token-of-16-or-more' })
    build(callkaro, { allowedIps: ['203.0.113.7'] })
    build(callkaro, { allowUnsigned: true })
  })
})
