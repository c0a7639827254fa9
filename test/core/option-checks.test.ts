import { createReceiver, defineProvider, krosai, memoryStore, RinghookError } from 'ringhook'
import { describe, expect, it } from 'vitest'
import { build, codeOf, secret } from '../helpers/endpoint.ts'

const longest = 2 ** 31 - 1
const day = 24 * 60 * 60_000

describe('createReceiver()', () => {
  it.each([
    ['maxBodyBytes', 1, 64 * 1024 * 1024],
    ['bodyTimeoutMs', 10, longest],
    ['ackDeadlineMs', 10, longest],
    ['leaseMs', 100, longest],
    ['retentionMs', 60_000, 3_650 * day],
    ['clockToleranceMs', 0, day],
  ])('takes %s from %d to %d and refuses everything else', (name, least, most) => {
    const built = (value: unknown) =>
      codeOf(() => build(krosai, { secret, logger: false, [name]: value }))
    for (const value of [undefined, least, least + 1, most]) expect(built(value)).toBeUndefined()
    for (const value of [
      least - 1,
      most + 1,
      least + 0.5,
      -1,
      '100',
      true,
      {},
      Number.NaN,
      Number.POSITIVE_INFINITY,
    ]) {
      expect([value, built(value)]).toEqual([value, 'RINGHOOK_OPTION_INVALID'])
    }
  })

  it.each([
    ['onStoreError', 'ignore'],
    ['onStoreError', ''],
    ['invalidEvents', 'accept'],
    ['invalidEvents', true],
    ['eventId', 'id'],
    ['onOutcome', {}],
    ['namespace', 5],
    ['namespace', null],
    ['logger', true],
    ['logger', null],
    ['logger', {}],
    ['logger', { debug() {}, info() {}, warn() {} }],
    ['clock', {}],
    ['clock', null],
    ['clock', { now: Date.now, setTimeout }],
    ['clock', Date],
  ])('refuses %s: %j', (name, value) => {
    expect(codeOf(() => build(krosai, { secret, [name]: value }))).toBe('RINGHOOK_OPTION_INVALID')
  })

  it.each([
    ['null', null],
    ['a client', { get() {}, set() {} }],
    ['a factory', memoryStore],
    ['a text', 'redis://'],
  ])('refuses a store that is %s', (_, store) => {
    expect(codeOf(() => build(krosai, { secret, store, logger: false }))).toBe(
      'RINGHOOK_STORE_INVALID',
    )
  })

  it.each([
    ['allowedIPs', 'allowedIps'],
    ['secrets', 'secret'],
    ['urltoken', 'urlToken'],
    ['On', undefined],
    ['queue', undefined],
    ['onError', undefined],
  ])('refuses the option "%s", which does not exist', (name, near) => {
    const wrong = () => build(krosai, { secret, [name]: undefined })
    expect(codeOf(wrong)).toBe('RINGHOOK_OPTION_INVALID')
    if (near !== undefined) expect(wrong).toThrow(`Did you mean "${near}"?`)
  })

  it.each([undefined, null, 'a secret', 5])('refuses options that are %j', (options) => {
    expect(codeOf(() => build(krosai, options))).toBe('RINGHOOK_OPTION_INVALID')
  })

  it.each([undefined, null, 'krosai', {}, { name: 'acme', signature: false, events: {} }])(
    'refuses a provider that is %j',
    (provider) => {
      expect(codeOf(() => build(provider as never, { secret }))).toBe('RINGHOOK_PROVIDER_INVALID')
    },
  )

  it('says what is wrong, what to do, and where to read more', () => {
    expect(() => createReceiver(krosai, { secret: undefined })).toThrow(
      new RinghookError(
        'RINGHOOK_SECRET_MISSING',
        'There is no secret for krosai: it is undefined or blank. Copy the signing secret from krosai into an environment variable, and check that the process sees it.',
      ),
    )
    const error = new RinghookError('RINGHOOK_OPTION_INVALID', 'No.', { cause: 5 })
    expect(error).toMatchObject({
      name: 'RinghookError',
      code: 'RINGHOOK_OPTION_INVALID',
      message: 'No. [RINGHOOK_OPTION_INVALID, see ringhook/docs/errors.md#ringhook_option_invalid]',
      cause: 5,
    })
  })
})

describe('memoryStore()', () => {
  it.each([0, -1, 1.5, Number.NaN, '5', null])('refuses maxEntries %j', (maxEntries) => {
    expect(codeOf(() => memoryStore({ maxEntries: maxEntries as number }))).toBe(
      'RINGHOOK_OPTION_INVALID',
    )
  })
})

describe('defineProvider()', () => {
  const right = {
    name: 'acme',
    signature: { header: 'x-acme', encoding: 'hex' },
    signedTimestamp: false,
    events: {},
    delivery: { retryDelaysMs: [0] },
  } as const

  it.each([
    ['a name in upper case', { name: 'Acme' }],
    ['no name', { name: '' }],
    ['a name that starts with a digit', { name: '1st' }],
    ['a header in upper case', { signature: { header: 'X-Acme', encoding: 'hex' } }],
    ['another encoding', { signature: { header: 'x-acme', encoding: 'base64url' } }],
    [
      'a separator of two characters',
      { signature: { header: 'x-acme', encoding: 'hex', separator: ', ' } },
    ],
    ['a first attempt that waits', { delivery: { retryDelaysMs: [5] } }],
    ['no attempt', { delivery: { retryDelaysMs: [] } }],
    ['a wait of NaN', { delivery: { retryDelaysMs: [0, Number.NaN] } }],
    ['a wildcard for an event', { events: { 'call.*': {} } }],
    ['one name for two events', { events: { a: { aliases: ['b'] }, b: {} } }],
  ])('refuses %s', (_, wrong) => {
    expect(codeOf(() => defineProvider({ ...right, ...wrong } as never))).toBe(
      'RINGHOOK_PROVIDER_INVALID',
    )
  })

  it("returns a provider that can't be changed", () => {
    expect(Object.isFrozen(defineProvider(right))).toBe(true)
  })
})
