import fc from 'fast-check'
import { callkaro, defineProvider, krosai, memoryStore } from 'ringhook'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { manualClock } from '../../src/testing/manual-clock.ts'
import {
  build,
  endpoint,
  event,
  gate,
  post,
  secret,
  seen,
  sign,
  start,
} from '../helpers/endpoint.ts'

const stray: unknown[] = []
const keep = (error: unknown) => void stray.push(error)

beforeEach(() => {
  process.on('unhandledRejection', keep)
})

afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', keep)
  expect(stray.splice(0)).toEqual([])
})

/** What is wrong with a delivery, in the order in which the receiver is to find it. */
const faults = [
  { name: 'another method', answer: '405 rejected RINGHOOK_METHOD_NOT_ALLOWED' },
  { name: 'a strange address', answer: '403 rejected RINGHOOK_IP_NOT_ALLOWED' },
  { name: 'an encoded body', answer: '415 rejected RINGHOOK_BODY_ENCODED' },
  { name: 'a declared length over the limit', answer: '413 rejected RINGHOOK_BODY_TOO_LARGE' },
  { name: 'a body that a parser took', answer: '500 rejected RINGHOOK_BODY_ALREADY_READ' },
  { name: 'a wrong signature', answer: '401 rejected RINGHOOK_NOT_AUTHENTIC' },
  { name: 'broken UTF-8', answer: '400 rejected RINGHOOK_BODY_NOT_UTF8' },
  { name: 'broken JSON', answer: '400 rejected RINGHOOK_BODY_NOT_JSON' },
  { name: 'an old timestamp', answer: '400 rejected RINGHOOK_TIMESTAMP_TOO_OLD' },
  { name: 'no handler', answer: '200 ignored' },
  { name: 'invalid data', answer: '422 invalid RINGHOOK_EVENT_INVALID' },
  {
    name: 'a store that is down',
    answer: '503 unavailable RINGHOOK_STORE_UNAVAILABLE retry-after 30',
  },
  { name: 'a failing handler', answer: '500 failed RINGHOOK_HANDLER_FAILED' },
] as const

type Fault = (typeof faults)[number]['name']

async function deliverWith(...wrong: Fault[]) {
  const has = (fault: Fault) => wrong.includes(fault)
  const clock = manualClock(start)
  const memory = memoryStore({ clock })
  const claim = vi.fn<typeof memory.claim>(async (key, options) => {
    if (has('a store that is down')) throw new Error('down')
    return memory.claim(key, options)
  })
  const handler = vi.fn(() => {
    if (has('a failing handler')) throw new Error('no')
  })
  const read = vi.fn(krosai.read)
  const receiver = build(
    { ...krosai, read },
    {
      secret,
      clock,
      logger: false,
      allowedIps: ['192.0.2.1'],
      store: {
        claim,
        extend: memory.extend.bind(memory),
        complete: memory.complete.bind(memory),
        release: memory.release.bind(memory),
        forget: memory.forget.bind(memory),
        status: memory.status.bind(memory),
      },
      on: has('no handler') ? {} : { 'call.ringing': handler },
    },
  )
  const json = JSON.stringify(
    event({
      ...(has('an old timestamp') && { timestamp: '2020-01-01T00:00:00Z' }),
      ...(has('invalid data') && { data: {} }),
    }),
  )
  const text = has('broken JSON') ? `${json}}` : json
  const body = Buffer.concat([Buffer.from(text), Buffer.from(has('broken UTF-8') ? [0xff] : [])])
  const reply = await receiver.receive({
    method: has('another method') ? 'GET' : 'POST',
    url: '/',
    socket: { remoteAddress: has('a strange address') ? '192.0.2.2' : '192.0.2.1' },
    headers: {
      'content-length': has('a declared length over the limit') ? '1048577' : String(body.length),
      ...(has('an encoded body') && { 'content-encoding': 'gzip' }),
      'x-webhook-signature': sign(body, has('a wrong signature') ? 'other' : secret),
    },
    body: has('a body that a parser took') ? undefined : body,
  })
  return { reply, claim, handler, read }
}

