import { Queue, Worker } from 'bullmq'
import { bullmqInbox } from '../../src/inboxes/bullmq.ts'
import { redis } from '../backends/redis.ts'
import type { InboxBackend } from './backend.ts'

const leaseMs = 1_000

export const bullmq: InboxBackend = {
  server: {
    name: 'redis',
    programs: 'redis-server',
    settings: ['--appendonly', 'yes', '--appendfsync', 'always'],
  },
  haltMs: [1.5 * leaseMs, 3 * leaseMs],
  takeoverMs: 15_000,

  async open(place, slot) {
    const connection = {
      url: place.url,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 1,
      connectTimeout: 1_000,
      retryStrategy: (times: number) => Math.min(times * 50, 250),
    }
    const queue = new Queue('inbox', { connection, prefix: `${place.name}-inbox` })
    queue.on('error', () => {})
    const worker = {
      lockDuration: leaseMs,
      stalledInterval: 500,
      drainDelay: 1,
      runRetryDelay: 200,
    }
    const { store, close } = await redis.openStore(place, slot)
    return {
      inbox: bullmqInbox(queue, { Worker, worker }),
      store,
      async close() {
        await queue.close()
        await close()
      },
    }
  },
}
