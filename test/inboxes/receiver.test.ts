import { createReceiver, krosai } from 'ringhook'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { secret } from '../helpers/deliveries.ts'
import { codeOf, gate } from '../helpers/endpoint.ts'
import { describeOn } from '../helpers/servers.ts'
import { runsInItsContext } from './receiver-contexts.ts'
import { openEndpoint, signed, until } from './receiver-endpoint.ts'
import {
  bullmqPlaces,
  type FarPlace,
  type Place,
  pgBossPlaces,
  sqlitePlace,
  type WritingPlace,
} from './receiver-places.ts'
import { forgets, parks, replays, runsOnce } from './receiver-rules.ts'
import { separatesTenants } from './receiver-tenants.ts'

// For a machine that is busy. Nothing here takes longer than some seconds.
vi.setConfig({ testTimeout: 60_000 })

describe('a receiver with sqliteInbox and sqliteStore', () => {
  replays(sqlitePlace)
  parks(sqlitePlace)
  runsOnce(sqlitePlace)
  forgets(sqlitePlace)
  separatesTenants(sqlitePlace)
  runsInItsContext(sqlitePlace)
  keepsOrder(sqlitePlace)
  completes(sqlitePlace)

  it('answers 503 while the disk is full, and takes the delivery when there is room', async () => {
    const { database, inbox, store } = await sqlitePlace()
    const { receiver, runs, deliver } = await openEndpoint({ inbox, store })
    database.pragma(`max_page_count = ${database.pragma('page_count', { simple: true })}`)
    const large = signed('evt_1', 'a'.repeat(100_000))

    expect(await deliver(large)).toBe('503 unavailable RINGHOOK_INBOX_UNAVAILABLE')
    expect(await receiver.inbox.list()).toEqual([])

    database.pragma('max_page_count = 100000')
    expect(await deliver(large)).toBe('200 accepted')
    await receiver.start()
    await until(() => runs.length === 1)
  })
})

describeOn('redis', 'a receiver with bullmqInbox and redisStore', (url) => {
  const { open, openFar } = bullmqPlaces(url)
  replays(open)
  parks(open)
  runsOnce(open)
  forgets(open)
  separatesTenants(open)
  runsInItsContext(open)
  answersWithout(openFar)

  it('is refused when it asks for an order', async () => {
    const { inbox, store } = await open()
    const build = (asked: object) =>
      createReceiver(krosai, { secret, inbox, store, logger: false, ...asked })

    expect(codeOf(() => build({ orderingKey: () => 'a' }))).toBe('RINGHOOK_ORDER_NOT_KEPT')
    expect(codeOf(() => build({ maxHoldMs: 1_000 }))).toBe('RINGHOOK_ORDER_NOT_KEPT')
    expect(codeOf(() => build({ orderingKey: false }))).toBeUndefined()
  })
})

describeOn('postgres', 'a receiver with pgBossInbox and postgresStore', (url) => {
  const { open, openFar } = pgBossPlaces(url)
  replays(open)
  parks(open)
  runsOnce(open)
  forgets(open)
  separatesTenants(open)
  runsInItsContext(open)
  keepsOrder(open)
  completes(open)
  answersWithout(openFar)
})

function keepsOrder(open: () => Promise<Place>): void {
  it('runs the events of a call one after another, and holds back no other call', async () => {
    const { inbox, store } = await open()
    const begun: string[] = []
    let isHeldUp = true
    const { receiver, runs, deliver } = await openEndpoint({
      inbox,
      store,
      retry: { maxAttempts: 100, initialDelayMs: 1, maxDelayMs: 10 },
      handle: ({ id }) => {
        begun.push(id)
        if (id === 'other') isHeldUp = false
        if (id === 'first' && isHeldUp) throw new Error('not before the other call')
      },
    })
    for (const [id, call] of [
      ['first', 'a'],
      ['second', 'a'],
      ['third', 'a'],
    ] as const) {
      expect(await deliver(signed(id, call))).toBe('200 accepted')
    }
    await receiver.start()
    await until(() => runs.length > 1)
    expect(await deliver(signed('other', 'b'))).toBe('200 accepted')
    await until(() => begun.includes('third') && begun.includes('other'))

    const events = begun.filter((id) => id !== 'other')
    expect(events.slice(events.lastIndexOf('first'))).toEqual(['first', 'second', 'third'])
    expect(begun.indexOf('other')).toBeLessThan(begun.indexOf('second'))
  })

  it('holds a call back for maxHoldMs at most, and not at all without orderingKey', async () => {
    const fail = ({ id }: { readonly id: string }) => {
      if (id === 'first') throw new Error('not this one')
    }
    const retry = { initialDelayMs: 600_000 }
    const orders = [{ maxHoldMs: 1 }, { orderingKey: false }, { maxHoldMs: 600_000 }] as const
    const places = await Promise.all(orders.map(open))
    const endpoints = await Promise.all(
      orders.map((order, index) => {
        const { inbox, store } = places[index] ?? expect.unreachable()
        return openEndpoint({ inbox, store, retry, namespace: `${index}`, ...order, handle: fail })
      }),
    )
    for (const { receiver, deliver, attemptsAt } of endpoints) {
      for (const id of ['first', 'second']) await deliver(signed(id, 'a'))
      await receiver.start()
      await until(() => attemptsAt('first').includes('failed retry'))
    }
    const [short, unordered, long] = endpoints
    await until(() => short?.attemptsAt('second').includes('handled completed') === true)
    await until(() => unordered?.attemptsAt('second').includes('handled completed') === true)

    // One of another call, which came later, runs; it does not.
    await long?.deliver(signed('third', 'b'))
    await until(() => long?.attemptsAt('third').includes('handled completed') === true)
    expect(long?.attemptsAt('second')).toEqual([])
    await until(async () => (await long?.receiver.inbox.stats())?.running === 0)
    expect(await long?.receiver.inbox.stats()).toMatchObject({ waiting: 1, delayed: 1, dead: 0 })
  })
}

