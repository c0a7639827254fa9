import { randomUUID } from 'node:crypto'
import { createReceiver, krosai, memoryStore, odis, type ReceiverOptions } from 'ringhook'
import {
  createKrosaiApi,
  type KrosaiDelivery,
  type ReconciledDelivery,
  type ReconcileOptions,
  reconcile,
} from 'ringhook/krosai-api'
import { deliver, fixture, manualClock, signedRequest } from 'ringhook/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AnyOptions } from '../helpers/endpoint.ts'
import { answer, type Fault, FaultServer } from './fault-server.ts'

const apiKey = 'kros_test_example'
const secret = 'a secret for tests'
const webhookId = 'b0f6a5a6-0d1c-4c05-a0ce-6e5d7a9d4a1e'
const dayMs = 86_400_000

let server: FaultServer
beforeAll(async () => {
  server = await FaultServer.start()
})
afterAll(() => server.stop())

/** The history of an API, and what is asked of it. */
class History {
  readonly rows: KrosaiDelivery[] = []
  readonly retried: string[] = []
  readonly looked: string[] = []
  /** How the API fails for single calls, as in `POST /webhook-deliveries/1/retry`. */
  readonly faults = new Map<string, Fault>()

  add(fields: Readonly<Record<string, unknown>> = {}): string {
    const id = randomUUID()
    this.rows.push({
      id,
      webhook_id: webhookId,
      event_type: 'call.failed',
      status: 'failed',
      ...fields,
    })
    return id
  }

  /** Serves it: the list without payloads, page by page. */
  serve(): void {
    server.answers((request, response) => {
      const { pathname, searchParams } = new URL(request.url, 'http://localhost')
      const [, , collection, id = '', action] = pathname.split('/')
      const fault = this.faults.get(
        `${request.method} ${[collection, id, action].filter(Boolean).join('/')}`,
      )
      if (fault !== undefined) return fault(request, response)
      if (action === 'retry') {
        this.retried.push(id)
        return answer(200, { queued: true })(request, response)
      }
      if (id !== '') {
        this.looked.push(id)
        return answer(
          200,
          this.rows.find((row) => row.id === id),
        )(request, response)
      }
      const [page, limit] = ['page', 'limit'].map((name) => Number(searchParams.get(name)))
      const from = ((page ?? 1) - 1) * (limit ?? 20)
      const data = this.rows
        .slice(from, from + (limit ?? 20))
        .map(({ payload: _payload, response: _response, ...row }) => row)
      answer(200, this.page(data, Math.ceil(this.rows.length / (limit ?? 20))))(request, response)
    })
  }

  page(data: readonly object[], pages: number): object {
    return { data, total: this.rows.length, total_pages: pages, summary: { failed: 3 } }
  }
}

function event(ageMs = 60_000, id = `evt_${randomUUID()}`) {
  const timestamp = new Date(Date.now() - ageMs).toISOString()
  return { ...fixture(krosai, 'call.failed'), id, timestamp }
}

function receiverWith(options: AnyOptions = {}) {
  return createReceiver(krosai, {
    secret,
    on: { '*': () => {} },
    logger: false,
    ...options,
  } as ReceiverOptions<typeof krosai>)
}

async function run(
  history: History,
  options: Partial<ReconcileOptions> = {},
  receiver = receiverWith(),
) {
  history.serve()
  const settled: ReconciledDelivery[] = []
  const api = createKrosaiApi({ apiKey, baseUrl: server.url, retry: false })
  const report = await reconcile(receiver, api, {
    webhookId,
    since: new Date(Date.now() - dayMs),
    callsPerSecond: 100,
    onDelivery: (delivery) => settled.push(delivery),
    ...options,
  })
  return { report, settled }
}

