import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { type RedisClient, redisStore } from '../../src/stores/redis.ts'
import { leaseMs, type Place, placeName, type Subject } from './subject.ts'

/** What the harness asks of a client, whichever it is. */
interface Commands {
  readonly client: RedisClient
  /** `SET key owner NX PX leaseMs`. */
  setNew(key: string, owner: string): Promise<boolean>
  send(...words: string[]): Promise<unknown>
  close(): Promise<unknown>
}

export const ioredis: Subject = redisSubject(async (url) => {
  const client = new Redis(url)
  client.on('error', report)
  return {
    client,
    setNew: async (key, owner) => (await client.set(key, owner, 'PX', leaseMs, 'NX')) === 'OK',
    send: (command = '', ...words) => client.call(command, ...words),
    close: () => client.quit(),
  }
})

export const nodeRedis: Subject = redisSubject(async (url) => {
  const client = createClient({ url })
  client.on('error', report)
  await client.connect()
  const options = { condition: 'NX', expiration: { type: 'PX', value: leaseMs } } as const
  return {
    client,
    setNew: async (key, owner) => (await client.set(key, owner, options)) === 'OK',
    send: (...words) => client.sendCommand(words),
    close: () => client.close(),
  }
})

function redisSubject(connect: (url: string) => Promise<Commands>): Subject {
  return {
    floor: 'SET NX PX',
    isRemote: true,
    async connect(url) {
      const opened: RedisPlace[] = []
      return {
        async open() {
          // Each in a database of its own: a prefix would share its hash table with the others.
          const commands = await connect(url)
          const place = new RedisPlace(commands, await selectEmpty(commands))
          opened.push(place)
          return place
        },
        async close() {
          for (const place of opened) await place.close()
        },
      }
    },
  }
}

class RedisPlace implements Place {
  readonly store
  readonly #commands: Commands
  readonly #prefix = `${placeName()}:`
  readonly #database: number

  constructor(commands: Commands, database: number) {
    this.#commands = commands
    this.#database = database
    this.store = redisStore(commands.client, { prefix: this.#prefix, logger: false })
  }

  insert(key: string, owner: string): Promise<boolean> {
    return this.#commands.setNew(this.#prefix + key, owner)
  }

  async clear(): Promise<void> {
    let cursor = '0'
    do {
      const words = ['SCAN', cursor, 'MATCH', `${this.#prefix}*`, 'COUNT', '5000']
      const [next, keys] = (await this.#commands.send(...words)) as [string, string[]]
      if (keys.length > 0) await this.#commands.send('UNLINK', ...keys)
      cursor = next
    } while (cursor !== '0')
  }

  /** Of the whole server: what others do there at the same time is in it. */
  async bytes(): Promise<number> {
    const memory = String(await this.#commands.send('INFO', 'memory'))
    return Number(/used_memory:(\d+)/.exec(memory)?.[1])
  }

  async close(): Promise<void> {
    taken.delete(this.#database)
    await this.clear()
    await this.#commands.close()
  }
}

const taken = new Set<number>()

/** Selects a database that nobody uses, from the last one down. The first one, if there is none. */
async function selectEmpty({ send }: Commands): Promise<number> {
  const used = String(await send('INFO', 'keyspace'))
  for (let database = 15; database > 0; database--) {
    if (used.includes(`db${database}:`) || taken.has(database)) continue
    await send('SELECT', String(database))
    taken.add(database)
    return database
  }
  return 0
}

function report(error: Error): void {
  console.error(error.message)
}
