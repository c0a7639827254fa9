import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, request, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import fc from 'fast-check'
import { defineProvider, krosai, odis } from 'ringhook'
import { webhooks } from 'ringhook/express'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { nodeRequest } from '../../src/core/request/node-request.ts'
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
    ['proxies in a set', { allowedIps: ['203.0.113.7'], trustedProxies: new Set(['10.0.0.1']) }],
    ['the name of a range', { allowedIps: ['loopback'] }],
    ['a Unix socket', { allowedIps: ['unix'] }],
    ['a name of ranges in upper case', { allowedIps: ['203.0.113.7'], trustedProxies: 'Loopback' }],
    ['a list in one text', { allowedIps: ['203.0.113.7, 203.0.113.8'] }],
    ['a hole in the list', { allowedIps: new Array(1) }],
    ['a number', { allowedIps: [3405803783] }],
  ])('is refused when the receiver is built with %s', (_, options) => {
    expect(codeOf(() => build(krosai, { secret, ...options }))).toBe('RINGHOOK_IP_RULE_INVALID')
  })

  it.each([
    '010.0.0.1',
    '10.0.0.01',
    '10.00.0.1',
    '0x0a.0.0.1',
    '10.0.0.0x1',
    '0xa000001',
    '0x0A000001',
    '012.0.0.1',
    '167772161',
    '01200000001',
    '10.0.1',
    '10.1',
    '10',
    '10.0.0.1.',
    '.10.0.0.1',
    '10.0.0.256',
    '10.0.0.-1',
    '10.0.0.1e0',
    '10.0.0.1.1',
    '10.0.0',
    '10.0.0.1:80',
    '10.0.0.*',
    '10.0.0.1-10.0.0.9',
    '+10.0.0.1',
    '１0.0.0.1',
    '10。0。0。1',
    ' 10.0.0.1',
    '10.0.0.1 ',
    '10.0.0.1\n',
    '10.0.0.1\0',
    '\u200b10.0.0.1',
    '10.0.0.1/',
    '10.0.0.1/0',
    '10.0.0.0/08',
    '10.0.0.0/+8',
    '10.0.0.0/8.0',
    '10.0.0.0/0x8',
    '10.0.0.0/1e1',
    '10.0.0.0/ 8',
    '10.0.0.0/8/8',
    '10.0.0.0/-8',
    '10.0.0.0/33',
    '10.0.0.0/128',
    '10.0.0.0/255.0.0.0',
    '10.0.0.0/0.255.255.255',
    '010.0.0.0/8',
    '0xa000000/8',
    '167772160/8',
    '10/8',
    '10.0.0.0\\8',
    '2001:db8::/0',
    '2001:db8::/129',
    '2001:db8::/032',
    '2001:db8::/ffff::',
    '2001:db8::1::2',
    '2001:db8:::1',
    '2001:db8::12345',
    '2001:db8::g',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '[2001:db8::1]',
    'fe80::1%eth0',
    'fe80::1%eth0/64',
    'fe80::%25eth0/10',
    '::ffff:010.0.0.1',
    '::ffff:0x0a.0.0.1',
    '::ffff:10.0.1',
    '::ffff:10.0.0.0/8',
    '::ffff:0:0/96',
    '::ffff:0.0.0.0/96',
    '0:0:0:0:0:ffff:a00:0/32',
    'undefined',
    'http://10.0.0.1',
  ])('does not take %j for an address, nor does trustedProxies, nor a provider', (entry) => {
    for (const rule of [
      { allowedIps: [entry] },
      { allowedIps: ['203.0.113.7', entry] },
      { allowedIps: ['203.0.113.7'], trustedProxies: entry },
      { allowedIps: ['203.0.113.7'], trustedProxies: ['loopback', entry] },
    ]) {
      expect(codeOf(() => build(krosai, { secret, ...rule }))).toBe('RINGHOOK_IP_RULE_INVALID')
    }
    const delivery = { ...krosai.delivery, addresses: [entry] }
    expect(codeOf(() => defineProvider({ ...krosai, name: 'odd', delivery }))).toBe(
      'RINGHOOK_PROVIDER_INVALID',
    )
  })

  it.each<[string, string[], string[]]>([
    ['10.0.0.0/8', ['10.0.0.0', '10.255.255.255', '::ffff:10.1.2.3'], ['11.0.0.0', '8.0.0.1']],
    ['10.0.0.1/8', ['10.0.0.0', '10.255.255.255'], ['11.0.0.0', '9.255.255.255']],
    ['203.0.113.7/32', ['203.0.113.7'], ['203.0.113.6', '203.0.113.8']],
    ['128.0.0.0/1', ['128.0.0.0', '255.255.255.255'], ['127.255.255.255', '8000::']],
    ['::ffff:10.0.0.1', ['10.0.0.1', '::ffff:a00:1'], ['10.0.0.2', '::10.0.0.1']],
    ['::FFFF:A00:1', ['10.0.0.1'], ['10.0.0.2']],
    ['::ffff:10.0.0.0/104', ['10.0.0.0', '10.255.255.255'], ['11.0.0.0']],
    ['0:0:0:0:0:ffff:10.0.0.0/120', ['10.0.0.255'], ['10.0.1.0']],
    ['2001:db8::/32', ['2001:db8:ffff::1'], ['2001:db9::', '32.1.13.184']],
    ['2001:DB8::1', ['2001:db8:0:0::1'], ['2001:db8::2']],
    ['fe80::/10', ['fe80::1', 'fe80::1%eth0', 'febf::'], ['fec0::', '::fe80:1']],
    ['::/1', ['::1', '2001:db8::1'], ['8000::', '1.2.3.4']],
  ])('%s is a rule', async (rule, inside, outside) => {
    for (const address of inside) {
      expect(await answerTo({ allowedIps: [rule] }, { address })).toBe(fine)
    }
    for (const address of outside) {
      expect(await answerTo({ allowedIps: [rule] }, { address })).toBe(refused)
    }
  })

  it('says which entry is wrong, and what is', () => {
    const building = (list: unknown[]) => () => build(krosai, { secret, allowedIps: list })
    expect(building(['10.0.0.2', '010.0.0.1'])).toThrow(/"010\.0\.0\.1", .*leading zeros/)
    expect(building(['10.0.0.1 '])).toThrow(/white space/)
    expect(building([undefined])).toThrow(/undefined, .*environment variable/)
    expect(building(['\u001b[31m'.repeat(100)])).toThrow(/^[\x20-\x7e…]{1,400}$/)
  })
})

