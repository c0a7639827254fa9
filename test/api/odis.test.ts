import { createReceiver, odis } from 'ringhook'
import { ApiError, createOdisApi } from 'ringhook/odis-api'
import { deliver } from 'ringhook/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { answer, FaultServer, gone } from './fault-server.ts'

const url = 'https://your-server.com/webhooks/odis'

let server: FaultServer
beforeAll(async () => {
  server = await FaultServer.start()
})
afterAll(() => server.stop())

function api() {
  return createOdisApi({
    apiKey: 'YOUR_API_KEY',
    baseUrl: server.url,
    retry: { initialDelayMs: 0 },
  })
}

describe('webhooks.create()', () => {
  it('sends the request of ODIS’s page, with a secret of its own', async () => {
    server.answers(answer(201, { id: 'wh_1', other: true }))
    const secret = 'a secret that no page shows'
    const created = await api().webhooks.create({
      url,
      events: ['call.started', 'call.ended'],
      secret,
    })

    expect(created).toEqual({ secret, answer: { id: 'wh_1', other: true } })
    expect(server.requests).toEqual([
      {
        method: 'POST',
        url: '/v1/webhooks',
        headers: expect.objectContaining({
          authorization: 'Bearer YOUR_API_KEY',
          'content-type': 'application/json',
        }),
        body: JSON.stringify({ url, events: ['call.started', 'call.ended'], secret }),
      },
    ])
  })

  it('generates a secret if there is none: 256 bits, a new one each time, fit for the receiver', async () => {
    server.answers(answer(200, {}))
    const create = () => api().webhooks.create({ url, events: ['call.ended'] })
    const [{ secret }, other] = [await create(), await create()]

    expect(Buffer.from(secret, 'base64url')).toHaveLength(32)
    expect(other.secret).not.toBe(secret)
    expect(server.requests.map(({ body }) => JSON.parse(body).secret)).toEqual([
      secret,
      other.secret,
    ])
    const receiver = createReceiver(odis, { secret, on: { 'call.ended': () => {} } })
    expect((await deliver(receiver, 'call.ended')).outcome).toBe('handled')
  })

  it.each([
    ['nothing', answer(204)],
    ['an empty body', answer(201, '')],
    ['a list', answer(200, [1])],
    ['a text', answer(200, '"ok"')],
  ])('takes %s for an answer: the page shows none', async (_what, fault) => {
    server.answers(fault)
    const created = await api().webhooks.create({ url, events: ['call.ended'] })
    expect(created.answer).toBeUndefined()
  })

  it.each<[string, object, string]>([
    ['no URL', { url: 'your-server.com' }, 'RINGHOOK_OPTION_INVALID'],
    ['no events', { events: [] }, 'RINGHOOK_OPTION_INVALID'],
    ['an option that does not exist', { active: true }, 'RINGHOOK_OPTION_INVALID'],
    ['an event of another provider', { events: ['call.completed'] }, 'RINGHOOK_EVENT_UNKNOWN'],
    ['a secret that is undefined', { secret: undefined }, 'RINGHOOK_SECRET_MISSING'],
    ['a secret that was never set', { secret: 'undefined' }, 'RINGHOOK_SECRET_MISSING'],
    [
      'a secret with a line end',
      { secret: 'a secret of some length\n' },
      'RINGHOOK_SECRET_INVALID',
    ],
    [
      'the secret that its page shows',
      { secret: 'your_webhook_secret' },
      'RINGHOOK_SECRET_INVALID',
    ],
    ['a placeholder', { secret: '<your webhook secret>' }, 'RINGHOOK_SECRET_INVALID'],
    ['a short secret', { secret: 'x'.repeat(15) }, 'RINGHOOK_SECRET_INVALID'],
  ])('refuses %s, and sends nothing', async (_what, wrong, code) => {
    server.answers(answer(201, {}))
    const options = { url, events: ['call.ended'], ...wrong } as never
    await expect(api().webhooks.create(options)).rejects.toMatchObject({ code })
    expect(server.requests).toEqual([])
  })

  it('is not repeated where it may have been done, and fails as an ApiError', async () => {
    server.answers(gone)
    const error = await api()
      .webhooks.create({ url, events: ['call.ended'] })
      .catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ApiError)
    expect(error).toMatchObject({ code: 'RINGHOOK_API_UNREACHABLE', outcomeUnknown: true })
    expect(server.requests).toHaveLength(1)

    server.answers(answer(429, ''), answer(201, {}))
    await api().webhooks.create({ url, events: ['call.ended'] })
    expect(server.requests).toHaveLength(2)
  })

  it('ends by its signal', async () => {
    const creating = api().webhooks.create({
      url,
      events: ['call.ended'],
      signal: AbortSignal.abort(new Error('enough')),
    })
    await expect(creating).rejects.toThrow('enough')
  })
})
