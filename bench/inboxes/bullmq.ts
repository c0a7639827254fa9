import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { bullmqInbox } from '../../src/inboxes/bullmq.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { type Place, placeName } from './place.ts'

export async function openBullmq(url: string): Promise<Place> {
  const { hostname: host, port } = new URL(url)
  const connection = { host, port: Number(port), enableOfflineQueue: false }
  const name = placeName()
  const queue = new Queue(name, { connection })
  const floor = new Queue(`${name}-floor`, { connection })
  const client = new Redis(url)
  for (const emitter of [queue, floor, client]) emitter.on('error', () => {})
  await Promise.all([queue.waitUntilReady(), floor.waitUntilReady()])
  const inbox = bullmqInbox(queue, { Worker })
  const prefix = `${name}:`
  return {
    floor: 'queue.add with a job id',
    inbox,
    store: redisStore(client, { prefix }),
    commit: (delivery) =>
      floor.add(delivery.type, delivery, {
        jobId: `floor-${delivery.key}`,
        attempts: 15,
        backoff: { type: 'custom' },
        removeOnComplete: true,
      }),
    clear: () => floor.obliterate({ force: true }),
    close: async () => {
      await queue.obliterate({ force: true })
      await floor.obliterate({ force: true })
      for (let cursor = '0'; ; ) {
        const [next, keys] = await client.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', 1_000)
        if (keys.length > 0) await client.unlink(keys)
        cursor = next
        if (cursor === '0') break
      }
      await Promise.all([queue.close(), floor.close()])
      client.disconnect()
    },
  }
}
