import { createKrosaiApi, type EnsureWebhookOptions, type KrosaiApi } from 'ringhook/krosai-api'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type SimulatedApi, serveApi } from '../../examples/subscribe/simulated-api.ts'
import { SimulatedKrosai } from '../../examples/subscribe/simulated-krosai.ts'
import { type Prism, startProxy } from './prism.ts'

const apiKey = 'kros_test_example'
const url = 'https://example.com/hooks'

let krosai: SimulatedKrosai
let simulated: SimulatedApi
let proxy: Prism
beforeAll(async () => {
  krosai = new SimulatedKrosai()
  simulated = await serveApi(krosai, { apiKey })
  // What either side says to the other is held to the document.
  proxy = await startProxy(simulated.url)
}, 60_000)
afterAll(async () => {
  await proxy?.stop()
  await simulated.close()
})
beforeEach(() => krosai.webhooks.clear())

/** A client, and the calls that it makes, as in `POST /webhooks`. */
function client(change: (response: Response, call: string) => Promise<Response> = asIs) {
  const calls: string[] = []
  const api = createKrosaiApi({
    apiKey,
    baseUrl: proxy.url,
    retry: { maxAttempts: 2, initialDelayMs: 0 },
    fetch: async (to, init) => {
      const call = `${init.method} ${to.slice(proxy.url.length).replace(/[\da-f-]{36}/, '{id}')}`
      calls.push(call)
      const response = await fetch(to, init)
      expect(response.headers.get('sl-violations')).toBeNull()
      return await change(response, call)
    },
  })
  return { api, calls }
}

async function asIs(response: Response): Promise<Response> {
  return response
}

/** The one webhook that there is. */
function only() {
  expect(krosai.webhooks.size).toBe(1)
  const [webhook] = krosai.webhooks.values()
  if (webhook === undefined) throw new Error('there is none')
  return webhook
}

