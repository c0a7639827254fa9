import { Redis } from 'ioredis'
import { redisStore } from '../../src/stores/redis.ts'
import type { Journal, Line, StampedLine } from '../journal.ts'
import type { Backend, OpenStore, Place } from './backend.ts'

export const redis: Backend = {
  async openStore({ url, name }, slot) {
    const options = { prefix: `${name}:`, logger: false } as const
    return slot % 2 === 0 ? overIoredis(url, options) : await overNodeRedis(url, options)
  },

  async openJournal({ url, name }) {
    const client = new Redis(url)
    const stream = journalOf(name)
    // For runs that are killed before they erase it.
    await client.expire(stream, 3_600)
    return journalOn(client, stream)
  },

  async erase({ url, name }: Place) {
    const client = new Redis(url)
    for await (const keys of client.scanStream({ match: `${name}:*`, count: 1_000 })) {
      if (Array.isArray(keys) && keys.length > 0) await client.unlink(...keys.map(String))
    }
    await client.unlink(journalOf(name))
    client.disconnect()
  },
}

type Options = NonNullable<Parameters<typeof redisStore>[1]>

function overIoredis(url: string, options: Options): OpenStore {
  const client = new Redis(url, {
    maxRetriesPerRequest: 1,
    connectTimeout: 1_000,
    commandTimeout: 2_000,
    retryStrategy: (times) => Math.min(times * 50, 250),
  })
  client.on('error', () => {})
  return { store: redisStore(client, options), close: async () => client.disconnect() }
}

async function overNodeRedis(url: string, options: Options): Promise<OpenStore> {
  // Only where it is used: it takes longer to load than everything else of a worker together.
  const { createClient } = await import('redis')
  const client = createClient({
    url,
    socket: {
      connectTimeout: 1_000,
      socketTimeout: 2_000,
      reconnectStrategy: (retries) => Math.min(retries * 50, 250),
    },
  })
  client.on('error', () => {})
  // Not waited for: the proxy may refuse it for a while, and the client tries again.
  client.connect().catch(() => {})
  return { store: redisStore(client, options), close: async () => client.destroy() }
}

function journalOf(name: string): string {
  return `${name}:journal`
}

/** A stream: Redis numbers its entries by its own clock. */
function journalOn(client: Redis, stream: string): Journal {
  return {
    async append(line) {
      await client.xadd(stream, '*', 'line', JSON.stringify(line))
    },
    async read() {
      const entries = await client.xrange(stream, '-', '+')
      return entries.map(([id, [, text = '']], index): StampedLine => {
        const line: Line = JSON.parse(text)
        return { ...line, seq: index + 1, at: Number(id.split('-')[0]) }
      })
    },
    async close() {
      client.disconnect()
    },
  }
}
