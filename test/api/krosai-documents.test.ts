import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createKrosaiApi } from 'ringhook/krosai-api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Prism, startMock } from './prism.ts'

const id = randomUUID()
const webhook = {
  id: expect.stringMatching(/^[\da-f-]{36}$/),
  url: 'http://example.com',
  secret: 'string',
  events: ['call.started'],
  active: true,
  organization_id: expect.any(String),
  created_at: expect.any(String),
  updated_at: expect.any(String),
}
const delivery = {
  id: expect.any(String),
  webhook_id: expect.any(String),
  event_type: 'string',
  status: 'string',
}

let mock: Prism
beforeAll(async () => {
  mock = await startMock()
}, 60_000)
afterAll(() => mock?.stop())

/** What Prism objected to in each request, and what was asked of it. */
function watched() {
  const violations: (string | null)[] = []
  const requests: string[] = []
  const fetchWatched = async (url: string, init: RequestInit) => {
    const response = await fetch(url, init)
    requests.push(`${init.method} ${url.slice(mock.url.length)}`)
    violations.push(response.headers.get('sl-violations'))
    return response
  }
  const api = createKrosaiApi({
    apiKey: 'kros_test_example',
    organizationId: randomUUID(),
    baseUrl: mock.url,
    fetch: fetchWatched,
    retry: false,
  })
  return { api, violations, requests }
}

describe('createKrosaiApi(), every documented operation', () => {
  it('is called as the documents require, and returns what they promise', async () => {
    const { api, violations, requests } = watched()
    const answers = [
      await api.webhooks.list(),
      await api.webhooks.create({ url: 'https://example.com/hooks', events: ['call.completed'] }),
      await api.webhooks.create({
        url: 'https://example.com/hooks',
        events: ['call.started', 'call.failed', 'call.recording.ready'],
        active: false,
      }),
      await api.webhooks.get(id),
      await api.webhooks.update(id, { active: false }),
      await api.webhooks.update(id, { url: 'https://example.com/', events: ['number.released'] }),
      await api.webhooks.delete(id),
      await api.webhooks.test(id),
      await api.deliveries.list(),
      await api.deliveries.list({ page: 2, limit: 100, webhook_id: id, status: 'failed' }),
      await api.deliveries.get(id),
      await api.deliveries.retry(id),
    ]

    expect(answers).toEqual([
      [webhook],
      webhook,
      webhook,
      webhook,
      webhook,
      webhook,
      undefined,
      { success: true, status_code: 0, message: 'string' },
      expect.objectContaining({ data: [delivery], total_pages: 0 }),
      expect.objectContaining({
        data: [delivery],
        summary: expect.objectContaining({ failed: 0 }),
      }),
      delivery,
      null,
    ])
    expect(violations).toEqual(answers.map(() => null))
    expect(requests).toEqual([
      'GET /webhooks',
      'POST /webhooks',
      'POST /webhooks',
      `GET /webhooks/${id}`,
      `PATCH /webhooks/${id}`,
      `PATCH /webhooks/${id}`,
      `DELETE /webhooks/${id}`,
      `POST /webhooks/${id}/test`,
      'GET /webhook-deliveries',
      `GET /webhook-deliveries?page=2&limit=100&webhook_id=${id}&status=failed`,
      `GET /webhook-deliveries/${id}`,
      `POST /webhook-deliveries/${id}/retry`,
    ])
  })

  it('is each of those that the documents have', async () => {
    const { api, requests } = watched()
    await Promise.all([
      api.webhooks.list(),
      api.webhooks.create({ url: 'https://example.com/hooks', events: ['call.completed'] }),
      api.webhooks.get(id),
      api.webhooks.update(id, {}),
      api.webhooks.delete(id),
      api.webhooks.test(id),
      api.deliveries.list(),
      api.deliveries.get(id),
      api.deliveries.retry(id),
    ])

    const called = requests.map((request) => request.replace(id, '{id}'))
    expect(called.sort()).toEqual((await documentedOperations()).sort())
  })

  it('is checked: what violates the document is found out', async () => {
    const { api, violations } = watched()
    const events = ['call.ringing'] as never

    const refused = api.webhooks.create({ url: 'https://example.com/hooks', events })
    await expect(refused).rejects.toMatchObject({
      code: 'RINGHOOK_API_REFUSED',
      status: 400,
      operation: 'webhooks.create',
    })
    await expect(api.webhooks.get('no-uuid')).rejects.toMatchObject({ status: 422 })
    expect(violations[0]).toContain('must be equal to one of the allowed values')
  })

  it('may be answered with any data of the documented types, and with fields that are new', async () => {
    const api = createKrosaiApi({
      apiKey: 'kros_test_example',
      baseUrl: mock.url,
      fetch: (url, init) => {
        const headers = new Headers(init.headers)
        headers.set('prefer', 'dynamic=true')
        return fetch(url, { ...init, headers })
      },
    })
    for (let round = 0; round < 20; round++) {
      for (const listed of await api.webhooks.list()) expect(listed.id).toMatch(/./)
      const { data, ...page } = await api.deliveries.list()
      for (const { id: deliveryId } of data) expect(deliveryId).toMatch(/./)
      expect(page).toHaveProperty('summary')
      await api.webhooks.test(id)
    }
  })
})

/** The operations of both documents, as in `GET /webhooks/{id}`. */
async function documentedOperations(): Promise<string[]> {
  const documents = await Promise.all(
    ['krosai-openapi.json', 'krosai-deliveries-openapi.json'].map(async (name) =>
      JSON.parse(await readFile(new URL(`../vectors/${name}`, import.meta.url), 'utf8')),
    ),
  )
  return documents.flatMap(({ paths }) =>
    Object.entries<object>(paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    ),
  )
}
