import { createReceiver, odis, type StoredDelivery } from 'ringhook'
import { deliver as deliverInto } from 'ringhook/testing'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { secret } from '../helpers/deliveries.ts'
import { gate } from '../helpers/endpoint.ts'
import { openEndpoint, signed, until } from './receiver-endpoint.ts'
import type { Place } from './receiver-places.ts'

/** A dead letter runs again, as the event that it is. */
export function replays(open: () => Promise<Place>): void {
  it('replays a dead letter when the handler is mended: the same key and bytes, a higher fence', async () => {
    const { inbox, store, again } = await open()
    const retry = { maxAttempts: 2, initialDelayMs: 1 }
    const fail = () => Promise.reject(new TypeError('not yet'))
    const broken = await openEndpoint({ inbox, store, retry, handle: fail })
    await broken.receiver.start()
    const request = signed('evt_1')
    expect(await broken.deliver(request)).toBe('200 accepted')
    // The outcome is reported first: a close at that moment would give the delivery back.
    await until(async () => (await broken.receiver.inbox.stats()).dead === 1)
    expect(broken.attemptsAt('evt_1')).toEqual(['failed retry', 'failed dead'])
    await broken.close()

    const mended = await openEndpoint({ inbox: await again(), store, retry })
    const desk = mended.receiver.inbox
    const [letter] = await desk.list({ state: 'dead', type: 'call.ringing', since: new Date(0) })
    expect(letter).toMatchObject({
      attempts: 2,
      eventId: 'evt_1',
      failure: { code: 'RINGHOOK_HANDLER_FAILED', reason: expect.stringMatching(/^TypeError at /) },
    })
    const { id } = letter ?? expect.unreachable()
    expect((await desk.get(id))?.rawBody).toEqual(Buffer.from(request.rawBody))
    // The provider's own repeat is none: the letter is kept.
    expect(await mended.deliver(request)).toBe('200 duplicate')

    expect([await desk.replay(id), await desk.replay(id)]).toEqual([1, 0])
    await mended.receiver.start()
    await until(() => mended.attemptsAt('evt_1').length === 1)

    const { context } = mended.runs[0] ?? expect.unreachable()
    expect(mended.attemptsAt('evt_1')).toEqual(['handled completed'])
    expect(context).toMatchObject({ idempotencyKey: id, attempt: 1, fence: 3 })
    expect(broken.runs.map((run) => run.context.fence)).toEqual([1, 2])
    expect(context.rawBody).toEqual(Buffer.from(request.rawBody))
    await until(async () => (await desk.get(id)) === undefined)
  })

  it('replays all that failed a schema which is mended', async () => {
    const { inbox, store, again } = await open()
    const strict = await openEndpoint({ inbox, store })
    await strict.receiver.start()
    for (const id of ['evt_1', 'evt_2']) {
      expect(await strict.deliver(signed(id, 5))).toBe('200 accepted')
    }
    await until(async () => (await strict.receiver.inbox.stats()).dead === 2)
    const letters = await strict.receiver.inbox.list({ state: 'dead' })
    expect(letters.map(({ attempts, failure }) => [attempts, failure?.code])).toEqual([
      [1, 'RINGHOOK_EVENT_INVALID'],
      [1, 'RINGHOOK_EVENT_INVALID'],
    ])
    expect(strict.runs).toEqual([])
    await strict.close()

    const events = { 'call.ringing': z.object({ call_id: z.number() }) }
    const mended = await openEndpoint({ inbox: await again(), store, events })
    await mended.receiver.start()
    expect(await mended.receiver.inbox.replay({ type: 'call.completed' })).toBe(0)
    expect(await mended.receiver.inbox.replay({ type: 'call.ringing' })).toBe(2)
    await until(() => mended.outcomes.length === 2)

    expect(mended.runs.map(({ event }) => event.data)).toEqual([{ call_id: 5 }, { call_id: 5 }])
    expect(mended.runs.map(({ context }) => context.idempotencyKey).sort()).toEqual(
      letters.map(({ id }) => id).sort(),
    )
  })
}

