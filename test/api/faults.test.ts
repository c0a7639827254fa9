import { inspect } from 'node:util'
import { ApiError, createKrosaiApi, type KrosaiApiOptions } from 'ringhook/krosai-api'
import { manualClock } from 'ringhook/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { answer, cut, FaultServer, gone, halting, silent } from './fault-server.ts'

const apiKey = 'kros_live_the_key_of_this_account'
const id = 'b0f6a5a6-0d1c-4c05-a0ce-6e5d7a9d4a1e'
const webhook = { id, url: 'https://example.com/hooks', events: ['call.completed'] }

let server: FaultServer
let elsewhere: FaultServer
beforeAll(async () => {
  server = await FaultServer.start()
  elsewhere = await FaultServer.start()
})
afterAll(async () => {
  await server.stop()
  await elsewhere.stop()
})

function api(options: Partial<KrosaiApiOptions> = {}) {
  const retry = { initialDelayMs: 0 }
  return createKrosaiApi({ apiKey, baseUrl: server.url, retry, ...options })
}

/** What a call was rejected with. */
async function failure(call: Promise<unknown>): Promise<ApiError> {
  const settled = await call.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(settled).toBeInstanceOf(ApiError)
  return settled as ApiError
}

describe('retry, of idempotent calls', () => {
  const calls = {
    'webhooks.list': () => api().webhooks.list(),
    'webhooks.get': () => api().webhooks.get(id),
    'webhooks.update': () => api().webhooks.update(id, { active: true }),
    'webhooks.delete': () => api().webhooks.delete(id),
    'deliveries.list': () => api().deliveries.list(),
    'deliveries.get': () => api().deliveries.get(id),
  }
  const good = {
    'webhooks.list': [webhook],
    'webhooks.get': webhook,
    'webhooks.update': webhook,
    'webhooks.delete': undefined,
    'deliveries.list': { data: [] },
    'deliveries.get': { id },
  }

  describe.each(Object.keys(calls) as (keyof typeof calls)[])('%s', (name) => {
    it.each([
      ['500', answer(500, { error: 'oh no' })],
      ['503', answer(503, '')],
      ['408', answer(408, '')],
      ['429 without a time', answer(429, { error: 'slow down' })],
      ['a connection that breaks', gone],
      ['an answer that is cut off', cut],
    ])('is repeated after %s', async (_fault, fault) => {
      const success = good[name] === undefined ? answer(204) : answer(200, good[name])
      server.answers(fault, fault, success)
      const result = await calls[name]()

      expect(result).toEqual(
        name === 'deliveries.list' ? expect.objectContaining({ data: [] }) : good[name],
      )
      expect(server.requests).toHaveLength(3)
      // The same request each time, its body included.
      expect(
        new Set(server.requests.map(({ method, url, body }) => method + url + body)).size,
      ).toBe(1)
    })

    it('is given up after four attempts', async () => {
      server.answers(answer(502, ''))
      const error = await failure(calls[name]())

      expect(error).toMatchObject({
        code: 'RINGHOOK_API_FAILED',
        operation: name,
        status: 502,
        attempts: 4,
        outcomeUnknown: true,
      })
      expect(server.requests).toHaveLength(4)
    })

    it.each([400, 401, 403, 404, 409, 422, 501])('is not repeated after %i', async (status) => {
      server.answers(answer(status, { error: 'no' }))
      await failure(calls[name]())
      expect(server.requests).toHaveLength(1)
    })
  })

  it('that deletes is done when a later attempt finds nothing', async () => {
    server.answers(gone, answer(404, { error: 'not found' }))
    await api().webhooks.delete(id)
    expect(server.requests).toHaveLength(2)

    server.answers(answer(429, ''), answer(404, { error: 'not found' }))
    expect((await failure(api().webhooks.delete(id))).code).toBe('RINGHOOK_API_NOT_FOUND')
  })
})

