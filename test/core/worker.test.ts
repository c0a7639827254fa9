import { AsyncLocalStorage } from 'node:async_hooks'
import { createReceiver, createWorker, memoryStore, odis, type WorkerOptions } from 'ringhook'
import { deliver as deliverInto } from 'ringhook/testing'
import { describe, expect, it } from 'vitest'
import { secret } from '../helpers/deliveries.ts'
import { codeOf, endpoint, event, gate, seen } from '../helpers/endpoint.ts'
import { handInbox } from '../helpers/hand-inbox.ts'

/** Two receivers that share an inbox. */
function shared(options: Parameters<typeof endpoint>[0] = {}) {
  const inbox = handInbox()
  const eu = endpoint({ inbox, store: memoryStore(), namespace: 'eu', ...options })
  const { clock } = eu
  const us = endpoint({ inbox, store: memoryStore(), namespace: 'us', clock })
  const receivers = [eu.receiver, us.receiver]
  return { inbox, eu, us, clock, receivers }
}

describe('createWorker()', () => {
  it('runs the deliveries of each receiver with its own handlers', async () => {
    const { inbox, eu, us, receivers } = shared()
    const visits: string[] = []
    const other = createReceiver(odis, {
      secret,
      inbox,
      store: memoryStore(),
      logger: false,
      on: { 'call.ended': ({ type }) => visits.push(type) },
    })
    const worker = createWorker({ inbox, receivers: [...receivers, other], concurrency: 3 })
    await worker.start()
    expect(inbox.worker?.concurrency).toBe(3)

    await us.deliver()
    expect(await inbox.hand()).toEqual({ state: 'completed' })
    await eu.deliver()
    await eu.deliver(event({ id: 'evt_2' }))
    expect(await inbox.hand()).toEqual({ state: 'completed' })
    await deliverInto(other, 'call.ended')
    expect(await inbox.hand()).toEqual({ state: 'completed' })
    expect([eu.runs.length, us.runs.length, visits]).toEqual([1, 1, ['call.ended']])
  })

  it('starts the inbox once, and at ten deliveries at a time if not told otherwise', async () => {
    const { inbox, receivers } = shared()
    const worker = createWorker({ inbox, receivers })
    await Promise.all([worker.start(), worker.start()])
    expect(inbox.calls).toEqual(['start'])
    expect(inbox.worker?.concurrency).toBe(10)
  })

  it('runs all handlers in the async context that start() was called in', async () => {
    const contexts = new AsyncLocalStorage<string>()
    const seenIn: (string | undefined)[] = []
    const { inbox, eu, us, receivers } = shared({ handle: () => seenIn.push(contexts.getStore()) })
    const worker = createWorker({ inbox, receivers })
    await contexts.run('worker', () => worker.start())
    await contexts.run('request', async () => {
      await eu.deliver()
      await inbox.hand()
      await us.deliver()
      await inbox.hand()
    })
    expect(seenIn).toEqual(['worker'])
    expect(us.runs).toHaveLength(1)
  })

  it.each<[string, (correct: WorkerOptions) => unknown, string]>([
    ['no options', () => undefined, 'RINGHOOK_OPTION_INVALID'],
    ['a misspelt option', (correct) => ({ ...correct, concurency: 1 }), 'RINGHOOK_OPTION_INVALID'],
    [
      'a concurrency of 0',
      (correct) => ({ ...correct, concurrency: 0 }),
      'RINGHOOK_OPTION_INVALID',
    ],
    ['no inbox', ({ receivers }) => ({ receivers }), 'RINGHOOK_INBOX_INVALID'],
    ['another inbox', (correct) => ({ ...correct, inbox: handInbox() }), 'RINGHOOK_OPTION_INVALID'],
    ['no receivers', ({ inbox }) => ({ inbox }), 'RINGHOOK_OPTION_INVALID'],
    ['an empty list', ({ inbox }) => ({ inbox, receivers: [] }), 'RINGHOOK_OPTION_INVALID'],
    [
      'a receiver twice',
      ({ inbox, receivers: [one] }) => ({ inbox, receivers: [one, one] }),
      'RINGHOOK_OPTION_INVALID',
    ],
    [
      'something other than a receiver',
      ({ inbox }) => ({ inbox, receivers: [{}] }),
      'RINGHOOK_RECEIVER_INVALID',
    ],
    [
      'a receiver without an inbox',
      ({ inbox }) => ({ inbox, receivers: [endpoint().receiver] }),
      'RINGHOOK_INBOX_MISSING',
    ],
  ])('refuses %s', (_, wrong, code) => {
    const { inbox, receivers } = shared()
    expect(codeOf(() => createWorker(wrong({ inbox, receivers }) as WorkerOptions))).toBe(code)
  })
})

