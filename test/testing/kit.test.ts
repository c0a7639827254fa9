import express from 'express'
import Fastify from 'fastify'
import { createReceiver, krosai, odis, PermanentFailure, type WebhookEvent } from 'ringhook'
import { krosaiWebhooks as expressWebhooks } from 'ringhook/express'
import { krosaiWebhooks as fastifyWebhooks } from 'ringhook/fastify'
import { deliver, fixture, manualClock, signedRequest, simulateProvider } from 'ringhook/testing'
import request from 'supertest'
import { describe, expect, expectTypeOf, it, vi } from 'vitest'

const secret = 'a secret for tests'

describe('fixture', () => {
  it('gives the documented payload, value for value', () => {
    expect(fixture(krosai, 'call.answered')).toEqual({
      event: 'call.answered',
      id: 'evt_003',
      timestamp: '2025-01-10T12:00:05Z',
      data: { call_id: 'call_abc123', answered_at: '2025-01-10T12:00:05Z' },
    })
  })

  it('puts overrides on top at any depth and leaves the rest', () => {
    const { data } = fixture(krosai, 'call.completed', {
      data: { duration: 7, metadata: { crm_id: 'crm_1' } },
    })
    expect(data).toMatchObject({
      duration: 7,
      hangup_cause: 'normal_clearing',
      metadata: { customer_id: 'cust_123', crm_id: 'crm_1' },
    })
    expectTypeOf(data.duration).toEqualTypeOf<number>()
  })

  it('gives a new object every time', () => {
    const first = fixture(krosai, 'call.completed') as { data: { duration: number } }
    first.data.duration = 1
    expect(fixture(krosai, 'call.completed').data.duration).toBe(180)
  })

  it('gives the payload under every documented name, also where the pages show none', () => {
    expect(fixture(krosai, 'call.ended').data).toMatchObject({ status: 'completed' })
    expect(fixture(krosai, 'call.recording.ready')).toMatchObject({
      event: 'call.recording.ready',
      data: fixture(krosai, 'recording.ready').data,
    })
    expect(fixture(krosai, 'call.started')).toMatchObject({ event: 'call.started', data: {} })
  })

  it('refuses overrides that do not fit the schema, with the field and without the value', () => {
    const wrong = { data: { duration: 'a secret value' } } as never
    const error = errorOf(() => fixture(krosai, 'call.completed', wrong))
    expect(error).toMatchObject({ code: 'RINGHOOK_FIXTURE_INVALID' })
    expect(String(error)).toContain('data.duration')
    expect(String(error)).not.toContain('a secret value')
  })

  it('takes a field away with undefined, and refuses that for a required one', () => {
    expect(
      fixture(krosai, 'call.completed', { data: { transcript: undefined } }).data,
    ).not.toHaveProperty('transcript')
    expect(
      errorOf(() => fixture(krosai, 'call.completed', { data: { call_id: undefined } })),
    ).toMatchObject({
      code: 'RINGHOOK_FIXTURE_INVALID',
    })
  })

  it('says which event is probably meant, wherever one is named', async () => {
    const receiver = createReceiver(krosai, { secret, on: { '*': () => {} } })
    const meant = {
      code: 'RINGHOOK_FIXTURE_INVALID',
      message: expect.stringContaining('mean "call.completed"?'),
    }
    const name = 'call.complete' as never
    expect(errorOf(() => fixture(krosai, name))).toMatchObject(meant)
    expect(errorOf(() => signedRequest(krosai, name, { secret } as never))).toMatchObject(meant)
    await expect(deliver(receiver, name)).rejects.toMatchObject(meant)
    const simulation = simulateProvider(krosai, { target: receiver })
    simulation.send(name)
    await expect(simulation.run()).rejects.toMatchObject(meant)
  })

  it('refuses a name that nobody documents', () => {
    expect(errorOf(() => fixture(krosai, 'call.exploded' as never))).toMatchObject({
      code: 'RINGHOOK_FIXTURE_INVALID',
    })
  })
})