describe('retry, of calls that are not idempotent', () => {
  const calls = {
    'webhooks.create': () => api().webhooks.create({ url: webhook.url, events: ['call.started'] }),
    'webhooks.test': () => api().webhooks.test(id),
    'deliveries.retry': () => api().deliveries.retry(id),
  }

  describe.each(Object.keys(calls) as (keyof typeof calls)[])('%s', (name) => {
    it.each([
      ['500', answer(500, {}), 'RINGHOOK_API_FAILED'],
      ['a connection that breaks', gone, 'RINGHOOK_API_UNREACHABLE'],
      ['an answer that is cut off', cut, 'RINGHOOK_API_UNREACHABLE'],
      ['no JSON', answer(200, '<html>'), 'RINGHOOK_API_ANSWER_INVALID'],
    ])('is not repeated after %s: it may have been done', async (_fault, fault, code) => {
      server.answers(fault)
      expect(await failure(calls[name]())).toMatchObject({
        code,
        attempts: 1,
        outcomeUnknown: true,
      })
      expect(server.requests).toHaveLength(1)
    })

    it('is repeated after 429: it was not done', async () => {
      server.answers(answer(429, ''), answer(200, webhook))
      await calls[name]()
      expect(server.requests).toHaveLength(2)
    })
  })

  it('is repeated where there was no connection', async () => {
    const closed = await FaultServer.start()
    const { url } = closed
    await closed.stop()
    let attempts = 0
    const counted = api({
      baseUrl: url,
      fetch: (...args) => {
        attempts++
        return fetch(...args)
      },
    })
    const error = await failure(counted.webhooks.test(id))

    expect(error).toMatchObject({
      code: 'RINGHOOK_API_UNREACHABLE',
      attempts: 4,
      outcomeUnknown: false,
    })
    expect(error.message).toContain('ECONNREFUSED')
    expect(error.cause).toBeInstanceOf(Error)
    expect(attempts).toBe(4)
  })
})

describe('retry, with Retry-After', () => {
  it('is heeded, in seconds and as a date', async () => {
    const clock = manualClock(Date.parse('2026-01-01T00:00:00Z'))
    const date = answer(503, '', { 'retry-after': 'Thu, 01 Jan 2026 00:00:27 GMT' })
    server.answers(answer(429, '', { 'retry-after': '7' }), date, answer(200, []))
    const listing = api({ clock }).webhooks.list()

    await untilTimer(clock, 7_000)
    await clock.advance(7_000)
    await untilTimer(clock, 20_000)
    expect(server.requests).toHaveLength(2)
    await clock.advance(20_000)
    expect(await listing).toEqual([])
    expect(server.requests).toHaveLength(3)
  })

  it('that asks for more than maxDelayMs ends the call, and is told', async () => {
    server.answers(answer(429, {}, { 'retry-after': '3600' }))
    expect(await failure(api().webhooks.list())).toMatchObject({
      code: 'RINGHOOK_API_RATE_LIMITED',
      retryAfterMs: 3_600_000,
      attempts: 1,
    })
  })

  it('that is not a time is ignored', async () => {
    server.answers(answer(429, {}, { 'retry-after': 'soon' }), answer(200, []))
    expect(await api().webhooks.list()).toEqual([])
  })
})

describe('retry, without Retry-After', () => {
  it('doubles, is shortened by chance by up to a half, and ends at maxDelayMs', async () => {
    const clock = manualClock()
    server.answers(answer(503, ''))
    const retry = { maxAttempts: 4, initialDelayMs: 1_000, maxDelayMs: 1_500 }
    const failing = failure(api({ clock, retry }).webhooks.list())
    for (const longest of [1_000, 1_500, 1_500]) {
      const pauseMs = await untilTimer(clock, longest, longest / 2)
      await clock.advance(pauseMs)
    }
    expect((await failing).attempts).toBe(4)
  })
})

describe('timeoutMs', () => {
  it.each([
    ['no answer', silent],
    ['an answer that does not end', halting],
  ])('runs out for %s', async (_fault, fault) => {
    server.answers(fault)
    const error = await failure(
      api({ timeoutMs: 30, retry: { maxAttempts: 2, initialDelayMs: 0 } }).webhooks.list(),
    )

    expect(error).toMatchObject({
      code: 'RINGHOOK_API_TIMEOUT',
      attempts: 2,
      outcomeUnknown: true,
      status: undefined,
    })
    expect(error.message).toContain('30 ms')
  })

  it('runs out for a fetch that does not heed its signal', async () => {
    const deaf = api({ timeoutMs: 20, retry: false, fetch: () => new Promise(() => {}) })
    expect((await failure(deaf.webhooks.list())).code).toBe('RINGHOOK_API_TIMEOUT')
  })
})

