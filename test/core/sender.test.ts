import fc from 'fast-check'
import { callkaro, krosai, odis } from 'ringhook'
import { describe, expect, it, vi } from 'vitest'
import { build, codeOf, endpoint, event, post, secret, seen, sign } from '../helpers/endpoint.ts'

const refused = '403 rejected RINGHOOK_IP_NOT_ALLOWED'
const fine = '200 handled'

interface From {
  readonly address?: string | undefined
  readonly forwarded?: string | readonly string[]
}

/** What a delivery from an address is answered. */
async function answerTo(
  options: {
    allowedIps: readonly string[] | 'documented'
    trustedProxies?: string | readonly string[]
  },
  { address, forwarded }: From,
): Promise<string> {
  const { deliver, runs, store } = endpoint(options)
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
  const answer = seen(await deliver(event(), { socket: { remoteAddress: address }, headers }))
  expect(runs).toHaveLength(answer === fine ? 1 : 0)
  if (answer !== fine) expect(store.claim).not.toHaveBeenCalled()
  return answer
}

describe('allowedIps', () => {
  const allowedIps = ['52.123.45.67', '203.0.113.0/24', '2001:db8:1::/48']

  it.each([
    '52.123.45.67',
    '203.0.113.0',
    '203.0.113.255',
    '::ffff:52.123.45.67',
    '::FFFF:52.123.45.67',
    '::ffff:347b:2d43',
    '::FFFF:347B:2D43',
    '0:0:0:0:0:ffff:347b:2d43',
    '0000:0000:0000:0000:0000:FFFF:52.123.45.67',
    '::ffff:203.0.113.9',
    '2001:db8:1::1',
    '2001:0DB8:0001:0000:0000:0000:0000:0001',
  ])('lets %s in', async (address) => {
    expect(await answerTo({ allowedIps }, { address })).toBe(fine)
  })

  it.each([
    '52.123.45.66',
    '52.123.45.670',
    '203.0.112.255',
    '2001:db8:2::1',
    '::ffff:52.123.45.68',
    '::52.123.45.67',
    '64:ff9b::347b:2d43',
    'fe80::1%eth0',
    '::1',
    '::',
    '',
    ' ',
    'unknown',
    'localhost',
    '52.123.45.67:443',
    '[::ffff:52.123.45.67]',
    '52.123.45.67, 10.0.0.1',
    '52.123.45.67\0',
    'x'.repeat(10_000),
    undefined,
  ])('keeps %s out', async (address) => {
    expect(await answerTo({ allowedIps }, { address })).toBe(refused)
  })

  it('keeps a delivery without a connection out', async () => {
    expect(seen(await endpoint({ allowedIps }).deliver(event(), { socket: undefined }))).toBe(
      refused,
    )
  })

  it('does not believe X-Forwarded-For, whoever sends it', async () => {
    for (const forwarded of ['52.123.45.67', '52.123.45.67, 10.0.0.1', ['52.123.45.67']]) {
      expect(await answerTo({ allowedIps }, { address: '198.51.100.1', forwarded })).toBe(refused)
      expect(await answerTo({ allowedIps }, { address: '127.0.0.1', forwarded })).toBe(refused)
    }
  })

  it('refuses a stranger before it looks at the signature, and says where to look', async () => {
    const { deliver, lines } = endpoint({ allowedIps })
    const headers = { 'x-webhook-signature': 'wrong' }
    expect(seen(await deliver(event(), { socket: { remoteAddress: '10.0.0.1' }, headers }))).toBe(
      refused,
    )
    expect(lines).toEqual([expect.stringContaining('Behind a proxy, set trustedProxies')])
  })

  it('stands for the addresses that ODIS documents', async () => {
    const receiver = build(odis, { secret, allowedIps: 'documented', logger: false })
    const body = Buffer.from(JSON.stringify(event({ timestamp: new Date().toISOString() })))
    const from = (remoteAddress: string) =>
      receiver.receive(
        post(body, { socket: { remoteAddress }, headers: { 'x-odis-signature': sign(body) } }),
      )
    expect(seen(await from('52.123.45.67'))).toBe('200 ignored')
    expect(seen(await from('::ffff:52.123.45.68'))).toBe('200 ignored')
    expect(seen(await from('52.123.45.69'))).toBe(refused)
  })

  it.each([
    ['no addresses', { allowedIps: [] }],
    ['a text', { allowedIps: '203.0.113.7' }],
    ['a host name', { allowedIps: ['hooks.example.com'] }],
    ['an empty address', { allowedIps: [''] }],
    ['undefined in the list', { allowedIps: [undefined] }],
    ['everybody', { allowedIps: ['0.0.0.0/0'] }],
    ['a range of 33 bits', { allowedIps: ['203.0.113.0/33'] }],
    ['the documented addresses of a provider that documents none', { allowedIps: 'documented' }],
    ['null', { allowedIps: null }],
    ['trusted proxies and nothing that they are for', { trustedProxies: ['10.0.0.1'] }],
    ['a proxy that is no address', { allowedIps: ['203.0.113.7'], trustedProxies: 'nginx' }],
    ['any proxy', { allowedIps: ['203.0.113.7'], trustedProxies: true }],
    ['an empty proxy', { allowedIps: ['203.0.113.7'], trustedProxies: '' }],
  ])('is refused when the receiver is built with %s', (_, options) => {
    expect(codeOf(() => build(krosai, { secret, ...options }))).toBe('RINGHOOK_IP_RULE_INVALID')
  })
})

