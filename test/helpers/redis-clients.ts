import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import { createClient, createClientPool, RESP_TYPES } from 'redis'
import { createClient as createClient5 } from 'redis-5'
import type { RedisClient } from 'ringhook/stores/redis'

/** A connected client. */
export interface Connection {
  readonly client: RedisClient
  close(): unknown
}

type Connect = (url: string, name: string) => Promise<Connection>

/** The clients that people use most. `name` is what the server calls their connection. */
export const clients: Readonly<Record<string, Connect>> = {
  'ioredis 6': (url, name) => ofIoredis(new Redis(url, { connectionName: name })),
  'ioredis 5': (url, name) => ofIoredis(new Redis5(url, { connectionName: name })),
  'redis 6': (url, name) => ofNodeRedis(createClient({ url, name })),
  'redis 5': (url, name) => ofNodeRedis(createClient5({ url, name })),
}

/** The same, with options that change how commands are sent or what becomes of replies. */
export const variants: Readonly<Record<string, Connect>> = {
  'ioredis 6, RESP2': (url) => ofIoredis(new Redis(url, { protocol: 2 })),
  'ioredis 6, RESP3 replies': (url) =>
    ofIoredis(new Redis(url, { protocol: 3, replyMapping: 'resp3' })),
  'ioredis 6, auto-pipelining': (url) => ofIoredis(new Redis(url, { enableAutoPipelining: true })),
  'ioredis 6, numbers as strings': (url) => ofIoredis(new Redis(url, { stringNumbers: true })),
  'ioredis 6, keyPrefix': (url, name) => ofIoredis(new Redis(url, { keyPrefix: name })),
  'ioredis 5, auto-pipelining, numbers as strings, keyPrefix': (url, name) =>
    ofIoredis(
      new Redis5(url, { enableAutoPipelining: true, stringNumbers: true, keyPrefix: name }),
    ),
  'redis 6, RESP2': (url) => ofNodeRedis(createClient({ url, RESP: 2 })),
  'redis 6, a pool': (url) => ofNodeRedis(createClientPool({ url })),
  'redis 6, keyPrefix': (url, name) => ofNodeRedis(createClient({ url, keyPrefix: name })),
  'redis 6, text as bytes': (url) =>
    ofNodeRedis(
      createClient({ url }).withTypeMapping({
        [RESP_TYPES.BLOB_STRING]: Buffer,
        [RESP_TYPES.NUMBER]: String,
      }),
    ),
  'redis 5, RESP3': (url) => ofNodeRedis(createClient5({ url, RESP: 3 })),
}

interface Emitter {
  on(event: 'error', listener: () => void): unknown
}

export async function ofIoredis<Client extends RedisClient & Emitter & { disconnect(): void }>(
  client: Client,
): Promise<Connection> {
  client.on('error', () => {
    // The store says what went wrong.
  })
  return { client, close: () => client.disconnect() }
}

export async function ofNodeRedis<
  Client extends RedisClient & Emitter & { connect(): unknown; destroy(): unknown },
>(client: Client): Promise<Connection> {
  client.on('error', () => {
    // The store says what went wrong.
  })
  await client.connect()
  return { client, close: () => client.destroy() }
}

/** All keys whose names hold a text. */
async function keysWith(raw: Redis, text: string): Promise<string[]> {
  const keys: string[] = []
  for await (const found of raw.scanStream({ match: `*${text}*`, count: 10_000 })) {
    keys.push(...(found as string[]))
  }
  return keys
}

export async function removeKeys(raw: Redis, text: string): Promise<void> {
  await Promise.all((await keysWith(raw, text)).map((key) => raw.unlink(key)))
}

/** Makes time pass for keys: their expiry is the only time they have. */
export async function passTime(raw: Redis, text: string, ms: number): Promise<void> {
  const keys = await keysWith(raw, text)
  await Promise.all(keys.map(async (key) => raw.pexpire(key, (await raw.pttl(key)) - ms)))
}

/** Cuts a connection at the server, found by its name. */
export async function cutConnection(raw: Redis, name: string): Promise<void> {
  const list = String(await raw.client('LIST'))
  for (const line of list.split('\n')) {
    const id = /^id=(\d+) /.exec(line)?.[1]
    if (id !== undefined && line.includes(` name=${name} `)) await raw.client('KILL', 'ID', id)
  }
}