/** What is no use to anybody becomes a dead letter, and the next one runs. */
export function parks(open: () => Promise<Place>): void {
  it('parks what is newer than itself, nobody’s, or without a handler by now, and goes on', async () => {
    const { inbox, store, again } = await open()
    const newer = { ...storedDelivery(), version: 2 } as unknown as StoredDelivery
    await inbox.put(newer, { key: newer.key })
    const other = createReceiver(odis, {
      secret,
      logger: false,
      inbox,
      store,
      on: { '*': () => {} },
    })
    expect((await deliverInto(other, 'call.ended')).outcome).toBe('accepted')
    await other.close()
    const before = await openEndpoint({ inbox, store })
    expect(await before.deliver(signed('evt_1'))).toBe('200 accepted')
    await before.close()

    const started: string[] = []
    const { receiver, deliver, outcomes } = await openEndpoint({
      inbox: await again(),
      store,
      on: { 'call.started': ({ id }) => started.push(id) },
    })
    const desk = receiver.inbox
    await receiver.start()
    expect(await deliver(signed('evt_2', 'call_2', 'call.started'))).toBe('200 accepted')
    await until(async () => (await desk.stats()).dead === 3 && started.length === 1)

    const letters = await desk.list({ state: 'dead' })
    expect(letters.map(({ failure }) => `${failure?.code}: ${failure?.reason}`).sort()).toEqual([
      expect.stringMatching(/^RINGHOOK_DELIVERY_UNREADABLE: .* has version 2, /),
      'RINGHOOK_HANDLER_MISSING: on has no handler for it any more',
      expect.stringMatching(/^RINGHOOK_RECEIVER_MISSING: the worker has no receiver/),
    ])
    expect(letters.map(({ attempts }) => attempts)).toEqual([1, 1, 1])
    expect(outcomes.filter(({ next }) => next === 'dead')).toHaveLength(3)
    await until(async () => (await desk.list()).length === 3)
    for (const { id } of letters) expect(await desk.discard(id)).toBe(true)
    expect(await desk.list()).toEqual([])
  })
}

/** The store knows what has finished, and what runs, whatever an engine hands out again. */
export function runsOnce(open: () => Promise<Place>): void {
  it('does not run what an engine hands out again, neither beside itself nor after it', async () => {
    const { inbox, store, again, loseLease } = await open()
    const { opened, open: finish } = gate()
    // What runs elsewhere is asked for again when its lease would be over.
    const common = { store, leaseMs: 3_000, handle: () => opened }
    const halted = await openEndpoint({ inbox, ...common })
    await halted.receiver.start()
    expect(await halted.deliver(signed('evt_1'))).toBe('200 accepted')
    await until(() => halted.runs.length === 1)
    const other = await openEndpoint({ inbox: await again(), ...common })
    await other.receiver.start()
    const attempts = () => [...halted.attemptsAt('evt_1'), ...other.attemptsAt('evt_1')]

    await loseLease(halted.runs[0]?.context.idempotencyKey ?? '')
    await until(() => attempts().includes('in_flight postponed'))
    finish()
    await until(() => attempts().includes('duplicate completed'))
    await until(async () => (await other.receiver.inbox.list()).length === 0)

    expect(attempts()).toContain('handled completed')
    expect([...halted.runs, ...other.runs]).toHaveLength(1)
  })

  it('does not run what the provider sends again after it has finished', async () => {
    const { inbox, store } = await open()
    const { receiver, runs, deliver, attemptsAt } = await openEndpoint({ inbox, store })
    await receiver.start()
    const request = signed('evt_1')
    expect(await deliver(request)).toBe('200 accepted')
    await until(async () => runs.length === 1 && (await receiver.inbox.list()).length === 0)

    // Most have forgotten it, and then the worker is told that it has finished.
    if ((await deliver(request)) === '200 accepted') {
      await until(() => attemptsAt('evt_1').includes('duplicate completed'))
    }
    await until(async () => (await receiver.inbox.list()).length === 0)
    expect(runs).toHaveLength(1)
  })
}

/** An operator can have a finished event run again, by the provider's own redelivery. */
export function forgets(open: () => Promise<Place>): void {
  it('runs a finished event again that was forgotten, when the provider sends it again', async () => {
    const { inbox, store } = await open()
    const { receiver, runs, deliver } = await openEndpoint({ inbox, store })
    await receiver.start()
    const request = signed('evt_1')
    expect(await deliver(request)).toBe('200 accepted')
    await until(async () => runs.length === 1 && (await receiver.inbox.list()).length === 0)

    expect(await receiver.status('evt_1')).toBe('completed')
    expect(await receiver.forget('evt_1')).toBe('forgotten')
    expect(await receiver.status('evt_1')).toBe('unknown')
    expect(await deliver(request)).toBe('200 accepted')
    await until(() => runs.length === 2)
    expect(runs.map(({ context }) => context.fence)).toEqual([1, 2])
  })
}

/** A delivery as inboxes keep it. */
function storedDelivery(): StoredDelivery {
  return {
    version: 1,
    key: 'f'.repeat(64),
    provider: 'krosai',
    namespace: '',
    type: 'call.ringing',
    sentAs: 'call.ringing',
    eventId: 'evt_0',
    receivedAt: Date.now(),
    headers: {},
    body: '',
  }
}