describe('signedRequest', () => {
  const handled = { outcome: 'handled' }
  const on = { 'call.completed': () => {} }

  it('fits supertest', async () => {
    const app = express().post('/hooks', expressWebhooks({ secret, on }))
    const { headers, body } = signedRequest(krosai, 'call.completed', { secret })
    const sent = await request(app).post('/hooks').set(headers).send(body)
    expect([sent.status, sent.body]).toEqual([200, handled])
  })

  it('fits inject', async () => {
    const app = Fastify()
    await app.register(fastifyWebhooks({ secret, on }), { prefix: '/hooks' })
    const sent = await app.inject({
      url: '/hooks',
      ...signedRequest(krosai, 'call.completed', { secret }),
    })
    expect([sent.statusCode, sent.json()]).toEqual([200, handled])
  })

  it('fits fetch', async () => {
    const server = express().post('/hooks', expressWebhooks({ secret, on })).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const address = server.address() as { port: number }
    const sent = await fetch(
      `http://127.0.0.1:${address.port}/hooks`,
      signedRequest(krosai, 'call.completed', { secret }),
    )
    expect([sent.status, await sent.json()]).toEqual([200, handled])
    server.close()
  })

  it('makes a new event at every call by name, also where the id is the hash of the body', () => {
    const ids = Array.from(
      { length: 500 },
      () => signedRequest(odis, 'call.started', { secret }).body,
    )
    expect(new Set(ids).size).toBe(500)
  })

  it('keeps the id of a body that is given, and sends bytes as they are', () => {
    const mine = fixture(krosai, 'call.completed', { id: 'evt_mine' })
    const now = Date.now()
    const sent = JSON.parse(signedRequest(krosai, mine, { secret }).body)
    expect(sent).toEqual({ ...mine, timestamp: expect.any(String) })
    expect(Math.abs(Date.parse(sent.timestamp) - now)).toBeLessThan(60_000)
    const bytes = Buffer.from('{"event": "x" }\r\n')
    expect(signedRequest(krosai, bytes, { secret }).rawBody).toEqual(bytes)
  })

  it('refuses to sign without a secret', () => {
    expect(errorOf(() => signedRequest(krosai, 'call.completed'))).toMatchObject({
      code: 'RINGHOOK_SECRET_MISSING',
    })
  })
})

describe('the kit', () => {
  it('refuses options that do not exist, and says which is meant', async () => {
    const receiver = createReceiver(krosai, { secret, on: { '*': () => {} } })
    const misspelt = { duplicates: 2 } as never
    await expect(deliver(receiver, 'call.completed', misspelt)).rejects.toThrow(/mean "duplicate"/)
    expect(
      errorOf(() => signedRequest(krosai, 'call.completed', { secert: secret } as never)),
    ).toMatchObject({
      code: 'RINGHOOK_OPTION_INVALID',
    })
  })
})

describe('a receiver of another copy of ringhook', () => {
  it('is delivered to', async () => {
    vi.resetModules()
    const other = await import('ringhook')
    expect(other.createReceiver).not.toBe(createReceiver)
    const receiver = other.createReceiver(other.krosai, { secret, on: { '*': () => {} } })
    expect(await deliver(receiver, 'call.completed')).toMatchObject({ outcome: 'handled' })
  })

  it('is refused with a code if it is of a version that the kit does not know', async () => {
    const receive = async () => {
      throw new Error('it is not delivered to')
    }
    const receiver = { provider: krosai, receive } as never
    await expect(deliver(receiver, 'call.completed' as never)).rejects.toMatchObject({
      code: 'RINGHOOK_RECEIVER_INVALID',
      message: expect.stringContaining('npm ls ringhook'),
    })
  })
})

