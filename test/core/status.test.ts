import { callkaro, createReceiver, krosai, memoryStore } from 'ringhook'
import { deliver, fixture, manualClock, signedRequest } from 'ringhook/testing'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'

const secret = 'a secret for tests'
const on = { '*': () => {} }

/** An event's body as it is delivered. */
function body(fields: object = {}): Buffer {
  const timestamp = new Date().toISOString()
  return Buffer.from(JSON.stringify({ ...fixture(krosai, 'call.failed'), timestamp, ...fields }))
}

describe('receiver.status', () => {
  it('says by its id how far an event has come', async () => {
    const clock = manualClock()
    const store = memoryStore({ clock })
    const receiver = createReceiver(krosai, {
      secret,
      clock,
      store,
      on: { 'call.failed': () => clock.sleep(1_000) },
    })
    expect(await receiver.status('evt_1')).toBe('unknown')
    const delivered = deliver(receiver, { ...fixture(krosai, 'call.failed'), id: 'evt_1' })
    await clock.advance(0)
    expect(await receiver.status('evt_1')).toBe('in_flight')
    // Another instance sees it too.
    const other = createReceiver(krosai, { secret, clock, store, on })
    expect(await other.status('evt_1')).toBe('in_flight')
    await clock.advance(1_000)
    await delivered
    expect(await receiver.status('evt_1')).toBe('completed')
    expect(await other.status('evt_1')).toBe('completed')
    await receiver.forget('evt_1')
    expect(await receiver.status('evt_1')).toBe('unknown')
  })

  it('says so of a failed event, and of one whose lease ran out: they run again', async () => {
    const clock = manualClock()
    const receiver = createReceiver(krosai, {
      secret,
      clock,
      logger: false,
      on: {
        'call.failed': () => {
          throw new Error('no')
        },
      },
    })
    await deliver(receiver, { ...fixture(krosai, 'call.failed'), id: 'evt_1' })
    expect(await receiver.status('evt_1')).toBe('unknown')
  })

  it('takes the bytes of a delivery, and finds the key that they were run under', async () => {
    const variants = [
      createReceiver(krosai, { secret, on }),
      createReceiver(krosai, { secret, on, namespace: 'mine' }),
      createReceiver(krosai, { secret, on, eventId: ({ type, id }) => `${type} ${id}` }),
      createReceiver(krosai, { secret, on, eventId: (_event, raw) => String(raw.length) }),
    ]
    for (const receiver of variants) {
      for (const bytes of [body(), body({ id: undefined })]) {
        const request = signedRequest(krosai, bytes, { secret })
        expect(await receiver.statusOfBody(bytes)).toBe('unknown')
        const { status } = await receiver.receive({ ...request, url: '/', body: request.rawBody })
        expect(status).toBe(200)
        expect(await receiver.statusOfBody(bytes)).toBe('completed')
      }
    }
    const unsigned = createReceiver(callkaro, { allowUnsigned: true, on })
    const call = Buffer.from(JSON.stringify(fixture(callkaro, 'call_ended')))
    await unsigned.receive({ method: 'POST', url: '/', headers: {}, body: call })
    expect(await unsigned.statusOfBody(call)).toBe('completed')
  })

  it('neither verifies nor minds the age', async () => {
    const receiver = createReceiver(krosai, { secret, on })
    expect(await receiver.statusOfBody(body({ timestamp: '2001-01-01T00:00:00Z' }))).toBe('unknown')
    await deliver(receiver, { ...fixture(krosai, 'call.failed'), id: 'evt_1' })
    const old = body({ id: 'evt_1', timestamp: '2001-01-01T00:00:00Z' })
    expect(await receiver.statusOfBody(old)).toBe('completed')
  })

  it.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['no JSON', Buffer.from('{"event":')],
    ['no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['a list', Buffer.from('[]')],
    ['no event', body({ event: 7 })],
    ['an event that nobody handles', body({ event: 'call.ringing', data: { call_id: 'x' } })],
    ['data that fails its schema', body({ data: {} })],
  ])('of %s is unknown', async (_what, bytes) => {
    const receiver = createReceiver(krosai, { secret, on: { 'call.failed': () => {} } })
    expect(await receiver.statusOfBody(bytes)).toBe('unknown')
  })

  it('runs nothing of the user’s but schemas and eventId, and where these fail it is unknown', async () => {
    const broken = createReceiver(krosai, {
      secret,
      logger: false,
      on: {
        '*': () => {
          throw new Error('a handler ran')
        },
      },
      eventId: () => {
        throw new Error('no id')
      },
    })
    expect(await broken.statusOfBody(body())).toBe('unknown')
    const schema = z.unknown().transform(() => {
      throw new Error('no data')
    })
    const strict = createReceiver(krosai, {
      secret,
      logger: false,
      on,
      events: { 'call.failed': schema },
    })
    expect(await strict.statusOfBody(body())).toBe('unknown')
  })

  it('refuses anything else', async () => {
    const receiver = createReceiver(krosai, { secret, on })
    for (const wrong of ['', undefined, 7, {}, [1]]) {
      for (const ask of [receiver.status, receiver.statusOfBody]) {
        await expect(ask(wrong as never)).rejects.toMatchObject({ code: 'RINGHOOK_OPTION_INVALID' })
      }
    }
    // Each takes only its own.
    await expect(receiver.status(body() as never)).rejects.toThrow('RINGHOOK_OPTION_INVALID')
    await expect(receiver.statusOfBody('evt_1' as never)).rejects.toThrow('RINGHOOK_OPTION_INVALID')
  })

  it.each([
    ['that fails', () => Promise.reject(new Error('away'))],
    [
      'that throws',
      () => {
        throw new Error('away')
      },
    ],
    ['that answers what nobody knows', async () => 'done' as never],
  ])('of a store %s rejects, with its error as the cause', async (_what, status) => {
    const memory = memoryStore()
    const store = Object.assign(Object.create(memory), { status })
    for (const operation of ['claim', 'extend', 'complete', 'release', 'forget'] as const) {
      store[operation] = memory[operation].bind(memory)
    }
    const receiver = createReceiver(krosai, { secret, on, store })
    const error = await receiver.status('evt_1').catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'RINGHOOK_STORE_UNAVAILABLE', cause: expect.any(Error) })
  })

  it('of a store that does not answer rejects after a lease', async () => {
    const clock = manualClock()
    const memory = memoryStore({ clock })
    const store = Object.assign(Object.create(memory), { status: () => new Promise(() => {}) })
    for (const operation of ['claim', 'extend', 'complete', 'release', 'forget'] as const) {
      store[operation] = memory[operation].bind(memory)
    }
    const receiver = createReceiver(krosai, { secret, on, store, clock })
    const asked = receiver.status('evt_1').catch((thrown: unknown) => thrown)
    await clock.advance(30_000)
    expect(await asked).toMatchObject({ code: 'RINGHOOK_STORE_UNAVAILABLE' })
  })
})
