import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { bullmqInbox } from 'ringhook/inboxes/bullmq'
import { redisStore } from 'ringhook/stores/redis'
import { UsageError } from '../shared/program.ts'
import type { Engine, EngineOptions } from './engine.ts'

/** A queue of BullMQ's, and the store in the same Redis. */
export async function openBullmq({ name, leaseMs }: EngineOptions): Promise<Engine> {
  const url = process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379'
  const client = await connect(url)
  const store = redisStore(client, { prefix: `${name}:` })
  // While Redis is away a delivery is answered 503, and does not wait for it.
  const connection = { url, enableOfflineQueue: false, maxRetriesPerRequest: 1 }
  const queue = new Queue(name, { connection })
  queue.on('error', (error) => console.error(`Redis: ${error.message}`))
  const inbox = bullmqInbox(queue, {
    Worker,
    worker: { lockDuration: leaseMs, stalledInterval: leaseMs },
  })
  await queue.waitUntilReady()
  await store.migrate()
  await inbox.migrate()
  return {
    inbox,
    store,
    async close() {
      await queue.close()
      client.disconnect()
    },
  }
}

async function connect(url: string): Promise<Redis> {
  const client = new Redis(url, {
    maxRetriesPerRequest: 1,
    socketTimeout: 10_000,
    lazyConnect: true,
  })
  client.on('error', (error) => console.error(`Redis: ${error.message}`))
  try {
    await client.connect()
    return client
  } catch (cause) {
    client.disconnect()
    throw new UsageError('Redis cannot be used. Start it, or set REDIS_URL to where it is.', {
      cause,
    })
  }
}