describe('deliver', () => {
  function endpoint() {
    const clock = manualClock()
    const events: WebhookEvent[] = []
    const receiver = createReceiver(krosai, {
      secret: ['a newer secret', secret],
      clock,
      logger: false,
      on: { '*': (event) => void events.push(event) },
    })
    return { clock, events, receiver }
  }

  it('signs with the receiver’s own secret and answers what the provider would see', async () => {
    const { events, receiver } = endpoint()
    const delivered = await deliver(receiver, 'call.completed', {
      overrides: { id: 'evt_7', data: { duration: 7 } },
    })
    expect(delivered).toMatchObject({
      status: 200,
      body: { outcome: 'handled' },
      outcome: 'handled',
      details: { eventId: 'evt_7', type: 'call.completed', attempt: 1, fence: 1 },
      duplicates: [],
    })
    expect(events).toMatchObject([{ id: 'evt_7', data: { duration: 7 } }])
  })

  it('signs with what a secret function gives', async () => {
    const receiver = createReceiver(krosai, {
      secret: async () => secret,
      on: { 'call.completed': () => {} },
    })
    expect(await deliver(receiver, 'call.completed')).toMatchObject({ outcome: 'handled' })
  })

  it('delivers a request again as it is: a retry', async () => {
    const { events, receiver } = endpoint()
    const sent = signedRequest(krosai, 'call.completed', { secret })
    expect((await deliver(receiver, sent)).outcome).toBe('handled')
    expect((await deliver(receiver, sent)).outcome).toBe('duplicate')
    expect(events).toHaveLength(1)
  })

  it('sends copies at the same moment when asked to', async () => {
    const { events, receiver } = endpoint()
    const { outcome, duplicates } = await deliver(receiver, 'call.completed', { duplicate: 9 })
    const outcomes = [outcome, ...duplicates.map((copy) => copy.outcome)].sort()
    expect(outcomes).toEqual([...new Array(9).fill('duplicate'), 'handled'])
    expect(events).toHaveLength(1)
  })

  it.each([
    ['forge', { forge: true }, 401],
    ['tamper', { tamper: true }, 401],
    ['truncate', { truncate: true }, 401],
    ['age', { ageMs: 31 * 24 * 3_600_000 }, 400],
    ['be ahead of time', { ageMs: -3_600_000 }, 400],
  ])('can %s a delivery, which is then refused', async (_, options, status) => {
    const { events, receiver } = endpoint()
    expect(await deliver(receiver, 'call.completed', options)).toMatchObject({
      status,
      outcome: 'rejected',
    })
    expect(events).toEqual([])
  })

  it('sends an invalid event on purpose when given the body', async () => {
    const { receiver } = endpoint()
    const body = { ...fixture(krosai, 'call.completed'), data: {} }
    expect(await deliver(receiver, body)).toMatchObject({ status: 422, outcome: 'invalid' })
  })

  it('waits for a handler that goes on after its answer', async () => {
    const clock = manualClock()
    let finished = false
    const receiver = createReceiver(krosai, {
      secret,
      clock,
      logger: false,
      on: {
        'call.completed': async () => {
          await clock.sleep(60_000)
          finished = true
        },
      },
    })
    const delivering = deliver(receiver, 'call.completed')
    await clock.advance(60_000)
    expect(await delivering).toMatchObject({ status: 503, outcome: 'timed_out' })
    expect(finished).toBe(true)
  })

  it('shows what a permanent failure does', async () => {
    const receiver = createReceiver(krosai, {
      secret,
      logger: false,
      on: {
        'call.completed': () => {
          throw new PermanentFailure('no such customer')
        },
      },
    })
    const sent = signedRequest(krosai, 'call.completed', { secret })
    expect(await deliver(receiver, sent)).toMatchObject({
      status: 200,
      body: { outcome: 'failed', code: 'RINGHOOK_PERMANENT_FAILURE' },
    })
    expect(await deliver(receiver, sent)).toMatchObject({ status: 200, outcome: 'duplicate' })
  })
})

describe('manualClock', () => {
  it('calls timers back in order, and lets what they start run on before the next', async () => {
    const clock = manualClock(0)
    const seen: string[] = []
    clock.setTimeout(() => seen.push(`b at ${clock.now()}`), 20)
    clock.setTimeout(() => {
      seen.push(`a at ${clock.now()}`)
      void clock.sleep(5).then(() => seen.push(`c at ${clock.now()}`))
    }, 10)
    const cancelled = clock.setTimeout(() => seen.push('never'), 15)
    clock.clearTimeout(cancelled)
    await clock.advance(19)
    expect(seen).toEqual(['a at 10', 'c at 15'])
    expect([clock.now(), clock.nextTimerMs()]).toEqual([19, 1])
    await clock.advance(1)
    expect(seen.at(-1)).toBe('b at 20')
  })
})

function errorOf(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