describe('reconcile()', () => {
  it('asks for what was not delivered, the oldest first, and reports', async () => {
    const history = new History()
    history.add({ status: 'delivered', payload: event() })
    const newest = history.add({ payload: event(1_000, 'evt_new') })
    history.add({ status: 'pending', payload: event() })
    const oldest = history.add({ payload: event(3_600_000, 'evt_old') })
    const { report, settled } = await run(history)

    expect(history.retried).toEqual([oldest, newest])
    expect(report).toEqual({
      listed: 4,
      delivered: 1,
      pending: 1,
      retried: 2,
      completed: 0,
      inFlight: 0,
      repeated: 0,
      tooOld: 0,
      failed: 0,
      unknownStatuses: [],
      summary: expect.objectContaining({ failed: 3, delivered: undefined }),
      isComplete: true,
    })
    expect(settled).toEqual([
      { id: oldest, eventId: 'evt_old', event: 'call.failed', result: 'retried', code: undefined },
      { id: newest, eventId: 'evt_new', event: 'call.failed', result: 'retried', code: undefined },
    ])
  })

  it('leaves out what the receiver has finished, and what runs in it', async () => {
    const clock = manualClock()
    const receiver = receiverWith({
      clock,
      store: memoryStore({ clock }),
      on: { 'call.failed': ({ id }) => (id === 'evt_runs' ? clock.sleep(1_000) : undefined) },
    })
    const [finished, running, failed] = [event(0, 'evt_done'), event(0, 'evt_runs'), event()]
    expect((await deliver(receiver, finished)).outcome).toBe('handled')
    const answered = deliver(receiver, running)
    const history = new History()
    for (const payload of [finished, running]) history.add({ payload })
    const open = history.add({ payload: failed })
    const { report } = await run(history, {}, receiver as never)

    expect(report).toMatchObject({ completed: 1, inFlight: 1, retried: 1, isComplete: true })
    expect(history.retried).toEqual([open])
    await clock.advance(1_000)
    await answered
  })

  it('finds events by the receiver’s own eventId, and by the bytes if there is no id', async () => {
    const own = receiverWith({ eventId: ({ data }) => `${(data as { call_id: string }).call_id}` })
    const first = event()
    expect((await deliver(own, first)).outcome).toBe('handled')
    const again = new History()
    again.add({ payload: { ...event(), data: first.data } })
    expect((await run(again, {}, own)).report).toMatchObject({ completed: 1, retried: 0 })

    const receiver = receiverWith()
    const { id: _id, ...bare } = event()
    const text = JSON.stringify(bare, undefined, 1)
    const request = signedRequest(krosai, Buffer.from(text), { secret })
    const { status } = await receiver.receive({
      ...request,
      url: '/',
      body: request.rawBody,
    })
    expect(status).toBe(200)
    const byBytes = new History()
    byBytes.add({ payload: text })
    // The same values in other bytes: nobody can know.
    byBytes.add({ payload: bare })
    expect((await run(byBytes, {}, receiver)).report).toMatchObject({ completed: 1, retried: 1 })
  })

  it('reads a payload that is JSON in a string, and asks without knowing if there is none', async () => {
    const history = new History()
    const receiver = receiverWith()
    const known = event()
    await deliver(receiver, known)
    history.add({ payload: JSON.stringify(known) })
    const open = [
      {},
      { payload: null },
      { payload: 'not JSON' },
      { payload: '"text"' },
      { payload: [known] },
      { payload: { body: known } },
      { payload: { event: 7, id: known.id } },
      { request: known },
    ].map((fields) => history.add(fields))
    const { report, settled } = await run(history, {}, receiver)

    expect(report).toMatchObject({ completed: 1, retried: open.length })
    expect([...history.retried].sort()).toEqual([...open].sort())
    expect(settled.filter(({ eventId }) => eventId === undefined)).toHaveLength(open.length)
  })

  it('asks for an event once, in however many deliveries it is', async () => {
    const history = new History()
    const payload = event()
    const first = history.add({ payload })
    history.add({ payload })
    const { report } = await run(history)

    expect(report).toMatchObject({ retried: 1, repeated: 1, isComplete: true })
    expect(history.retried).toEqual([first])
  })

  it('leaves alone what is older than since, by the event’s time, and by the delivery’s if it has one', async () => {
    const history = new History()
    history.add({ payload: event(2 * dayMs) })
    const unseen = history.add({ created_at: new Date(Date.now() - 2 * dayMs).toISOString() })
    const odd = history.add({ created_at: 'yesterday', payload: event() })
    const { report } = await run(history)

    expect(report).toMatchObject({ tooOld: 2, retried: 1, isComplete: true })
    expect(history.retried).toEqual([odd])
    expect(history.looked).not.toContain(unseen)
  })

  it.each([['exhausted'], ['FAILED'], [null], [undefined]])(
    'takes the status %j for not delivered',
    async (status) => {
      const history = new History()
      const id = history.add({ status, payload: event() })
      const { report } = await run(history)
      expect(history.retried).toEqual([id])
      const isKnown = status === 'FAILED'
      expect(report.unknownStatuses).toEqual(isKnown ? [] : [status ?? ''])
    },
  )

  it('hands a status on, and believes no filter', async () => {
    const history = new History()
    history.add({ webhook_id: randomUUID(), payload: event() })
    const mine = history.add({ payload: event() })
    const { report } = await run(history, { status: 'failed' })

    expect(report).toMatchObject({ listed: 1, retried: 1 })
    expect(history.retried).toEqual([mine])
    expect(server.requests[0]?.url).toBe(
      `/v1/webhook-deliveries?webhook_id=${webhookId}&status=failed&page=1&limit=100`,
    )
  })
})