describe('trustedProxies', () => {
  const rule = { allowedIps: ['203.0.113.7'], trustedProxies: ['10.0.0.0/8', 'loopback'] }

  it.each<[string, From, string]>([
    ['the sender behind one proxy', { address: '10.0.0.1', forwarded: '203.0.113.7' }, fine],
    ['the sender behind two', { address: '127.0.0.1', forwarded: '203.0.113.7, 10.9.9.9' }, fine],
    [
      'the sender behind a mapped proxy',
      { address: '::ffff:10.0.0.1', forwarded: '203.0.113.7' },
      fine,
    ],
    ['the sender in IPv6 spelling', { address: '10.0.0.1', forwarded: '::ffff:203.0.113.7' }, fine],
    [
      'the sender without blanks',
      { address: '10.0.0.1', forwarded: '1.1.1.1,203.0.113.7,10.0.0.2' },
      fine,
    ],
    [
      'a stranger who claims to be the sender',
      { address: '10.0.0.1', forwarded: '203.0.113.7, 198.51.100.1' },
      refused,
    ],
    [
      'a stranger who claims a chain',
      { address: '10.0.0.1', forwarded: '203.0.113.7, 10.0.0.2, 198.51.100.1' },
      refused,
    ],
    [
      'a stranger who does not come through the proxy',
      { address: '198.51.100.1', forwarded: '203.0.113.7' },
      refused,
    ],
    ['the proxy itself', { address: '10.0.0.1' }, refused],
    ['nobody', { address: '10.0.0.1', forwarded: '' }, refused],
    ['garbage', { address: '10.0.0.1', forwarded: '203.0.113.7, unknown' }, refused],
    ['an address with a port', { address: '10.0.0.1', forwarded: '203.0.113.7:443' }, refused],
    ['commas', { address: '10.0.0.1', forwarded: ',,,' }, refused],
    ['a list of headers', { address: '10.0.0.1', forwarded: ['203.0.113.7'] }, refused],
    ['an empty list of headers', { address: '10.0.0.1', forwarded: [] }, refused],
    ['no connection', { forwarded: '203.0.113.7' }, refused],
    ['a long chain', { address: '10.0.0.1', forwarded: '198.51.100.1, '.repeat(5_000) }, refused],
  ])('%s: %3$s', async (_, from, answer) => {
    expect(await answerTo(rule, from)).toBe(answer)
  })

  it('believe what a trusted connection says, and answer any text in it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'binary' }),
        fc.string({ unit: 'binary' }),
        async (address, forwarded) => {
          expect(await answerTo(rule, { address, forwarded })).toBe(refused)
          expect(await answerTo(rule, { address: '10.0.0.1', forwarded })).toBe(refused)
        },
      ),
      { numRuns: 60, seed: 10 },
    )
  })
})

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

describe('a provider that signs nothing', () => {
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