describe('receiver.receive()', () => {
  const pairs = faults.flatMap((first, at) =>
    faults.slice(at + 1).map((second) => [first, second] as const),
  )

  it('handles a delivery that has nothing wrong', async () => {
    expect(seen((await deliverWith()).reply)).toBe('200 handled')
  })

  it.each(faults)('answers $name with $answer', async ({ name, answer }) => {
    expect(seen((await deliverWith(name)).reply)).toBe(answer)
  })

  it.each(pairs)('finds $0.name before it finds $1.name', async (first, second) => {
    expect(seen((await deliverWith(first.name, second.name)).reply)).toBe(first.answer)
  })

  it('parses, claims and runs nothing that was not authenticated', async () => {
    for (const { name } of faults.slice(0, 6)) {
      const parse = vi.spyOn(JSON, 'parse')
      const { claim, handler, read } = await deliverWith(name)
      const parsed = parse.mock.calls.length
      parse.mockRestore()
      expect([name, parsed]).toEqual([name, 0])
      for (const spy of [read, claim, handler]) expect(spy).not.toHaveBeenCalled()
    }
  })

  it('claims nothing for an event that is ignored, unreadable, too old or invalid', async () => {
    for (const { name } of faults.slice(6, 11)) {
      expect((await deliverWith(name)).claim).not.toHaveBeenCalled()
    }
  })

  it('answers with nothing but the outcome and the code, as JSON', async () => {
    const { reply } = await deliverWith('a failing handler')
    expect(reply).toMatchObject({
      status: 500,
      headers: { 'content-type': 'application/json; charset=utf-8', 'content-length': '53' },
      body: '{"outcome":"failed","code":"RINGHOOK_HANDLER_FAILED"}',
    })
    expect(reply.headers['content-length']).toBe(String(Buffer.byteLength(reply.body)))
    const { reply: fine } = await deliverWith()
    expect([fine.headers['content-length'], fine.body]).toEqual(['21', '{"outcome":"handled"}'])
  })

  it('tells a sender of another method which one to use', async () => {
    const { reply } = await deliverWith('another method')
    expect(reply.headers['allow']).toBe('POST')
  })

  it.each([
    ['gzip'],
    ['br'],
    ['deflate'],
    ['identity, gzip'],
    ['gzip, identity'],
    ['x'],
    [['identity']],
  ])('refuses the content encoding %j', async (encoding) => {
    const { deliver, runs } = endpoint()
    const reply = await deliver(event(), { headers: { 'content-encoding': encoding } })
    expect(seen(reply)).toBe('415 rejected RINGHOOK_BODY_ENCODED')
    expect(runs).toEqual([])
  })

  it.each([['identity'], ['Identity'], [' identity '], [''], [undefined]])(
    'accepts the content encoding %j, and any content type',
    async (encoding) => {
      const headers = { 'content-encoding': encoding, 'content-type': 'text/plain; charset=utf-16' }
      expect(seen(await endpoint().deliver(event(), { headers }))).toBe('200 handled')
    },
  )

  it('gives an event without an id that can be used the SHA-256 of its bytes', async () => {
    const { deliver, runs } = endpoint()
    for (const id of [undefined, null, '', 7.5, {}, ['a']]) {
      expect(seen(await deliver(event({ id })))).toBe('200 handled')
      expect(seen(await deliver(event({ id })))).toBe('200 duplicate')
    }
    for (const {
      event: { id },
    } of runs)
      expect(id).toMatch(/^[0-9a-f]{64}$/)
  })

  it.each([
    ['NUL in it', 'a\0b'],
    ['a lone surrogate', 'a\ud800'],
    ['another lone surrogate', 'a\udfff'],
    ['ten thousand characters', 'x'.repeat(10_000)],
    ['the name of a property', '__proto__'],
    ['SQL in it', `'); drop table ringhook;--`],
  ])('takes an event id with %s as it is', async (_, id) => {
    const { deliver, runs } = endpoint()
    const other = `${id.slice(0, -1)}\udabc`
    expect(seen(await deliver(event({ id })))).toBe('200 handled')
    expect(seen(await deliver(event({ id })))).toBe('200 duplicate')
    expect(seen(await deliver(event({ id: other })))).toBe('200 handled')
    expect(runs.map((run) => run.event.id)).toEqual([id, other])
  })

  it.each([['missing'], [''], [5], [null], [true], [['call.ringing']], [{}]])(
    'answers an event name that is %j with 400',
    async (name) => {
      const { deliver } = endpoint()
      const body = event({ event: name === 'missing' ? undefined : name })
      expect(seen(await deliver(body))).toBe('400 rejected RINGHOOK_EVENT_MISSING')
    },
  )

  it('hands the handler what the schema made of the data, and unknown fields with it', async () => {
    const { deliver, runs } = endpoint({
      events: { 'call.ringing': z.looseObject({ at: z.coerce.date() }) },
    })
    await deliver(event({ event: 'call.ringing', data: { at: '2026-01-01T00:00:00Z', more: 1 } }))
    expect(runs[0]?.event).toEqual({
      id: 'evt_1',
      type: 'call.ringing',
      sentAs: 'call.ringing',
      timestamp: new Date(start),
      data: { at: new Date('2026-01-01T00:00:00Z'), more: 1 },
      provider: 'krosai',
    })
  })

  it.each([
    ['reject', '422 invalid RINGHOOK_EVENT_INVALID'],
    ['acknowledge', '200 invalid RINGHOOK_EVENT_INVALID'],
  ] as const)('answers invalid data as the user chose: %s', async (invalidEvents, answer) => {
    const { deliver, outcomes, store } = endpoint({ invalidEvents })
    expect(seen(await deliver(event({ data: { call_id: 4155550100 } })))).toBe(answer)
    expect(outcomes[0]?.issues).toEqual([{ path: 'data.call_id', code: 'invalid_type' }])
    expect(store.claim).not.toHaveBeenCalled()
  })

  it('answers a schema that throws with 500: that is no fault of the sender', async () => {
    const broken = z.object({}).transform(() => {
      throw new Error('secret 555')
    })
    for (const schema of [broken, z.object({}).refine(async () => true)]) {
      const { deliver, lines } = endpoint({ events: { 'call.ringing': schema } })
      expect(seen(await deliver())).toBe('500 failed RINGHOOK_HANDLER_FAILED')
      expect(lines.join()).not.toContain('555')
    }
  })

  it('goes by the eventId option, and answers 500 when it gives no id', async () => {
    const { deliver, runs } = endpoint({
      eventId: ({ data }, rawBody) =>
        `${(data as { call_id: string }).call_id}${rawBody.length > 0}`,
    })
    expect(seen(await deliver(event({ id: 'a' })))).toBe('200 handled')
    expect(seen(await deliver(event({ id: 'b' })))).toBe('200 duplicate')
    expect(runs[0]?.event.id).toBe('call_1true')
    for (const eventId of [
      () => '',
      () => undefined,
      async () => 'a',
      () => {
        throw new Error('no')
      },
    ]) {
      const { deliver: other } = endpoint({ eventId: eventId as () => string })
      expect(seen(await other())).toBe('500 failed RINGHOOK_HANDLER_FAILED')
    }
  })

  it('answers a provider that cannot read a body with 500, and one that cannot read its headers with 401', async () => {
    const acme = defineProvider({
      name: 'acme',
      signature: {
        header: 'x-acme',
        encoding: 'hex',
        signedPrefix: ({ 'x-t': t }) => (t as string).trim(),
      },
      signedTimestamp: false,
      events: {},
      read: () => {
        throw new Error('secret 555')
      },
      delivery: { retryDelaysMs: [0] },
    })
    const lines: string[] = []
    const logger = {
      debug() {},
      info() {},
      warn() {},
      error: (line: string) => void lines.push(line),
    }
    const receiver = build(acme, {
      secret,
      logger,
      clock: manualClock(start),
      on: { '*': () => {} },
    })
    const body = Buffer.from('{}')
    const value = sign(body).slice('sha256='.length)
    for (const [headers, answer] of [
      [{ 'x-acme': value }, '401 rejected RINGHOOK_NOT_AUTHENTIC'],
      [{ 'x-acme': value, 'x-t': '' }, '500 failed RINGHOOK_INTERNAL_ERROR'],
      [{ 'x-acme': value, 'x-t': '' }, '500 failed RINGHOOK_INTERNAL_ERROR'],
    ] as const) {
      expect(seen(await receiver.receive(post(body, { headers })))).toBe(answer)
    }
    expect(lines).toHaveLength(1)
    expect(lines.join()).not.toContain('555')
  })

  it('answers an eventId or a schema that gives a promise with 500, and nothing else comes of it', async () => {
    const later = () => Promise.reject(new Error('boo'))
    const { deliver, outcomes } = endpoint({ eventId: later as never })
    expect(seen(await deliver())).toBe('500 failed RINGHOOK_HANDLER_FAILED')
    expect(String(outcomes[0]?.error)).toContain('eventId returned a promise')
    const schema = endpoint({ events: { 'call.ringing': { safeParse: later } } as never })
    expect(seen(await schema.deliver())).toBe('500 failed RINGHOOK_HANDLER_FAILED')
    expect(String(schema.outcomes[0]?.error)).toContain('safeParse returned a promise')
  })

  it('says in the log and to onOutcome why a delivery is not authentic, and to the sender nothing', async () => {
    const unsigned = { 'x-webhook-signature': undefined }
    const { deliver, outcomes, lines } = endpoint()
    await deliver(event(), { headers: unsigned })
    await deliver(event(), { headers: { 'x-webhook-signature': 'md5=555' } })
    const replies = [await deliver(event(), { headers: { 'x-webhook-signature': sign('other') } })]
    expect(outcomes.map(({ reason }) => reason)).toEqual([
      'it has no x-webhook-signature header',
      'its x-webhook-signature header is not of the form sha256=<64 lower-case hex digits>',
      expect.stringContaining('matches no secret'),
    ])
    expect(lines).toEqual([expect.stringContaining('it has no x-webhook-signature header')])
    expect(replies[0]?.body).toBe('{"outcome":"rejected","code":"RINGHOOK_NOT_AUTHENTIC"}')
  })

  it('refuses to be closed with a time that is none', async () => {
    const { receiver } = endpoint()
    for (const drainMs of [Number.NaN, -1, 'soon' as never]) {
      await expect(receiver.close({ drainMs })).rejects.toMatchObject({
        code: 'RINGHOOK_OPTION_INVALID',
      })
    }
    expect(seen(await endpoint().deliver())).toBe('200 handled')
  })

  it('answers a body that is neither bytes nor a stream at once', async () => {
    for (const body of ['text', { a: 1 }, 5, null, []]) {
      const reply = await endpoint().receiver.receive({ ...post(event()), body: body as never })
      expect(seen(reply)).toBe('500 rejected RINGHOOK_BODY_ALREADY_READ')
    }
  })

  it('gives one of the documented answers to anything that is signed', async () => {
    const { deliver, outcomes } = endpoint({ logger: false })
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc.json().map((json) => Buffer.from(json)),
      fc
        .record(
          {
            id: fc.anything(),
            event: fc.anything(),
            timestamp: fc.anything(),
            data: fc.anything(),
          },
          { requiredKeys: [] },
        )
        .map((body) =>
          Buffer.from(
            JSON.stringify({ ...event(), ...body }, (_, value) =>
              typeof value === 'bigint' ? 0 : value,
            ),
          ),
        ),
    )
    let sent = 0
    await fc.assert(
      fc.asyncProperty(anything, async (body) => {
        const reply = await deliver(body)
        expect(seen(reply)).toMatch(
          /^(200 (handled|duplicate)|400 rejected RINGHOOK_\w+|422 invalid RINGHOOK_EVENT_INVALID)$/,
        )
        expect(outcomes).toHaveLength(++sent)
      }),
      { numRuns: 300, seed: 4 },
    )
  })
})