describe('reconcile(), over several pages', () => {
  it('are all read before anything is asked for', async () => {
    const history = new History()
    for (let count = 0; count < 205; count++) history.add({ status: 'delivered' })
    const last = history.add({ payload: event() })
    const { report } = await run(history)

    expect(report).toMatchObject({ listed: 206, delivered: 205, retried: 1, isComplete: true })
    expect(history.retried).toEqual([last])
    expect(server.requests.map(({ url }) => /page=\d+/.exec(url)?.[0])).toEqual([
      'page=1',
      'page=2',
      'page=3',
      undefined,
      undefined,
    ])
  })

  it.each<[string, (data: readonly object[]) => object]>([
    ['say nothing of how many they are', (data) => ({ data })],
    ['say it in a text', (data) => ({ data, total_pages: '2', summary: [] })],
    ['say too many', (data) => ({ data, total_pages: 99 })],
  ])('may %s', async (_what, page) => {
    const history = new History()
    for (let count = 0; count < 150; count++) history.add({ status: 'delivered' })
    history.page = page
    const { report } = await run(history)
    expect(report).toMatchObject({ listed: 150, isComplete: true })
  })

  it('may be the same again and again', async () => {
    const history = new History()
    const data = [{ id: randomUUID(), status: 'delivered' }]
    history.page = () => ({ data, total_pages: 1_000_000 })
    const { report } = await run(history)
    expect(report).toMatchObject({ listed: 1, isComplete: true })
    expect(server.requests).toHaveLength(2)
  })

  it('count a delivery once that moves to the next page meanwhile', async () => {
    const history = new History()
    for (let count = 0; count < 120; count++) history.add({ status: 'delivered' })
    const { page } = history
    history.page = (data, pages) => {
      history.rows.unshift({ id: randomUUID(), webhook_id: webhookId, status: 'delivered' })
      return page.call(history, data, pages)
    }
    const { report } = await run(history)
    expect(report.listed).toBe(120)
  })
})