describe('receivers that share an inbox', () => {
  const code = 'RINGHOOK_INBOX_SHARED'
  const remedy = 'one worker for them: createWorker({ inbox, receivers: [a, b] })'

  it('cannot start a worker that lacks one of them', async () => {
    const { inbox, eu, us } = shared()
    await expect(eu.receiver.start()).rejects.toMatchObject({
      code,
      message: expect.stringContaining(remedy),
    })
    const worker = createWorker({ inbox, receivers: [us.receiver] })
    await expect(worker.start()).rejects.toThrow('krosai (namespace "eu") shares this inbox')
    expect(inbox.calls).toEqual([])

    await eu.receiver.close()
    await worker.start()
    expect(inbox.calls).toEqual(['start'])
  })

  it('have one worker at a time', async () => {
    const { inbox, eu, receivers } = shared()
    await createWorker({ inbox, receivers }).start()
    const second = createWorker({ inbox, receivers })
    await expect(second.start()).rejects.toMatchObject({ code })
    await expect(eu.receiver.start()).rejects.toMatchObject({ code })
    expect(inbox.calls).toEqual(['start'])
  })

  it('cannot be joined by another one while their worker runs', async () => {
    const { inbox, receivers } = shared()
    const worker = createWorker({ inbox, receivers })
    await worker.start()
    const another = () => endpoint({ inbox, store: memoryStore(), namespace: 'asia' }).receiver
    expect(another).toThrow(code)
    await worker.close()
    await createWorker({ inbox, receivers: [...receivers, another()] }).start()
  })

  it('close their worker with the first of them', async () => {
    const { inbox, eu, us, receivers } = shared()
    await createWorker({ inbox, receivers }).start()
    await us.receiver.close({ drainMs: 5_000 })
    expect(inbox.calls).toEqual(['start', 'stop 5000'])
    expect(seen(await eu.deliver())).toBe('200 accepted')
    expect(seen(await us.deliver())).toBe('503 unavailable RINGHOOK_SHUTTING_DOWN retry-after 30')
    await eu.receiver.close()
    expect(inbox.calls).toHaveLength(2)
  })

  it('are refused when their deliveries could not be told apart, until the first is closed', async () => {
    const { inbox, eu } = shared()
    const again = () => endpoint({ inbox, store: memoryStore(), namespace: 'eu' })
    expect(again).toThrow('RINGHOOK_INBOX_INVALID')
    await eu.receiver.close()
    again()
  })
})

describe('worker.close()', () => {
  it('lets running handlers finish, and leaves the receivers open', async () => {
    const { opened, open } = gate()
    const { inbox, eu, receivers } = shared({ handle: () => opened })
    const worker = createWorker({ inbox, receivers })
    await worker.start()
    await eu.deliver()
    const result = inbox.hand()
    const closing = worker.close({ drainMs: 1_000 })
    open()
    expect(await result).toEqual({ state: 'completed' })
    expect(await closing).toEqual({ drained: true, running: 0 })
    expect(inbox.calls).toEqual(['start', 'stop 1000'])
    expect(seen(await eu.deliver(event({ id: 'evt_2' })))).toBe('200 accepted')
  })

  it('tells handlers to stop after drainMs, and gives back what they did not do', async () => {
    const failing = gate()
    const { inbox, eu, us, clock, receivers } = shared({ handle: () => failing.opened })
    const worker = createWorker({ inbox, receivers })
    await worker.start()
    await eu.deliver()
    const result = inbox.hand(15)
    const closing = worker.close({ drainMs: 1_000 })
    await clock.advance(999)
    const { signal } = eu.runs[0]?.context ?? expect.unreachable()
    expect(signal.aborted).toBe(false)
    await clock.advance(1)
    expect(signal.reason).toMatchObject({ code: 'RINGHOOK_SHUTTING_DOWN' })
    expect(await closing).toEqual({ drained: false, running: 1 })

    failing.fail(new Error('stopped'))
    expect(await result).toEqual({ state: 'postponed', delayMs: 0 })
    expect(eu.outcomes.at(-1)).toMatchObject({ outcome: 'failed', next: 'postponed' })
    // What the inbox hands out even so goes back without having run.
    await us.deliver()
    expect(await inbox.hand()).toEqual({ state: 'postponed', delayMs: 0 })
    expect(us.runs).toEqual([])
  })

  it('can be called again to end the wait', async () => {
    const { inbox, eu, clock, receivers } = shared({ handle: () => new Promise(() => {}) })
    const worker = createWorker({ inbox, receivers })
    await worker.start()
    await eu.deliver()
    void inbox.hand()
    const closing = worker.close({ drainMs: 60_000 })
    const again = worker.close({ drainMs: 0 })
    await clock.advance(0)
    const report = { drained: false, running: 1 }
    expect(await Promise.all([closing, again])).toEqual([report, report])
    expect(inbox.calls).toEqual(['start', 'stop 60000'])
  })

  it('makes room for a new worker, which begins once the old one has stopped', async () => {
    const stopped = gate()
    const inbox = handInbox({ stop: () => stopped.opened })
    const { receiver, deliver, runs } = endpoint({ inbox, store: memoryStore() })
    const worker = createWorker({ inbox, receivers: [receiver] })
    await worker.start()
    const closing = worker.close()
    await expect(worker.start()).rejects.toMatchObject({ code: 'RINGHOOK_SHUTTING_DOWN' })
    const starting = receiver.start()
    await new Promise((resolve) => setImmediate(resolve))
    expect(inbox.calls).toEqual(['start'])

    stopped.open()
    await Promise.all([closing, starting])
    expect(inbox.calls).toEqual(['start', 'start'])
    await deliver()
    expect(await inbox.hand()).toEqual({ state: 'completed' })
    expect(runs).toHaveLength(1)
  })

  it('never touches an inbox that was not started, and refuses what it does not know', async () => {
    const { inbox, receivers } = shared()
    const worker = createWorker({ inbox, receivers })
    await expect(worker.close({ acceptForMs: 1 } as object)).rejects.toMatchObject({
      code: 'RINGHOOK_OPTION_INVALID',
      message: expect.stringContaining('worker.close()'),
    })
    expect(await worker.close()).toEqual({ drained: true, running: 0 })
    expect(inbox.calls).toEqual([])
  })

  it('is final for a worker whose receiver was closed before it began', async () => {
    const { inbox, eu, receivers } = shared()
    const worker = createWorker({ inbox, receivers })
    await eu.receiver.close()
    await expect(worker.start()).rejects.toMatchObject({ code: 'RINGHOOK_SHUTTING_DOWN' })
    expect(inbox.calls).toEqual([])
  })
})