describe('onOutcome', () => {
  it.each([
    [
      'throws',
      () => {
        throw new Error('secret 555')
      },
    ],
    ['rejects with nothing', () => Promise.reject()],
    ['rejects', () => Promise.reject(new Error('secret 555'))],
    [
      'gives something that pretends to be a promise',
      () =>
        Object.fromEntries([
          [
            'then',
            () => {
              throw new Error('secret 555')
            },
          ],
        ]),
    ],
  ])('changes no answer when it %s', async (_, onOutcome) => {
    const told = vi.fn(onOutcome)
    const { deliver, lines, receiver } = endpoint({ onOutcome: told })
    expect(seen(await deliver())).toBe('200 handled')
    await receiver.idle()
    expect(told).toHaveBeenCalledOnce()
    expect(lines).toEqual([expect.stringMatching(/^error ringhook krosai: onOutcome failed: /)])
    expect(lines.join()).not.toContain('555')
  })

  it('is told the same that the adapter gets', async () => {
    const { deliver, outcomes, clock } = endpoint({ handle: () => clock.sleep(120) })
    const reply = deliver(event({ event: 'call.completed', data: completed }))
    await clock.advance(120)
    expect((await reply).outcome).toBe(outcomes[0])
    expect(outcomes).toEqual([
      {
        outcome: 'handled',
        status: 200,
        provider: 'krosai',
        type: 'call.completed',
        sentAs: 'call.completed',
        eventId: 'evt_1',
        idempotencyKey: 'krosai~evt_1',
        attempt: 1,
        fence: 1,
        durationMs: 120,
      },
    ])
  })
})

