import { Queue, Worker } from 'bullmq'
import type { Inbox, StoredDelivery } from 'ringhook'
import { bullmqInbox } from 'ringhook/inboxes/bullmq'
import { afterEach, expect, it, vi } from 'vitest'
import {
  describeWithRedisServer,
  freePort,
  type RedisInstance,
  startRedis,
} from '../helpers/redis-instance.ts'

const patience = { timeout: 20_000 }

describeWithRedisServer('bullmqInbox, when its server fails', () => {
  const closings: (() => unknown)[] = []
  afterEach(async () => {
    for (const close of closings.splice(0).reverse()) await close()
  })

  async function start(settings?: Readonly<Record<string, string>>): Promise<RedisInstance> {
    const server = await startRedis(settings)
    closings.push(() => server.remove())
    return server
  }

  function open(connection: object): Inbox {
    const queue = new Queue('webhooks', { connection })
    queue.on('error', () => {
      // The inbox says what went wrong.
    })
    closings.push(() => {
      // BullMQ waits with it for the server.
      queue.close().catch(() => {})
    })
    return bullmqInbox(queue, { Worker, worker: { stalledInterval: 100, runRetryDelay: 100 } })
  }

  it.each([
    ['as the page says', { enableOfflineQueue: false, maxRetriesPerRequest: 1 }],
    ["with BullMQ's own, which wait for ever", { maxRetriesPerRequest: null }],
  ])('rejects puts at once with options %s, and works when it is back', async (_name, options) => {
    const server = await start()
    const inbox = open({ url: server.url, ...options })
    await put(inbox, 'before')
    await server.kill()
    // What was on its way while nobody knew may wait for its answer.
    await vi.waitFor(() => rejected(put(inbox, 'found out')), patience)
    for (let index = 0; index < 100; index++) {
      expect(await rejected(put(inbox, `away ${index}`))).toBe('RINGHOOK_STORE_UNREACHABLE')
    }
    expect(await rejected(inbox.stats())).toBe('RINGHOOK_STORE_UNREACHABLE')
    expect(await rejected(inbox.migrate())).toBe('RINGHOOK_STORE_UNREACHABLE')

    await server.restart()
    await vi.waitFor(async () => expect(await put(inbox, 'after')).toBe('accepted'), patience)
    expect(await inbox.entry('after')).toMatchObject({ state: 'waiting' })
    expect(await inbox.entry('away 0')).toBeUndefined()
  })

  it('keeps what it has accepted when a server that writes each time is killed', async () => {
    const server = await start({ appendonly: 'yes', appendfsync: 'always' })
    const inbox = open({ url: server.url, enableOfflineQueue: false, maxRetriesPerRequest: 1 })
    const keys = Array.from({ length: 200 }, (_, index) => `key ${index}`)
    let accepted = 0
    const puts = keys.map(async (key) => {
      await put(inbox, key)
      accepted++
      // In the middle of it.
      if (accepted === 50) await server.kill()
      return key
    })
    const outcomes = await Promise.allSettled(puts)
    await server.restart()
    await vi.waitFor(() => inbox.migrate(), patience)

    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') {
        expect(await inbox.entry(outcome.value)).toMatchObject({ state: 'waiting' })
      }
    }
  })

  it('has a worker that says so, and goes on when it is back', async () => {
    const server = await start()
    const inbox = open({ url: server.url })
    const ids: string[] = []
    const errors: unknown[] = []
    await inbox.start(
      async (_delivery, { id }) => {
        ids.push(id)
        return { state: 'completed' }
      },
      { concurrency: 2, onError: (error) => errors.push(error) },
    )
    closings.push(() => inbox.stop())
    await server.kill()
    await vi.waitFor(
      () =>
        expect(errors).toContainEqual(
          expect.objectContaining({ code: 'RINGHOOK_STORE_UNREACHABLE' }),
        ),
      patience,
    )
    await server.restart()
    await vi.waitFor(() => put(inbox, 'after'), patience)
    await vi.waitFor(() => expect(ids).toEqual(['after']), patience)
  }, 45_000)

  it('stops, and gives up what it cannot give back', async () => {
    const server = await start()
    const inbox = open({ url: server.url })
    await put(inbox, 'one')
    const begun = vi.fn()
    await inbox.start(
      () => {
        begun()
        return new Promise(() => {})
      },
      { concurrency: 1, onError() {} },
    )
    await vi.waitFor(() => expect(begun).toHaveBeenCalled(), patience)
    await server.kill()
    await inbox.stop({ drainMs: 0 })
    await inbox.stop({ drainMs: 0 })
  }, 30_000)

  it('refuses to start, and puts, while there was no server from the first', async () => {
    const inbox = open({ port: await freePort(), host: '127.0.0.1' })
    const options = { concurrency: 1, onError() {} }
    const started = rejected(inbox.start(async () => ({ state: 'completed' }), options))
    await vi.waitFor(() => rejected(put(inbox, 'found out')), patience)

    expect(await rejected(put(inbox, 'one'))).toBe('RINGHOOK_STORE_UNREACHABLE')
    expect(await started).toBe('RINGHOOK_STORE_UNREACHABLE')
  }, 30_000)

  it.each([
    ['RINGHOOK_STORE_FULL', 'maxmemory', '1'],
    ['RINGHOOK_STORE_READ_ONLY', 'replicaof', '127.0.0.1 1'],
  ])('says %s', async (code, setting, value) => {
    const server = await start()
    const inbox = open({ url: server.url })
    await inbox.migrate()
    if (setting === 'replicaof') await server.raw.replicaof('127.0.0.1', 1)
    else await server.raw.config('SET', setting, value)

    expect(await rejected(put(inbox, 'one'))).toBe(code)
    expect(await rejected(inbox.migrate())).toBe(code)
  })

  it('says RINGHOOK_STORE_ACCESS_DENIED', async () => {
    const server = await start({ requirepass: 'right' })
    const inbox = open({ url: server.url, password: 'wrong' })
    expect(await rejected(inbox.migrate())).toBe('RINGHOOK_STORE_ACCESS_DENIED')
  })
})

function put(inbox: Inbox, key: string): Promise<'accepted' | 'duplicate'> {
  const event = { provider: 'krosai', namespace: '', type: 'call.completed', eventId: key }
  const delivery: StoredDelivery = {
    ...{ version: 1, key, ...event, sentAs: 'call.completed' },
    ...{ receivedAt: 1_760_000_000_000, headers: {}, body: 'e30=' },
  }
  return inbox.put(delivery, { key })
}

/** The code of what an operation rejects with. One that does not is an error. */
async function rejected(operation: Promise<unknown>): Promise<string> {
  const outcome = await operation.then(
    () => 'it did not reject',
    (error: { readonly code?: string }) => error.code ?? String(error),
  )
  if (outcome === 'it did not reject') throw new Error(outcome)
  return outcome
}