describe('reconcile(), when the API fails', () => {
  it('for one delivery does not keep the others', async () => {
    const history = new History()
    const ids = [1, 2, 3, 4].map((age) => history.add({ payload: event(age * 60_000) }))
    history.faults.set(`GET webhook-deliveries/${ids[0]}`, answer(404, { error: 'gone' }))
    history.faults.set(`POST webhook-deliveries/${ids[2]}/retry`, answer(409, { code: 'busy' }))
    const { report, settled } = await run(history)

    expect(report).toMatchObject({ retried: 2, failed: 2, isComplete: false })
    expect(history.retried).toEqual([ids[3], ids[1]])
    expect(settled.filter(({ result }) => result === 'failed')).toEqual([
      expect.objectContaining({ id: ids[0], code: 'RINGHOOK_API_NOT_FOUND' }),
      expect.objectContaining({ id: ids[2], code: 'RINGHOOK_API_REFUSED' }),
    ])
  })

  it('three times in a row is left alone', async () => {
    const history = new History()
    const ids = Array.from({ length: 6 }, (_, age) => history.add({ payload: event(age * 1_000) }))
    for (const id of ids) {
      history.faults.set(`POST webhook-deliveries/${id}/retry`, answer(503, ''))
    }
    const { report } = await run(history)

    expect(report).toMatchObject({ retried: 0, failed: 3, isComplete: false })
    expect(server.requests.filter(({ method }) => method === 'POST')).toHaveLength(3)
  })

  it('now and then is not taken to be away', async () => {
    const history = new History()
    const ids = Array.from({ length: 8 }, (_, age) => history.add({ payload: event(age * 1_000) }))
    for (const [index, id] of ids.entries()) {
      const fault = answer(503, '')
      if (index % 3 !== 0) history.faults.set(`POST webhook-deliveries/${id}/retry`, fault)
    }
    const { report } = await run(history)
    expect(report).toMatchObject({ retried: 3, failed: 5, isComplete: false })
  })

  it('because of the key, or for the list, fails as a whole', async () => {
    const history = new History()
    const id = history.add({ payload: event() })
    history.faults.set(`POST webhook-deliveries/${id}/retry`, answer(403, ''))
    await expect(run(history)).rejects.toMatchObject({ code: 'RINGHOOK_API_UNAUTHORIZED' })

    history.faults.set('GET webhook-deliveries', answer(500, ''))
    await expect(run(history)).rejects.toMatchObject({ code: 'RINGHOOK_API_FAILED' })
  })
})

describe('reconcile(), its options', () => {
  it('are maxRetries: what is left is for another run', async () => {
    const history = new History()
    for (let age = 0; age < 5; age++) history.add({ payload: event(age * 1_000) })
    const { report } = await run(history, { maxRetries: 2 })
    expect(report).toMatchObject({ retried: 2, isComplete: false })
    expect(history.retried).toHaveLength(2)
  })

  it('are callsPerSecond, by the clock', async () => {
    const clock = manualClock()
    const history = new History()
    history.add({ payload: event() })
    history.add({ payload: event() })
    const at: number[] = []
    const running = run(history, { clock, callsPerSecond: 4 })
    for (;;) {
      while (server.requests.length > at.length) at.push(clock.now())
      if (at.length === 5) break
      if (clock.nextTimerMs() !== undefined) await clock.advance(clock.nextTimerMs() ?? 0)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await running
    const pauses = at.slice(1).map((time, index) => time - (at[index] ?? 0))
    expect(pauses).toEqual([250, 250, 250, 250])
  })

  it('are a signal', async () => {
    const history = new History()
    history.add({ payload: event() })
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(run(history, { signal })).rejects.toThrow('enough')
    expect(server.requests).toEqual([])
  })

  it.each<[string, object]>([
    ['no webhook', { webhookId: undefined }],
    ['no since', { since: undefined }],
    ['a since that is not a date', { since: new Date('soon') }],
    ['a since that is a number', { since: 5 }],
    ['callsPerSecond: 0', { callsPerSecond: 0 }],
    ['callsPerSecond: 101', { callsPerSecond: 101 }],
    ['maxRetries: 0', { maxRetries: 0 }],
    ['onDelivery that is not a function', { onDelivery: 'log' }],
    ['an option that does not exist', { until: new Date() }],
  ])('are checked: %s', async (_what, options) => {
    await expect(run(new History(), options)).rejects.toMatchObject({
      code: 'RINGHOOK_OPTION_INVALID',
    })
  })

  it('are the receiver: one for KrosAI', async () => {
    const other = createReceiver(odis, { secret, on: { '*': () => {} } })
    for (const receiver of [other, krosai, null]) {
      await expect(run(new History(), {}, receiver as never)).rejects.toMatchObject({
        code: 'RINGHOOK_RECEIVER_INVALID',
      })
    }
  })

  it('are the store: without it, completed events are unknown', async () => {
    const away = { ...memoryStore(), status: () => Promise.reject(new Error('away')) }
    const store = Object.assign(Object.create(memoryStore()), away)
    const history = new History()
    history.add({ payload: event() })
    await expect(run(history, {}, receiverWith({ store }))).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_UNAVAILABLE',
    })
    expect(history.retried).toEqual([])
  })
})