describe('receiver.close()', () => {
  it('answers new deliveries 503, lets the handlers that run finish, and says that all are done', async () => {
    const { deliver, receiver, clock, runs } = endpoint({ handle: () => clock.sleep(3_000) })
    const running = deliver()
    await clock.advance(1_000)
    const closing = receiver.close()
    const late = '503 unavailable RINGHOOK_SHUTTING_DOWN retry-after 30'
    expect(seen(await deliver(event({ id: 'evt_2' })))).toBe(late)
    expect(seen(await deliver(event(), { method: 'GET' }))).toBe(late)
    await clock.advance(2_000)
    expect(seen(await running)).toBe('200 handled')
    expect(await closing).toEqual({ drained: true, running: 0 })
    expect(runs[0]?.context.signal.aborted).toBe(false)
    expect(await receiver.close()).toEqual({ drained: true, running: 0 })
  })

  it.each(['reject', 'process'] as const)(
    'aborts the signal of handlers that are still running after drainMs (onStoreError %s)',
    async (onStoreError) => {
      const clock = manualClock(start)
      const memory = memoryStore({ clock })
      const claim = onStoreError === 'reject' ? memory.claim.bind(memory) : () => Promise.reject()
      const { deliver, receiver, runs } = endpoint({
        clock,
        onStoreError,
        store: {
          claim,
          extend: memory.extend.bind(memory),
          complete: memory.complete.bind(memory),
          release: memory.release.bind(memory),
          forget: memory.forget.bind(memory),
          status: memory.status.bind(memory),
        },
        handle: (_event, { signal }) =>
          new Promise((_resolve, reject) =>
            signal.addEventListener('abort', () => reject(signal.reason)),
          ),
      })
      const running = deliver()
      await clock.advance(1)
      const closing = receiver.close({ drainMs: 2_000 })
      await clock.advance(1_999)
      expect(runs[0]?.context.signal.aborted).toBe(false)
      await clock.advance(1)
      expect(await closing).toEqual({ drained: false, running: 1 })
      expect(runs[0]?.context.signal.reason).toMatchObject({ code: 'RINGHOOK_SHUTTING_DOWN' })
      expect(seen(await running)).toBe('500 failed RINGHOOK_HANDLER_FAILED')
      await receiver.idle()
    },
  )

  it('waits for ever when it is told to', async () => {
    const { deliver, receiver, clock } = endpoint({ handle: () => clock.sleep(60_000) })
    const setTimeout = vi.spyOn(clock, 'setTimeout')
    void deliver()
    await clock.advance(1)
    void receiver.close({ drainMs: Number.POSITIVE_INFINITY })
    // More than 2^31 - 1 ms would be one millisecond to Node.
    expect(setTimeout.mock.calls.at(-1)?.[1]).toBe(2 ** 31 - 1)
    await clock.advance(60_000)
    expect(await receiver.close()).toEqual({ drained: true, running: 0 })
  })

  it('runs nothing for a delivery whose secret came after it', async () => {
    const slow = gate<string>()
    const { deliver, receiver, runs, store } = endpoint({ secret: () => slow.opened })
    const reply = deliver()
    void receiver.close()
    slow.open(secret)
    expect(seen(await reply)).toBe('503 unavailable RINGHOOK_SHUTTING_DOWN retry-after 30')
    expect(runs).toEqual([])
    expect(store.claim).not.toHaveBeenCalled()
  })
})

