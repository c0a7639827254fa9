import { Queue, QueueEvents, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import { createClient } from 'redis'
import type { AttemptResult, Failure, StoredDelivery } from 'ringhook'
import { type BullmqQueue, type BullmqWorkerSettings, bullmqInbox } from 'ringhook/inboxes/bullmq'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { codeOf } from '../helpers/endpoint.ts'
import { describeOn } from '../helpers/servers.ts'
import {
  jobKeyOf,
  newPlace,
  type Opened,
  openInbox,
  quick,
  removeQueue,
  withRaw,
} from './bullmq-queues.ts'

const failure: Failure = {
  code: 'RINGHOOK_HANDLER_FAILED',
  reason: 'it threw',
  at: 1_760_000_000_123,
}
const dead: AttemptResult = { state: 'dead', failure }

describeOn('redis', 'bullmqInbox', (url) => {
  const all: Opened[] = []
  afterEach(async () => {
    for (const { inbox, queue, place } of all.splice(0)) {
      await inbox.stop({ drainMs: 0 })
      await queue.close()
      await removeQueue(place)
    }
  })

  function open(settings?: BullmqWorkerSettings): Opened {
    const opened = openInbox(newPlace(url), settings)
    all.push(opened)
    return opened
  }

  /** Opens an inbox on a queue with a connection of a test's own. */
  function openOn(connection: object): Opened {
    const place = newPlace(url)
    const queue = new Queue(place.name, { connection, prefix: place.prefix })
    const opened = { place, queue, tag: '', inbox: bullmqInbox(queue, { Worker, worker: quick }) }
    all.push(opened)
    return opened
  }

  describe('a delivery', () => {
    it('is a job with the name of its event, which nobody counts the attempts of', async () => {
      const { inbox, queue } = open()
      const delivery = newDelivery('call.completed')
      await inbox.put(delivery, { key: delivery.key })

      const job = await queue.getJob(`ringhook-${delivery.key}`)
      expect(job).toMatchObject({ name: 'call.completed', data: delivery })
      expect(job?.timestamp).toBe(delivery.receivedAt)
      expect(job?.opts).toMatchObject({ removeOnComplete: true, removeOnFail: false })
    })

    it('leaves nothing behind when it is done or discarded', async () => {
      const opened = open()
      const { inbox, queue } = opened
      const [one, other] = [newDelivery(), newDelivery()]
      await inbox.put(one, { key: one.key })
      await run(opened, { state: 'completed' })
      await inbox.stop()
      await inbox.put(other, { key: other.key })
      await inbox.discard(other.key)

      const left = await withRaw(url, (raw) => raw.keys(`${queue.toKey('ringhook-')}*`))
      expect(left).toEqual([])
    })

    it('leaves a line in the log of its job for each copy, and not without end', async () => {
      const { inbox, queue } = open()
      const delivery = newDelivery()
      for (let copy = 0; copy < 3; copy++) await inbox.put(delivery, { key: delivery.key })
      const { logs } = await queue.getJobLogs(`ringhook-${delivery.key}`)
      expect(logs).toEqual(['received', 'received', 'received'])

      const copies = Array.from({ length: 100 }, () => inbox.put(delivery, { key: delivery.key }))
      expect(new Set(await Promise.all(copies))).toEqual(new Set(['duplicate']))
      await inbox.put(delivery, { key: delivery.key })
      expect((await queue.getJobLogs(`ringhook-${delivery.key}`)).count).toBe(20)
    })
  })

  describe('a dead letter', () => {
    it('is a failed job, with why in words and no stack', async () => {
      const opened = open()
      const delivery = newDelivery()
      await opened.inbox.put(delivery, { key: delivery.key })
      await run(opened, dead)

      const [job] = await opened.queue.getFailed()
      expect(job?.failedReason).toBe('RINGHOOK_HANDLER_FAILED: it threw (2025-10-09T08:53:20.123Z)')
      expect(job?.stacktrace).toEqual([])
    })

    it('that somebody retries in a dashboard runs again, and its attempts go on', async () => {
      const opened = open()
      const delivery = newDelivery()
      await opened.inbox.put(delivery, { key: delivery.key })
      const numbers = await run(opened, dead)
      const [job] = await opened.queue.getFailed()
      await job?.retry()

      await vi.waitFor(() => expect(numbers).toEqual([1, 2]), 10_000)
    })

    it('that BullMQ gave up has its words as the reason', async () => {
      const opened = open()
      const delivery = newDelivery()
      await opened.inbox.put(delivery, { key: delivery.key })
      await withRaw(url, (raw) =>
        raw.hset(jobKeyOf(opened, delivery.key), 'defa', 'given up by somebody'),
      )
      await run(opened, dead)

      const entry = await opened.inbox.entry(delivery.key)
      expect(entry?.failure).toMatchObject({
        code: 'RINGHOOK_INTERNAL_ERROR',
        reason: 'given up by somebody',
      })
      expect(entry?.failure?.at).toBeGreaterThan(0)
    })
  })

  describe('in a queue that others use', () => {
    it('gives their jobs to process, and lists and discards them by their ids', async () => {
      const opened = open()
      const job = await opened.queue.add('theirs', { hello: 'world' })
      const found: unknown[] = []
      await opened.inbox.start(
        async (delivery, { id, number }) => {
          found.push([delivery, id, number])
          return dead
        },
        { concurrency: 1, onError: fail },
      )
      const jobId = String(job.id)
      await vi.waitFor(
        async () => expect((await opened.inbox.entry(jobId))?.state).toBe('dead'),
        10_000,
      )

      expect(found).toEqual([[{ hello: 'world' }, jobId, 1]])
      expect(await listOf(opened)).toEqual([
        { id: jobId, state: 'dead', attempts: 1, failure, delivery: { hello: 'world' } },
      ])
      expect(await opened.inbox.replay(jobId)).toBe(true)
      await vi.waitFor(async () => expect(found).toHaveLength(2), 10_000)
      await opened.inbox.stop({ drainMs: 10_000 })
      expect(await opened.inbox.discard(jobId)).toBe(true)
      // The name of a list of the queue's is no id.
      for (const name of ['wait', 'failed', 'meta']) {
        expect(await opened.inbox.entry(name)).toBeUndefined()
        expect(await opened.inbox.discard(name)).toBe(false)
      }
    })

    it('keeps what is put while the queue is paused', async () => {
      const opened = open()
      await opened.queue.pause()
      const delivery = newDelivery()
      await opened.inbox.put(delivery, { key: delivery.key })
      expect(await opened.inbox.stats()).toMatchObject({ waiting: 1, oldest: delivery.receivedAt })

      await opened.queue.resume()
      await run(opened, { state: 'completed' })
    })
  })

  it('goes on beside a job whose options are no JSON, and can discard it', async () => {
    const opened = open()
    const [broken, sound] = [newDelivery(), newDelivery()]
    await opened.inbox.put(broken, { key: broken.key })
    await withRaw(url, (raw) => raw.hset(jobKeyOf(opened, broken.key), 'opts', '{'))
    const errors: unknown[] = []
    await opened.inbox.start(async () => ({ state: 'completed' }), {
      concurrency: 2,
      onError: (error) => errors.push(error),
    })
    await vi.waitFor(() => expect(errors).not.toEqual([]), 10_000)
    await opened.inbox.put(sound, { key: sound.key })
    await vi.waitFor(
      async () => expect(await opened.inbox.entry(sound.key)).toBeUndefined(),
      10_000,
    )

    expect(await listOf(opened)).toMatchObject([{ id: broken.key, delivery: broken }])
    await opened.inbox.stop()
    await withRaw(url, (raw) => raw.del(`${jobKeyOf(opened, broken.key)}:lock`))
    await opened.queue.remove(`ringhook-${broken.key}`)
    expect(await listOf(opened)).toEqual([])
  })

  describe('works with a queue', () => {
    const given = new Set<{ disconnect(): unknown }>()
    afterAll(() => {
      for (const client of given) client.disconnect()
    })
    const keep = <Client extends { disconnect(): unknown }>(client: Client): Client => {
      given.add(client)
      return client
    }
    const impatient = { maxRetriesPerRequest: 1, commandTimeout: 1_000, socketTimeout: 1_000 }

    it.each([
      ['of options', () => ({ url, ...impatient, enableOfflineQueue: false })],
      ['of a client of ioredis 6', () => keep(new Redis(url, impatient))],
      ['of a client of ioredis 5', () => keep(new Redis5(url, impatient))],
      ['of a client of node-redis', () => createClient({ url })],
    ])('%s, and leaves its client open', async (_name, connect) => {
      const client = connect() as { destroy?(): void; ping?(): unknown; url?: string }
      const opened = openOn(client)
      const errors: unknown[] = []
      const done = vi.fn()
      await opened.inbox.start(
        async () => {
          done()
          return { state: 'completed' }
        },
        { concurrency: 1, onError: (error) => errors.push(error) },
      )
      // Longer than an impatient client waits for an answer, also to a command that blocks.
      await new Promise((resolve) => setTimeout(resolve, 1_500))
      const delivery = newDelivery()
      expect(await opened.inbox.put(delivery, { key: delivery.key })).toBe('accepted')
      expect(await opened.inbox.put(delivery, { key: delivery.key })).not.toBe(undefined)
      await vi.waitFor(() => expect(done).toHaveBeenCalled(), 10_000)
      await opened.inbox.stop({ drainMs: 10_000 })

      expect(errors).toEqual([])
      expect(await opened.inbox.put(newDelivery('after'), { key: 'after' })).toBe('accepted')
      await client.ping?.()
      await opened.queue.close()
      if ('isOpen' in client) client.destroy?.()
    })
  })

  describe('refuses', () => {
    const place = newPlace(url)
    const queue = new Queue(place.name, { connection: { url }, prefix: place.prefix })
    afterAll(async () => {
      await queue.close()
      await removeQueue(place)
    })
    const refuse = (given: unknown, options: unknown = { Worker }) =>
      codeOf(() => bullmqInbox(given as BullmqQueue, options as { Worker: typeof Worker }))

    it.each([
      ['a name', 'webhooks'],
      ['nothing', undefined],
      ['a connection', { host: 'localhost' }],
      ['the class', Queue],
    ])('%s as a queue', (_name, given) => {
      expect(refuse(given)).toBe('RINGHOOK_INBOX_INVALID')
    })

    it.each([
      ['nothing', undefined],
      ['the class Queue', Queue],
      ['the class QueueEvents', QueueEvents],
      ['a processor', async () => {}],
    ])('%s as the class Worker', (_name, given) => {
      const refused = refuse(queue, { Worker: given })
      expect(refused).toBe('RINGHOOK_INBOX_INVALID')
    })

    it.each([
      [{ Worker, prefix: 'bull' }],
      [{ Worker, worker: { maxStalledCount: 1 } }],
      [{ Worker, worker: { concurrency: 1 } }],
      ['Worker'],
      [null],
    ])('the options %j', (options) => {
      expect(refuse(queue, options)).toBe('RINGHOOK_OPTION_INVALID')
    })

    it('a queue that is not in Redis', () => {
      const elsewhere = Object.assign(Object.create(queue), { getBackend: () => ({}) })
      expect(refuse(elsewhere)).toBe('RINGHOOK_INBOX_INVALID')
    })

    it('no queue with types of its own', () => {
      const typed: Queue<{ call: string }, number, 'call'> = queue as never
      expect(bullmqInbox(typed, { Worker })).toMatchObject({
        name: 'bullmqInbox',
        keepsOrder: false,
      })
      expect(bullmqInbox(typed, { Worker: Worker<{ call: string }, number, 'call'> })).toBeDefined()
    })
  })
})

let received = 0

function newDelivery(type = 'call.completed'): StoredDelivery {
  const key = `${Date.now()}-${received++}`
  const receivedAt = 1_760_000_000_000 + received
  const event = { provider: 'krosai', namespace: '', type, sentAs: type, eventId: key }
  return { version: 1, key, ...event, receivedAt, headers: {}, body: 'e30=' }
}

/** Starts the worker, waits until nothing is left to do, and gives the numbers of the attempts. */
async function run({ inbox }: Opened, verdict: AttemptResult): Promise<readonly number[]> {
  const numbers: number[] = []
  await inbox.start(
    async (_delivery, { number }) => {
      numbers.push(number)
      return verdict
    },
    { concurrency: 1, onError: fail },
  )
  await vi.waitFor(async () => {
    expect(await inbox.stats()).toMatchObject({ waiting: 0, running: 0, delayed: 0 })
  }, 10_000)
  return numbers
}

async function listOf({ inbox }: Opened): Promise<unknown[]> {
  const entries: unknown[] = []
  for await (const entry of inbox.entries({})) entries.push(entry)
  return entries
}

function fail(error: unknown): never {
  throw error
}