function completes(open: () => Promise<WritingPlace>): void {
  it('commits the write, the mark and the end of the delivery together', async () => {
    const { inbox, store, again, write, lines } = await open()
    const { opened, open: finish } = gate()
    onTestFinished(() => finish())
    const { receiver, runs, deliver, attemptsAt } = await openEndpoint({
      inbox,
      store,
      handle: async ({ id }, context) => {
        await write(id, context)
        await opened
      },
    })
    await receiver.start()
    expect(await deliver(signed('evt_1'))).toBe('200 accepted')
    await until(async () => (await lines()).length === 1)

    // The handler has not returned: what is there by now would be there after a crash.
    const key = runs[0]?.context.idempotencyKey ?? ''
    expect(await (await again()).entry(key)).toBeUndefined()
    const claim = { owner: 'another', leaseMs: 30_000, fingerprint: '' }
    expect(await store.claim(key, claim)).toMatchObject({ state: 'completed' })
    expect(attemptsAt('evt_1')).toEqual([])

    finish()
    await until(() => attemptsAt('evt_1').length === 1)
    expect(attemptsAt('evt_1')).toEqual(['handled completed'])
    expect(await lines()).toEqual(['evt_1'])
  })

  it('rolls back the write, the mark and the end of the delivery together', async () => {
    const { inbox, store, write, lines } = await open()
    let end: 'commit' | 'rollback' = 'rollback'
    const { receiver, runs, deliver, attemptsAt } = await openEndpoint({
      inbox,
      store,
      retry: { maxAttempts: 1 },
      handle: ({ id }, context) => write(id, context, end),
    })
    await receiver.start()
    await deliver(signed('evt_1'))
    await until(async () => (await receiver.inbox.stats()).dead === 1)
    expect(attemptsAt('evt_1')).toEqual(['failed dead'])
    expect(await lines()).toEqual([])

    // It is there to be replayed, and not known as finished.
    end = 'commit'
    expect(await receiver.inbox.replay({})).toBe(1)
    await until(() => attemptsAt('evt_1').length === 2)
    expect(attemptsAt('evt_1')).toEqual(['failed dead', 'handled completed'])
    expect(runs.map(({ context }) => context.fence)).toEqual([1, 2])
    expect(await lines()).toEqual(['evt_1'])
  })
}

function answersWithout(open: () => Promise<FarPlace>): void {
  it('answers 503 while its server is away, and takes the delivery when it is back', async () => {
    const { inbox, store, cut, restore } = await open()
    // Not the deadline is what ends it.
    const { runs, receiver, deliver } = await openEndpoint({ inbox, store, ackDeadlineMs: 300_000 })
    expect(await deliver(signed('evt_1'))).toBe('200 accepted')

    await cut()
    expect(await deliver(signed('evt_2'))).toBe('503 unavailable RINGHOOK_INBOX_UNAVAILABLE')
    await restore()
    await until(async () => (await deliver(signed('evt_2'))).startsWith('200'))
    await receiver.start()
    await until(() => runs.length === 2)

    expect(runs.map(({ event }) => event.id).sort()).toEqual(['evt_1', 'evt_2'])
  })

  it('answers 503 by its deadline while its server is silent, and runs once what comes again', async () => {
    const { inbox, store, silence } = await open()
    const { runs, receiver, deliver } = await openEndpoint({ inbox, store, ackDeadlineMs: 300 })
    const speak = await silence()
    const answer = await deliver(signed('evt_1')).finally(speak)

    expect(answer).toBe('503 unavailable RINGHOOK_INBOX_UNAVAILABLE')
    await until(async () => (await deliver(signed('evt_1'))).startsWith('200'))
    await receiver.start()
    await until(async () => runs.length > 0 && (await receiver.inbox.list()).length === 0)
    expect(runs).toHaveLength(1)
  })
}