describe('signal', () => {
  it('ends a call that waits for its answer, with its reason', async () => {
    const controller = new AbortController()
    const reason = new Error('shutting down')
    server.answers((_request, response) => {
      controller.abort(reason)
      response.socket?.destroy()
    })
    await expect(api().webhooks.list({ signal: controller.signal })).rejects.toBe(reason)
    expect(server.requests).toHaveLength(1)
  })

  it('ends a call that pauses', async () => {
    const controller = new AbortController()
    const clock = manualClock()
    server.answers(answer(429, '', { 'retry-after': '20' }))
    const listing = api({ clock }).webhooks.list({ signal: controller.signal })
    await untilTimer(clock, 20_000)
    controller.abort(new Error('enough'))

    await expect(listing).rejects.toThrow('enough')
    expect(clock.nextTimerMs()).toBeUndefined()
  })

  it('that has aborted before sends nothing', async () => {
    server.answers(answer(200, []))
    await expect(api().webhooks.list({ signal: AbortSignal.abort() })).rejects.toThrow()
    expect(server.requests).toHaveLength(0)
  })
})

describe('RINGHOOK_API_REDIRECTED', () => {
  it.each([301, 302, 303, 307, 308])(
    '%i is not followed, and the key stays here',
    async (status) => {
      elsewhere.answers(answer(200, []))
      server.answers(answer(status, '', { location: `${elsewhere.url}/webhooks` }))
      const error = await failure(api().webhooks.list())

      expect(error).toMatchObject({ code: 'RINGHOOK_API_REDIRECTED', status, attempts: 1 })
      expect(elsewhere.requests).toEqual([])
    },
  )
})

describe('RINGHOOK_API_UNREACHABLE, over TLS', () => {
  it('is required: an untrusted certificate gets no key, and no second attempt', async () => {
    const untrusted = await FaultServer.startUntrusted()
    untrusted.answers(answer(200, []))
    const baseUrl = `https://localhost:${untrusted.port}`
    const error = await failure(api({ baseUrl }).webhooks.list())
    await untrusted.stop()

    expect(error).toMatchObject({
      code: 'RINGHOOK_API_UNREACHABLE',
      attempts: 1,
      outcomeUnknown: false,
    })
    expect(error.message).toMatch(/DEPTH_ZERO_SELF_SIGNED_CERT.*certificate/)
    expect(untrusted.requests).toEqual([])
  })

  it('that is missing is not repeated either', async () => {
    const baseUrl = `https://127.0.0.1:${server.port}`
    expect(await failure(api({ baseUrl }).webhooks.list())).toMatchObject({
      code: 'RINGHOOK_API_UNREACHABLE',
      attempts: 1,
    })
  })
})

describe('RINGHOOK_API_ANSWER_INVALID', () => {
  it.each([
    ['no JSON', '<html>Sign in to the proxy</html>'],
    ['JSON that is cut off', '[{"id":"wh_1","secret":"the secret of a webhook'],
    ['another type', { data: [] }],
    ['a webhook without an id', [{ url: 'https://example.com' }]],
    ['nothing', ''],
  ])('of %s is refused, and not quoted', async (_what, body) => {
    server.answers(answer(200, body))
    const error = await failure(api({ retry: false }).webhooks.list())

    expect(error.code).toBe('RINGHOOK_API_ANSWER_INVALID')
    expect(shown(error)).not.toMatch(/the secret of a webhook|Sign in/)
  })

  it('of more than 8 MiB is not read to its end', async () => {
    server.answers(answer(200, `["${'x'.repeat(9 * 1024 * 1024)}"]`))
    const error = await failure(api({ retry: false }).webhooks.list())
    expect(error.message).toContain('more than 8388608 bytes')
  })

  it('may have unknown fields, and lack those that are not needed', async () => {
    const bare = { id: 'wh_1', url: 'https://example.com', secret: null, plan: { name: 'new' } }
    server.answers(answer(200, [bare]))
    expect(await api().webhooks.list()).toEqual([bare])

    server.answers(answer(200, { data: [{ id: 'd_1', status: 'odd', tries: 3 }], summary: 'none' }))
    expect(await api().deliveries.list()).toEqual({
      data: [{ id: 'd_1', status: 'odd', tries: 3 }],
      summary: undefined,
    })
  })
})

