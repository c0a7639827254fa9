import { createReceiver, krosai, memoryStore, odis } from 'ringhook'
import { describe, expect, it } from 'vitest'
import { digestKeyMaker, keyMaker } from '../../src/core/event/idempotency.ts'
import { endpoint, event, post, secret, sign } from '../helpers/endpoint.ts'
import { handInbox } from '../helpers/hand-inbox.ts'

const store = memoryStore()
const keyOf = keyMaker('krosai', '')

describe('receiver.receive(), with an inbox', () => {
  it('is answered accepted once it is committed, and its handler has not run', async () => {
    const inbox = handInbox()
    const { deliver, runs, outcomes } = endpoint({ inbox, store })
    const reply = await deliver()

    expect(reply).toMatchObject({ status: 200, body: '{"outcome":"accepted"}' })
    expect(outcomes).toMatchObject([{ outcome: 'accepted', status: 200, type: 'call.ringing' }])
    expect(outcomes[0]?.next).toBeUndefined()
    expect(runs).toEqual([])
    expect(inbox.puts).toHaveLength(1)
  })

  it('is refused, and not enqueued, if the receiver is closed while its event is read', async () => {
    const inbox = handInbox()
    const { deliver, receiver } = endpoint({
      inbox,
      store,
      eventId: ({ id }) => {
        void receiver.close()
        return id
      },
    })

    expect(await deliver()).toMatchObject({ status: 503 })
    expect(inbox.puts).toEqual([])
  })

  it('is kept with its bytes and its headers, and without what authenticates it', async () => {
    const inbox = handInbox()
    const { deliver, clock } = endpoint({ inbox, store, namespace: 'eu' })
    const body = Buffer.from(JSON.stringify(event()).replace('{', '{ '))
    const headers = {
      authorization: 'Bearer abc',
      cookie: 'session=1',
      'x-original-url': '/hooks?token=abc',
      'x-forwarded-uri': '/hooks?token=abc',
      'content-length': '5',
      'x-request-id': 'r1',
      'x-webhook-list': ['a', 'b'],
      'x-webhook-nothing': undefined,
      'x-webhook-zero': 'a\0b',
      'x-webhook-signature': sign(body),
    }
    await deliver(body, { headers })

    const key = keyMaker('krosai', 'eu')('evt_1')
    expect(inbox.puts[0]).toEqual({
      delivery: {
        version: 1,
        key,
        provider: 'krosai',
        namespace: 'eu',
        type: 'call.ringing',
        sentAs: 'call.ringing',
        eventId: 'evt_1',
        receivedAt: clock.now(),
        headers: {
          'x-request-id': 'r1',
          'x-webhook-list': ['a', 'b'],
          'x-webhook-zero': 'a\ufffdb',
        },
        body: body.toString('base64'),
      },
      options: {
        key,
        order: { key: digestKeyMaker('krosai', 'eu')('call_1'), maxHoldMs: 300_000 },
      },
    })
  })

  it('is a duplicate when it comes again', async () => {
    const { deliver } = endpoint({ inbox: handInbox(), store })
    await deliver()

    expect((await deliver()).body).toBe('{"outcome":"duplicate"}')
  })

  it('is put once more when the inbox fails, and answered 503 when it fails again', async () => {
    let puts = 0
    const failing = handInbox({
      put: async () => {
        puts++
        throw new Error('password=hunter2')
      },
    })
    const { deliver, lines, outcomes } = endpoint({ inbox: failing, store })
    const reply = await deliver()

    expect(puts).toBe(2)
    expect(reply).toMatchObject({
      status: 503,
      body: '{"outcome":"unavailable","code":"RINGHOOK_INBOX_UNAVAILABLE"}',
      headers: { 'retry-after': '30' },
    })
    expect(outcomes).toMatchObject([
      { outcome: 'unavailable', error: new Error('password=hunter2') },
    ])
    expect(lines.join()).toContain('error ringhook krosai: call.ringing evt_1 answered 503')
    expect(lines.join()).not.toContain('hunter2')
  })

  it('is answered 503 by its deadline when the inbox is silent', async () => {
    const silent = handInbox({ put: () => new Promise(() => {}) })
    const { deliver, clock } = endpoint({ inbox: silent, store })
    const reply = deliver()
    await clock.advance(10_000)

    expect(await reply).toMatchObject({
      status: 503,
      body: '{"outcome":"unavailable","code":"RINGHOOK_INBOX_UNAVAILABLE"}',
    })
  })

  it('is answered 503 when the inbox answers nonsense', async () => {
    const strange = handInbox({ put: async () => 'yes' as 'accepted' })
    expect((await endpoint({ inbox: strange, store }).deliver()).status).toBe(503)
  })

  it('is not put when nobody handles it, when it is not authentic, or after close', async () => {
    const inbox = handInbox()
    const { deliver, receiver } = endpoint({ inbox, store, on: { 'call.completed': () => {} } })

    expect((await deliver()).body).toBe('{"outcome":"ignored"}')
    const forged = { headers: { 'x-webhook-signature': sign('else') } }
    expect((await deliver(event(), forged)).status).toBe(401)
    await receiver.close()
    expect((await deliver(event({ event: 'call.completed' }))).status).toBe(503)
    expect(inbox.puts).toEqual([])
  })

  it('is put when its data fails its schema, unless such are to be refused', async () => {
    const inbox = handInbox()
    const invalid = event({ data: {} })

    const kept = endpoint({ inbox, store })
    expect(await kept.deliver(invalid)).toMatchObject({ body: '{"outcome":"accepted"}' })
    expect(inbox.puts[0]?.options.key).toBe(keyOf('evt_1'))
    await kept.receiver.close()

    const { deliver } = endpoint({ inbox, store, invalidEvents: 'reject' })
    expect((await deliver(invalid)).status).toBe(422)
    expect(inbox.puts).toHaveLength(1)
  })

  it("is put under its bytes when its data fails its schema and the ids are the user's", async () => {
    const inbox = handInbox()
    const { deliver } = endpoint({ inbox, store, eventId: () => 'own' })
    for (const n of [1, 2]) expect((await deliver(event({ data: { n } }))).status).toBe(200)

    // The provider's id, which they have in common, is not what tells them apart.
    expect(new Set(inbox.puts.map(({ options }) => options.key)).size).toBe(2)
  })

  it('is not put when eventId fails: under which key is not known', async () => {
    const inbox = handInbox()
    const fails = () => {
      throw new Error('no id')
    }
    const { deliver } = endpoint({ inbox, store, eventId: fails })

    expect((await deliver()).status).toBe(500)
    expect(inbox.puts).toEqual([])
  })

  it('is put once for CallKaro and ODIS too, in the order of its call', async () => {
    const inbox = handInbox()
    const receiver = createReceiver(odis, { secret, inbox, store, on: { '*': () => {} } })
    const body = {
      event: 'call.completed',
      timestamp: new Date().toISOString(),
      data: { call_id: 'call_abc123' },
    }
    const bytes = Buffer.from(JSON.stringify(body))
    await receiver.receive(post(bytes, { headers: { 'x-odis-signature': sign(bytes) } }))

    expect(inbox.puts[0]?.options.order?.key).toBe(digestKeyMaker('odis', '')('call_abc123'))
  })
})