describe('receiver.idle()', () => {
  it('waits for handlers past their deadline too', async () => {
    const { deliver, receiver, clock } = endpoint({ handle: () => clock.sleep(20_000) })
    await receiver.idle()
    void deliver()
    await clock.advance(15_000)
    let isIdle = false
    void receiver.idle().then(() => {
      isIdle = true
    })
    await clock.advance(4_999)
    expect(isIdle).toBe(false)
    await clock.advance(1)
    expect(isIdle).toBe(true)
  })
})

describe('callkaro', () => {
  it('counts the same call from two hooks as one event', async () => {
    const handler = vi.fn()
    const receiver = build(callkaro, {
      allowUnsigned: true,
      on: { call_ended: handler },
      logger: false,
    })
    const { data } = callkaro.events.call_ended.samples['call_ended'] ?? expect.fail()
    const hook = (more: object) =>
      receiver.receive(post({ event: 'call_ended', data: { ...(data as object), ...more } }))
    expect(seen(await hook({}))).toBe('200 handled')
    expect(seen(await hook({ hook: 'agent' }))).toBe('200 duplicate')
    expect(handler).toHaveBeenCalledOnce()
  })
})

const completed = {
  call_id: 'call_1',
  direction: 'inbound',
  from_number: '+14155550100',
  to_number: '+14155550101',
  duration: 180,
  cost_cents: 4,
}