describe('ApiError', () => {
  it('is told with its status, code, message, details and request id', async () => {
    const body = {
      error: 'url must be public',
      code: 'invalid_url',
      details: { field: 'url', seen: [{ at: 1 }] },
    }
    server.answers(answer(400, body, { 'x-request-id': 'req_42' }))
    const error = await failure(api().webhooks.update(id, { active: true }))

    expect(error).toMatchObject({
      name: 'ApiError',
      code: 'RINGHOOK_API_REFUSED',
      operation: 'webhooks.update',
      status: 400,
      apiCode: 'invalid_url',
      apiMessage: 'url must be public',
      details: body.details,
      requestId: 'req_42',
      retryAfterMs: undefined,
      attempts: 1,
      outcomeUnknown: false,
    })
    expect(error.message).toMatch(
      /^webhooks\.update was answered 400 \(code invalid_url, request req_42\)\. .*\[RINGHOOK_API_REFUSED, see /,
    )
  })

  it.each([
    ['no JSON', 'Bad Gateway'],
    ['a JSON text', '"no"'],
    ['other types', { error: { message: 'x' }, code: 7, details: 'none' }],
    ['a code that is not a code', { error: 'x', code: 'a\nforged line' }],
  ])('with %s is told as far as it goes', async (_what, body) => {
    server.answers(answer(403, body))
    const error = await failure(api().webhooks.list())
    expect(error).toMatchObject({ code: 'RINGHOOK_API_UNAUTHORIZED', apiCode: undefined })
    expect(error.message).not.toContain('\n')
  })
})

describe('apiKey, in errors', () => {
  it('goes as a bearer token, or in x-api-key, with the organization beside it', async () => {
    server.answers(answer(200, []))
    await api().webhooks.list()
    await api({ keyHeader: 'x-api-key', organizationId: id }).webhooks.list()
    const [bearer, own] = server.requests.map(({ headers }) => headers)

    expect(bearer).toMatchObject({ authorization: `Bearer ${apiKey}`, accept: 'application/json' })
    expect(bearer).not.toHaveProperty('x-api-key')
    expect(bearer).not.toHaveProperty('x-organization-id')
    expect(own).toMatchObject({ 'x-api-key': apiKey, 'x-organization-id': id })
    expect(own).not.toHaveProperty('authorization')
  })

  it('is in no error, even if the API and the network quote it', async () => {
    const body = {
      error: `bad key ${apiKey}`,
      code: apiKey,
      details: { [apiKey]: [`Bearer ${apiKey}`], deep: { key: apiKey } },
    }
    server.answers(answer(401, body, { 'x-request-id': apiKey }))
    const quoted = await failure(api().webhooks.list())
    const telltale = Object.assign(new Error(`sent Bearer ${apiKey}`), { config: { apiKey } })
    const thrown = await failure(
      api({ retry: false, fetch: () => Promise.reject(telltale) }).webhooks.list(),
    )
    const hidden = new Error('broken')
    Object.defineProperty(hidden, 'request', { value: { headers: [apiKey] }, enumerable: false })
    const unseen = await failure(
      api({ retry: false, fetch: () => Promise.reject(hidden) }).webhooks.list(),
    )

    expect(quoted.apiMessage).toBe('bad key [API key]')
    expect(quoted.details).toEqual({
      '[API key]': ['Bearer [API key]'],
      deep: { key: '[API key]' },
    })
    for (const error of [quoted, thrown, unseen]) expect(shown(error)).not.toContain(apiKey)
  })

  it('is not to be seen in the client', () => {
    expect(inspect(api(), { depth: 10, showHidden: true })).not.toContain(apiKey)
  })
})

/** All that a log could show of an error. */
function shown(error: ApiError): string {
  const everything = inspect(error, { depth: 20, showHidden: true, maxStringLength: null })
  return `${everything} ${JSON.stringify(error)} ${error.stack}`
}

/** Waits until the client pauses for as long as it should. The clock of the test stands still meanwhile. */
async function untilTimer(
  clock: ReturnType<typeof manualClock>,
  most: number,
  least = most,
): Promise<number> {
  for (;;) {
    const next = clock.nextTimerMs()
    // The other timer is that of the attempt: 10 s.
    if (next !== undefined && next >= least && next <= most && next !== 10_000) return next
    await new Promise((resolve) => setImmediate(resolve))
  }
}