describe('ensureWebhook()', () => {
  it('creates a webhook, and returns its secret', async () => {
    const { api } = client()
    const report = await api.ensureWebhook({ url, events: ['call.completed', 'call.failed'] })

    expect(only()).toMatchObject({ url, events: ['call.completed', 'call.failed'], active: true })
    expect(report).toEqual({
      id: only().id,
      action: 'created',
      changes: {},
      secret: only().secret,
      events: ['call.completed', 'call.failed'],
      leftOut: [],
      duplicates: [],
    })
  })

  it('does nothing the second time, and returns the secret again', async () => {
    const { api, calls } = client()
    const options = { url, events: ['call.completed', 'call.failed'] } as const
    const first = await api.ensureWebhook(options)
    calls.length = 0
    const second = await api.ensureWebhook({ url, events: ['call.failed', 'call.ended'] })

    expect(second).toEqual({
      ...first,
      action: 'unchanged',
      events: ['call.failed', 'call.completed'],
    })
    expect(calls).toEqual(['GET /webhooks'])
  })

  it('changes what is not as asked, and nothing else', async () => {
    const { api, calls } = client()
    krosai.subscribe({ url: 'https://example.com/other', events: ['call.started'], active: true })
    const { id } = krosai.subscribe({ url, events: ['call.started'], active: false })
    const report = await api.ensureWebhook({ url, events: ['call.ended'], active: true })

    expect(report).toMatchObject({
      id,
      action: 'updated',
      changes: {
        events: { from: ['call.started'], to: ['call.completed'] },
        active: { from: false, to: true },
      },
    })
    expect(krosai.webhooks.get(id)).toMatchObject({ events: ['call.completed'], active: true })
    expect(krosai.webhooks.size).toBe(2)
    expect(calls).toEqual(['GET /webhooks', 'PATCH /webhooks/{id}'])
  })

  it('leaves a paused webhook as it is, unless told otherwise', async () => {
    const { api } = client()
    krosai.subscribe({ url, events: ['call.started'], active: false })

    expect(await api.ensureWebhook({ url, events: ['call.started'] })).toMatchObject({
      action: 'unchanged',
    })
    expect(only().active).toBe(false)
    expect(await api.ensureWebhook({ url, events: ['call.started'], active: true })).toMatchObject({
      action: 'updated',
      changes: { active: { from: false, to: true } },
    })
  })

  it('knows its URL in another writing', async () => {
    const { api } = client()
    krosai.subscribe({
      url: 'https://EXAMPLE.com:443/hooks',
      events: ['call.started'],
      active: true,
    })
    expect(await api.ensureWebhook({ url, events: ['call.started'] })).toMatchObject({
      action: 'unchanged',
    })
    // A slash more is another path.
    await api.ensureWebhook({ url: `${url}/`, events: ['call.started'] })
    expect(krosai.webhooks.size).toBe(2)
  })

  it('takes the oldest of several for one URL, and names the others', async () => {
    const { api } = client()
    const events = ['call.started'] as const
    const ids = [1, 2, 3].map(() => krosai.subscribe({ url, events, active: true }).id)
    // As an API may list them that has the newest first.
    const webhooks = [...krosai.webhooks].reverse()
    krosai.webhooks.clear()
    for (const [id, webhook] of webhooks) krosai.webhooks.set(id, webhook)
    const report = await api.ensureWebhook({ url, events })

    expect(report).toMatchObject({ id: ids[0], action: 'unchanged', duplicates: ids.slice(1) })
    expect(krosai.webhooks.size).toBe(3)
  })

  it('ends with one webhook when many instances start at the same moment', async () => {
    const crowd = Array.from({ length: 8 }, () => client().api)
    const reports = await Promise.all(
      crowd.map((api) => api.ensureWebhook({ url, events: ['call.completed'] })),
    )

    expect(new Set(reports.map(({ id }) => id))).toEqual(new Set([only().id]))
    expect(new Set(reports.map(({ secret }) => secret))).toEqual(new Set([only().secret]))
  })

  it('looks before it creates again when the answer was lost', async () => {
    let lost = 0
    const { api, calls } = client(async (response, call) => {
      if (call === 'POST /webhooks' && lost++ === 0) throw new TypeError('the connection broke')
      return response
    })
    const report = await api.ensureWebhook({ url, events: ['call.completed'] })

    expect(report).toMatchObject({ id: only().id, action: 'created', secret: only().secret })
    expect(calls.filter((call) => call === 'POST /webhooks')).toHaveLength(1)
  })

  it('takes over what another instance made when the answer was lost, and deletes nothing', async () => {
    let posts = 0
    const { api, calls } = client(async (response, call) => {
      if (call !== 'POST /webhooks' || posts++ > 0) return response
      // That of the other instance is older than the one whose answer is lost.
      const [mine] = krosai.webhooks.values()
      krosai.webhooks.clear()
      krosai.subscribe({ url, events: ['call.started'], active: true })
      if (mine !== undefined) {
        const later = new Date(Date.parse(mine.created_at) + 60_000).toISOString()
        krosai.webhooks.set(mine.id, { ...mine, created_at: later })
      }
      throw new TypeError('the connection broke')
    })
    const report = await api.ensureWebhook({ url, events: ['call.completed'] })
    const [other, mine] = krosai.webhooks.values()

    expect(report).toMatchObject({
      id: other?.id,
      action: 'updated',
      changes: { events: { from: ['call.started'], to: ['call.completed'] } },
      secret: other?.secret,
      duplicates: [mine?.id],
    })
    expect(other?.events).toEqual(['call.completed'])
    expect(calls.filter((call) => call.startsWith('DELETE'))).toEqual([])
  })

  it('creates again when it was not created, and gives up in the end', async () => {
    const { api, calls } = client(async (response, call) => {
      if (call !== 'POST /webhooks') return response
      krosai.webhooks.clear()
      return new Response('', { status: 500 })
    })
    const ensuring = api.ensureWebhook({ url, events: ['call.completed'] })

    await expect(ensuring).rejects.toMatchObject({ code: 'RINGHOOK_API_FAILED' })
    expect(calls.filter((call) => call === 'POST /webhooks')).toHaveLength(2)
  })

  it('asks for the one webhook when the list has no secrets', async () => {
    const { api, calls } = client(async (response, call) => {
      if (call !== 'GET /webhooks') return response
      const listed = (await response.json()) as readonly object[]
      return Response.json(listed.map((webhook) => ({ ...webhook, secret: undefined })))
    })
    const { secret } = krosai.subscribe({ url, events: ['call.started'], active: true })

    expect(await api.ensureWebhook({ url, events: ['call.started'] })).toMatchObject({ secret })
    expect(calls).toEqual(['GET /webhooks', 'GET /webhooks/{id}'])
  })

  it('has no secret where no answer has one', async () => {
    const { api } = client(async (response, call) => {
      if (call.startsWith('DELETE')) return response
      const text = await response.text()
      return new Response(text.replaceAll(/"secret":"[^"]*"/g, '"secret":null'), response)
    })
    for (const action of ['created', 'unchanged']) {
      const report = await api.ensureWebhook({ url, events: ['call.started'] })
      expect(report).toMatchObject({ action, secret: undefined })
    }
  })

  it('does not create when it cannot see what is there', async () => {
    const { api } = client(async () => new Response('', { status: 503 }))
    const ensuring = api.ensureWebhook({ url, events: ['call.completed'] })
    await expect(ensuring).rejects.toMatchObject({ code: 'RINGHOOK_API_FAILED' })
    expect(krosai.webhooks.size).toBe(0)
  })
})

describe('ensureWebhook({ events })', () => {
  const all = [
    'call.started',
    'call.completed',
    'call.failed',
    'call.recording.ready',
    'transcription.completed',
    'number.provisioned',
    'number.released',
  ]

  it.each<[EnsureWebhookOptions['events'], readonly string[], readonly string[]]>([
    [['call.ended'], ['call.completed'], []],
    [['recording.ready', 'call.recording.completed'], ['call.recording.ready'], []],
    [
      ['transcript.ready', 'phone_number.released'],
      ['transcription.completed', 'number.released'],
      [],
    ],
    [
      ['call.*'],
      ['call.started', 'call.completed', 'call.failed', 'call.recording.ready'],
      ['call.answered', 'call.initiated', 'call.ringing'],
    ],
    [['phone_number.*'], ['number.released'], ['phone_number.purchased', 'phone_number.updated']],
    [['recording.*'], ['call.recording.ready'], []],
  ])('%j are asked for as %j', async (events, sent, leftOut) => {
    const { api } = client()
    const report = await api.ensureWebhook({ url, events } as EnsureWebhookOptions)

    expect([...only().events].sort()).toEqual([...sent].sort())
    expect([...report.events].sort()).toEqual([...sent].sort())
    expect([...report.leftOut].sort()).toEqual(leftOut)
  })

  it('of * are all that the API lists, and the other 13 are told', async () => {
    const { api } = client()
    const report = await api.ensureWebhook({ url, events: ['*'] })
    expect([...only().events].sort()).toEqual(all.sort())
    expect(report.leftOut).toHaveLength(13)
  })

  it.each([
    ['call.ringing', 'RINGHOOK_EVENT_NOT_SUBSCRIBABLE', "its API doesn't list: call.started,"],
    ['endpoint.*', 'RINGHOOK_EVENT_NOT_SUBSCRIBABLE', 'allowUnlisted: true'],
    ['call.complete', 'RINGHOOK_EVENT_UNKNOWN', 'Did you mean "call.completed"?'],
    ['fax.*', 'RINGHOOK_EVENT_UNKNOWN', 'neither an event that krosai documents nor a wildcard'],
    [
      'constructor',
      'RINGHOOK_EVENT_UNKNOWN',
      'neither an event that krosai documents nor a wildcard',
    ],
    ['', 'RINGHOOK_OPTION_INVALID', 'must contain names only'],
    [7, 'RINGHOOK_OPTION_INVALID', 'must contain names only'],
  ])('%j is refused before anything is sent', async (name, code, words) => {
    const { api, calls } = client()
    const ensuring = api.ensureWebhook({ url, events: ['call.started', name] } as never)
    const error = await ensuring.catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code, message: expect.stringContaining(words) })
    expect(calls).toEqual([])
  })

  it.each<[string, object]>([
    ['no URL', { url: 'example.com/hooks' }],
    ['another protocol', { url: 'file:///etc/passwd' }],
    ['no events', { events: [] }],
    ['events that are a text', { events: 'call.started' }],
    ['active that is not a boolean', { active: 'yes' }],
    ['an option that does not exist', { enabled: true }],
  ])('%s is refused', async (_what, wrong) => {
    const { api } = client()
    const ensuring = api.ensureWebhook({ url, events: ['call.started'], ...wrong } as never)
    await expect(ensuring).rejects.toMatchObject({ code: 'RINGHOOK_OPTION_INVALID' })
  })

  describe('ensureWebhook({ allowUnlisted })', () => {
    /** An API that takes more than its document says, and what it was sent. */
    function lenient(): { readonly api: KrosaiApi; readonly sent: unknown[] } {
      const sent: unknown[] = []
      const webhooks: object[] = []
      const api = createKrosaiApi({
        apiKey,
        fetch: async (_url, init) => {
          if (init.method === 'GET') return Response.json(webhooks)
          const body = JSON.parse(String(init.body))
          sent.push(body.events)
          webhooks.push({ id: 'wh_1', secret: 'x', ...body })
          return Response.json(webhooks[0], { status: 201 })
        },
      })
      return { api, sent }
    }

    it('names that the API lists are put into its words, and others are sent as they are written', async () => {
      const { api, sent } = lenient()
      const events = ['call.ended', 'call.ringing', 'call.*', 'made.up']
      const options = { url, events, allowUnlisted: true } as const

      expect(await api.ensureWebhook(options)).toMatchObject({ action: 'created', leftOut: [] })
      expect(sent).toEqual([['call.completed', 'call.ringing', 'call.*', 'made.up']])
      expect(await api.ensureWebhook(options)).toMatchObject({ action: 'unchanged' })
    })

    it('an API that keeps to its document refuses them', async () => {
      const { api } = client(async (response) => response)
      krosai.subscribe({ url, events: ['call.started'], active: true })
      const ensuring = createKrosaiApi({ apiKey, baseUrl: simulated.url }).ensureWebhook({
        url,
        events: ['call.ringing'],
        allowUnlisted: true,
      })
      await expect(ensuring).rejects.toMatchObject({ code: 'RINGHOOK_API_REFUSED', status: 400 })
      expect(await api.webhooks.list()).toMatchObject([{ events: ['call.started'] }])
    })
  })
})