describe('trustedProxies', () => {
  const rule = {
    allowedIps: ['203.0.113.7', '2001:db8::1'],
    trustedProxies: ['10.0.0.0/8', 'loopback'],
  }

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
    ['an address with a port', { address: '10.0.0.1', forwarded: '203.0.113.7:51234' }, fine],
    ['an address with port 0', { address: '10.0.0.1', forwarded: '203.0.113.7:0' }, fine],
    [
      'proxies with ports',
      { address: '10.0.0.1', forwarded: '203.0.113.7:51234, 10.0.0.2:80,10.0.0.3' },
      fine,
    ],
    [
      'a stranger with a port who claims to be the sender',
      { address: '10.0.0.1', forwarded: '203.0.113.7:51234, 198.51.100.1:51234' },
      refused,
    ],
    ['version 6 alone', { address: '10.0.0.1', forwarded: '2001:db8::1' }, fine],
    ['version 6 in brackets', { address: '10.0.0.1', forwarded: '[2001:db8::1]' }, fine],
    ['version 6 with a port', { address: '10.0.0.1', forwarded: '[2001:db8::1]:443' }, fine],
    [
      'version 6 in another spelling',
      { address: '10.0.0.1', forwarded: '[2001:DB8:0::1]:1' },
      fine,
    ],
    [
      'a mapped address with a port',
      { address: '10.0.0.1', forwarded: '[::ffff:203.0.113.7]:443' },
      fine,
    ],
    ['tabs and blanks around it', { address: '10.0.0.1', forwarded: '\t 203.0.113.7 \t' }, fine],
    [
      'version 6 and a port without brackets',
      { address: '10.0.0.1', forwarded: '2001:db8::1:443' },
      refused,
    ],
    ...[
      '203.0.113.7:',
      '203.0.113.7:65536',
      '203.0.113.7:123456',
      '203.0.113.7:-1',
      '203.0.113.7:80:80',
      '203.0.113.7:http',
      '203.0.113.7 :80',
      '203.0.113.7:80x',
      '[203.0.113.7]',
      '[203.0.113.7]:80',
      '[2001:db8::1',
      '2001:db8::1]',
      '[2001:db8::1]443',
      '[2001:db8::1]:',
      '[2001:db8::1]x',
      '[[2001:db8::1]]',
      '[2001:db8::1%eth0]:443',
      '2001:db8::1%eth0',
      '"203.0.113.7"',
      'for=203.0.113.7',
      'unknown',
      '_hidden',
      'unknown:80',
      '0313.0.0161.7',
      '203.0.113.007',
      '203.0.113.0x7',
      '0xcb007107',
      '3405803783',
      '203.0.28935',
      '203.0.113.7.',
      '203.0.113.7/32',
      '203.0.113.7, ',
      ', 203.0.113.7,',
      '::ffff:203.0.113.07',
    ].map((forwarded): [string, From, string] => [
      `the odd entry ${forwarded}`,
      { address: '10.0.0.1', forwarded },
      refused,
    ]),
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

describe('RINGHOOK_IP_NOT_ALLOWED, in the log', () => {
  const allowedIps = ['203.0.113.7']
  const trustedProxies = ['10.0.0.0/8', 'unix']

  it.each<[string, object, From, RegExp]>([
    [
      'there may be a proxy that is not declared',
      { allowedIps },
      { address: '10.0.0.1', forwarded: '203.0.113.7' },
      /comes from 10\.0\.0\.1, which is not in allowedIps\. Its X-Forwarded-For does not count.*set trustedProxies/,
    ],
    [
      'there is no sign of a proxy',
      { allowedIps },
      { address: '198.51.100.1' },
      /comes from 198\.51\.100\.1, which is not in allowedIps\. Behind a proxy, set trustedProxies/,
    ],
    [
      'the proxy is not one of trustedProxies',
      { allowedIps, trustedProxies },
      { address: '192.168.0.1', forwarded: '203.0.113.7' },
      /comes from 192\.168\.0\.1, which is neither in allowedIps nor in trustedProxies, so its X-Forwarded-For does not count/,
    ],
    [
      'the proxy sends no header',
      { allowedIps, trustedProxies },
      { address: '10.0.0.1' },
      /10\.0\.0\.1 is a trusted proxy and sent no X-Forwarded-For/,
    ],
    [
      'the proxy sends no address',
      { allowedIps, trustedProxies },
      { address: '10.0.0.1', forwarded: '203.0.113.7, +14155551234' },
      /X-Forwarded-For of 10\.0\.0\.1, a trusted proxy, has something other than an IP address/,
    ],
    [
      'the client is somebody else',
      { allowedIps, trustedProxies },
      { address: '10.0.0.1', forwarded: '203.0.113.7, 198.51.100.1:51234, 10.0.0.2' },
      /the client is 198\.51\.100\.1 by the X-Forwarded-For of 10\.0\.0\.1, and is not in allowedIps/,
    ],
    [
      'there are only trusted proxies',
      { allowedIps, trustedProxies },
      { address: '10.0.0.1', forwarded: '10.0.0.3, 10.0.0.2' },
      /the client is 10\.0\.0\.3 by .* It is in trustedProxies, as is every address behind it(?!.*add it to trustedProxies)/,
    ],
    [
      'the connection has no address',
      { allowedIps, trustedProxies: ['10.0.0.0/8'] },
      { forwarded: '203.0.113.7' },
      /no address, as one through a Unix socket.*'unix' to trustedProxies/,
    ],
    [
      'the proxy on a Unix socket sends no header',
      { allowedIps, trustedProxies },
      {},
      /a Unix socket is a trusted proxy and sent no X-Forwarded-For/,
    ],
    [
      'the address is not an address',
      { allowedIps },
      { address: '+14155551234', forwarded: '203.0.113.7' },
      /address of the connection is not known/,
    ],
  ])('says so when %s', async (_, options, { address, forwarded }, line) => {
    const { deliver, lines, outcomes } = endpoint(options)
    const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
    const answer = await deliver(event(), { socket: { remoteAddress: address }, headers })
    expect(seen(answer)).toBe(refused)
    expect(lines).toEqual([expect.stringMatching(line)])
    expect(lines.join()).not.toContain('5551234')
    expect(outcomes).toMatchObject([{ reason: expect.stringMatching(line) }])
    // The sender is not told.
    expect(answer.body).toBe('{"outcome":"rejected","code":"RINGHOOK_IP_NOT_ALLOWED"}')
  })
})

describe("trustedProxies: 'unix'", () => {
  const allowedIps = ['203.0.113.7']
  const forwarded = '203.0.113.7'
  const folder = mkdtempSync(join(tmpdir(), 'ringhook-'))
  const servers: Server[] = []

  afterEach(() => {
    for (const server of servers.splice(0)) server.close()
  })
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  async function serve(trustedProxies: string | string[] | undefined, path: string | undefined) {
    const { receiver } = endpoint({ allowedIps, ...(trustedProxies && { trustedProxies }) })
    const server = createServer(express().use(webhooks(receiver)))
    servers.push(server)
    await once(
      path === undefined ? server.listen(0, '127.0.0.1') : server.listen(path),
      'listening',
    )
    const address = server.address()
    return typeof address === 'string' ? { socketPath: address } : { port: address?.port }
  }

  async function status(to: object, headers: Record<string, string>): Promise<number | undefined> {
    const body = Buffer.from(JSON.stringify(event()))
    const sending = request({
      ...to,
      method: 'POST',
      headers: { 'x-webhook-signature': sign(body), ...headers },
    })
    const [response] = await once(sending.end(body), 'response')
    response.resume()
    return response.statusCode
  }

  it('believes a proxy that connects through a Unix socket, and no other connection', async () => {
    const socket = await serve('unix', join(folder, 'a'))
    expect(await status(socket, { 'x-forwarded-for': forwarded })).toBe(200)
    expect(await status(socket, { 'x-forwarded-for': `${forwarded}:443` })).toBe(200)
    expect(await status(socket, { 'x-forwarded-for': `${forwarded}, 198.51.100.1` })).toBe(403)
    expect(await status(socket, { 'x-forwarded-for': 'unknown' })).toBe(403)
    expect(await status(socket, {})).toBe(403)

    const network = await serve('unix', undefined)
    expect(await status(network, { 'x-forwarded-for': forwarded })).toBe(403)
  })

  it('is said in a list too, and has to be said', async () => {
    const among = await serve(['10.0.0.0/8', 'unix'], join(folder, 'b'))
    expect(await status(among, { 'x-forwarded-for': `${forwarded}, 10.0.0.2` })).toBe(200)
    const others = await serve(['loopback', 'uniquelocal', 'linklocal'], join(folder, 'c'))
    expect(await status(others, { 'x-forwarded-for': forwarded })).toBe(403)
    const none = await serve(undefined, join(folder, 'd'))
    expect(await status(none, { 'x-forwarded-for': forwarded })).toBe(403)
  })

  it('does not take a connection for one that was closed and has lost its address', async () => {
    const { receiver, runs } = endpoint({ allowedIps, trustedProxies: 'unix' })
    const body = Buffer.from(JSON.stringify(event()))
    const answered = gate<string>()
    const server = createServer((message) => {
      // As behind a parser that kept the bytes: the delivery is whole.
      message.socket.once('close', () => {
        expect(message.socket.remoteAddress).toBeUndefined()
        receiver.receive(nodeRequest(message, { rawBody: body })).then((reply) => {
          answered.open(seen(reply))
        }, answered.fail)
      })
    })
    servers.push(server)
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const stranger = connect(port, '127.0.0.1')
    const head = `x-webhook-signature: ${sign(body)}\r\nx-forwarded-for: ${forwarded}`
    stranger.write(`POST / HTTP/1.1\r\nhost: a\r\n${head}\r\ncontent-length: 9\r\n\r\n`, () =>
      stranger.resetAndDestroy(),
    )
    expect(await answered.opened).toBe(refused)
    expect(runs).toEqual([])
  })

  it.each([
    ['has an address on this side', { localAddress: '127.0.0.1' }],
    ['was destroyed', { destroyed: true }],
    ['is not there', undefined],
    ['has an empty address', { remoteAddress: '' }],
    [
      'throws at any question',
      {
        get remoteAddress(): string {
          throw new Error('ERR_HTTP2_SOCKET_UNBOUND')
        },
      },
    ],
  ])('does not take a connection for one that %s', async (_, socket) => {
    const { deliver } = endpoint({ allowedIps, trustedProxies: 'unix' })
    const headers = { 'x-forwarded-for': forwarded }
    expect(seen(await deliver(event(), { socket, headers }))).toBe(refused)
    expect(seen(await deliver(event(), { socket: {}, headers }))).toBe(fine)
  })
})
