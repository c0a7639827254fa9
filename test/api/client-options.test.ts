import { RinghookError } from 'ringhook'
import { createKrosaiApi, type KrosaiApiOptions } from 'ringhook/krosai-api'
import { createOdisApi } from 'ringhook/odis-api'
import { describe, expect, it } from 'vitest'

const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl'

/** The code and the message that options are refused with. */
function refusal(make: () => unknown): { readonly code: string; readonly message: string } {
  try {
    make()
  } catch (error) {
    if (error instanceof RinghookError) return error
    throw error
  }
  throw new Error('it was not refused')
}

describe('apiKey', () => {
  it.each(['kros_live_abc123', 'kros_test_abc123', jwt])('takes %s', (apiKey) => {
    expect(createKrosaiApi({ apiKey })).toHaveProperty('webhooks')
  })

  it.each([
    [undefined, 'undefined or blank'],
    ['', 'undefined or blank'],
    ['  ', 'undefined or blank'],
    ['undefined', 'undefined or blank'],
    ['null', 'undefined or blank'],
    [42, 'undefined or blank'],
    ['kros_live_abc\n', 'white space around it'],
    ['Bearer kros_live_abc', 'the word Bearer'],
    ['kros_live_a bc', 'white space or characters beyond ASCII'],
    ['kros_live_äbc', 'white space or characters beyond ASCII'],
    ['kros_live_', 'kros_live_…'],
    ['sk_live_abc123', 'kros_live_…'],
    ['whsec_abc123', 'kros_live_…'],
    ['eyJhbGciOiJIUzI1NiJ9', 'kros_live_…'],
  ])('refuses %j', (apiKey, words) => {
    const { code, message } = refusal(() => createKrosaiApi({ apiKey: apiKey as string }))
    expect(code).toBe('RINGHOOK_API_KEY_INVALID')
    expect(message).toContain(words)
    if (typeof apiKey === 'string' && /abc/.test(apiKey)) expect(message).not.toContain('abc')
  })

  it.each([
    ['"kros_live_abc"', 'quotes around it'],
    ["'kros_live_abc'", 'quotes around it'],
    ['$KROSAI_API_KEY', 'placeholder'],
    ['kros_live_{{key}}', 'placeholder'],
    ['<kros_live_abc>', 'placeholder'],
    ['[object\u00a0Object]', 'beyond ASCII'],
    ['[object,Object]', 'turned into text'],
    ['NaN', 'turned into text'],
  ])('refuses what was not meant: %j', (apiKey, words) => {
    for (const create of [createKrosaiApi, createOdisApi]) {
      const { code, message } = refusal(() => create({ apiKey }))
      expect(code).toBe('RINGHOOK_API_KEY_INVALID')
      expect(message).toContain(words)
      expect(message).not.toContain('abc')
    }
  })

  it('of ODIS may have any form, as its page shows none', () => {
    expect(createOdisApi({ apiKey: 'anything' })).toHaveProperty('webhooks')
    expect(refusal(() => createOdisApi({ apiKey: undefined })).code).toBe(
      'RINGHOOK_API_KEY_INVALID',
    )
    expect(refusal(() => createOdisApi({ apiKey: 'bearer x' })).code).toBe(
      'RINGHOOK_API_KEY_INVALID',
    )
  })
})

describe('createKrosaiApi() and createOdisApi()', () => {
  it.each<[string, object]>([
    ['an unknown one', { apikey: 'x' }],
    ['timeoutMs: 0', { timeoutMs: 0 }],
    ['timeoutMs that no timer holds', { timeoutMs: 2 ** 31 }],
    ['retry: true', { retry: true }],
    ['retry.maxAttempts: 0', { retry: { maxAttempts: 0 } }],
    ['retry with a word that it does not know', { retry: { tries: 3 } }],
    ['a fetch that is none', { fetch: 'https://example.com' }],
    ['plain HTTP to somewhere', { baseUrl: 'http://api.example.com/v1' }],
    ['plain HTTP to what looks like this machine', { baseUrl: 'http://127.0.0.1.example.com' }],
    ['no address', { baseUrl: 'api.krosai.com' }],
    ['another protocol', { baseUrl: 'ftp://api.krosai.com' }],
    ['an address with a password', { baseUrl: 'https://me:secret@api.krosai.com' }],
    ['an address with a query', { baseUrl: 'https://api.krosai.com/v1?x=1' }],
    ['another header', { keyHeader: 'cookie' }],
    ['an organization that would break a header', { organizationId: 'a\r\nb: c' }],
  ])('are refused: %s', (_what, options) => {
    const make = () => createKrosaiApi({ apiKey: 'kros_test_x', ...options } as KrosaiApiOptions)
    expect(refusal(make).code).toBe('RINGHOOK_OPTION_INVALID')
  })

  it.each([
    'http://localhost:3100',
    'http://127.0.0.1:3100/v1/',
    'http://[::1]:1',
    'https://x.example/v2',
  ])('take the address %s', (baseUrl) => {
    expect(createKrosaiApi({ apiKey: 'kros_test_x', baseUrl })).toHaveProperty('webhooks')
  })

  it('send to the documented addresses unless they say otherwise', async () => {
    const urls: string[] = []
    const fetch = async (to: string) => {
      urls.push(to)
      return new Response('[]')
    }
    const url = 'https://example.com/hooks'
    await createKrosaiApi({ apiKey: 'kros_test_x', fetch }).webhooks.list()
    await createOdisApi({ apiKey: 'x', fetch }).webhooks.create({ url, events: ['call.ended'] })
    await createKrosaiApi({
      apiKey: 'kros_test_x',
      fetch,
      baseUrl: 'http://localhost/v1/',
    }).webhooks.list()

    expect(urls).toEqual([
      'https://api.krosai.com/v1/webhooks',
      'https://api.odis.ai/v1/webhooks',
      'http://localhost/v1/webhooks',
    ])
  })
})

describe('webhooks, their ids', () => {
  const api = createKrosaiApi({
    apiKey: 'kros_test_x',
    fetch: () => Promise.reject(new Error('it was sent')),
  })

  it.each([
    '',
    '.',
    '..',
    '../webhooks',
    'a/b',
    'a?b',
    'a#b',
    '%2e%2e',
    'x'.repeat(129),
    undefined,
  ])('is refused before anything is sent: %j', async (id) => {
    const calls = [
      api.webhooks.get(id as string),
      api.webhooks.update(id as string, {}),
      api.webhooks.delete(id as string),
      api.webhooks.test(id as string),
      api.deliveries.get(id as string),
      api.deliveries.retry(id as string),
    ]
    for (const call of calls) {
      await expect(call).rejects.toMatchObject({ code: 'RINGHOOK_OPTION_INVALID' })
    }
  })

  it.each([
    [{ page: 0 }],
    [{ limit: 0 }],
    [{ limit: 101 }],
    [{ limit: 1.5 }],
    [{ webhook_id: '../x' }],
    [{ status: 1 }],
  ])('and a filter too: %j', async (filter) => {
    const listing = api.deliveries.list(filter as never)
    await expect(listing).rejects.toMatchObject({ code: 'RINGHOOK_OPTION_INVALID' })
  })
})