describe('orderingKey', () => {
  it.each([
    ['false', false, undefined],
    ['nothing', (): undefined => undefined, undefined],
    ['empty text', (): string => '', undefined],
    ['a text', (): string => 'agent 7', keyOf('agent 7')],
  ] as const)('gives %s', async (_, orderingKey, key) => {
    const inbox = handInbox()
    const hold = orderingKey === false ? {} : { maxHoldMs: 5 }
    await endpoint({ inbox, store, orderingKey, ...hold }).deliver()

    const order = key === undefined ? undefined : { key, maxHoldMs: 5 }
    expect(inbox.puts[0]?.options).toEqual({
      key: keyOf('evt_1'),
      ...(order !== undefined && { order }),
    })
  })

  it('is asked for valid events only, and answered 500 when it throws', async () => {
    const inbox = handInbox()
    const orderingKey = () => {
      throw new Error('no')
    }
    const { deliver } = endpoint({ inbox, store, orderingKey })

    expect((await deliver(event({ data: {} }))).status).toBe(200)
    expect((await deliver(event({ id: 'evt_2' }))).status).toBe(500)
  })

  it('is not used by an inbox that keeps no order', async () => {
    const inbox = handInbox({ keepsOrder: false })
    await endpoint({ inbox, store }).deliver()

    expect(inbox.puts[0]?.options).toEqual({ key: keyOf('evt_1') })
  })
})

describe('createReceiver(), with an inbox', () => {
  it.each([
    [
      'an inbox without a store',
      { inbox: handInbox(), store: undefined },
      'RINGHOOK_STORE_MISSING',
    ],
    ['an inbox that is none', { inbox: {}, store }, 'RINGHOOK_INBOX_INVALID'],
    ['retry without an inbox', { retry: {} }, 'RINGHOOK_OPTION_INVALID'],
    ['orderingKey without an inbox', { orderingKey: false }, 'RINGHOOK_OPTION_INVALID'],
    ['maxHoldMs without an inbox', { maxHoldMs: 5 }, 'RINGHOOK_OPTION_INVALID'],
    [
      'orderingKey where no order is kept',
      { inbox: handInbox({ keepsOrder: false }), store, orderingKey: () => 'x' },
      'RINGHOOK_ORDER_NOT_KEPT',
    ],
    [
      'maxHoldMs where no order is kept',
      { inbox: handInbox({ keepsOrder: false }), store, maxHoldMs: 5 },
      'RINGHOOK_ORDER_NOT_KEPT',
    ],
    [
      'maxHoldMs where order is turned off',
      { inbox: handInbox(), store, orderingKey: false, maxHoldMs: 5 },
      'RINGHOOK_OPTION_INVALID',
    ],
    [
      'an orderingKey that is none',
      { inbox: handInbox(), store, orderingKey: 'x' },
      'RINGHOOK_OPTION_INVALID',
    ],
    ['a retry that is none', { inbox: handInbox(), store, retry: 5 }, 'RINGHOOK_OPTION_INVALID'],
    [
      '0 attempts',
      { inbox: handInbox(), store, retry: { maxAttempts: 0 } },
      'RINGHOOK_OPTION_INVALID',
    ],
    [
      'a misspelt retry',
      { inbox: handInbox(), store, retry: { attempt: 1 } },
      'RINGHOOK_OPTION_INVALID',
    ],
    [
      'retry.on for a key that on has not',
      { inbox: handInbox(), store, retry: { on: { 'call.ringin': { maxAttempts: 2 } } } },
      'RINGHOOK_OPTION_INVALID',
    ],
  ])('refuse %s', (_, options, code) => {
    const make = () =>
      createReceiver(krosai, { secret, on: { 'call.ringing': () => {} }, ...(options as object) })
    expect(make).toThrow(code)
  })

  it('accept no order where none is kept', () => {
    endpoint({ inbox: handInbox({ keepsOrder: false }), store, orderingKey: false })
  })
})
