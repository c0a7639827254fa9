import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile, rm } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import { createClient, type RedisClientOptions } from 'redis'
import { createClient as createClient5 } from 'redis-5'
import type { PersistentStore } from 'ringhook'
import { type RedisClient, redisStore } from 'ringhook/stores/redis'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { ofIoredis, ofNodeRedis } from '../helpers/redis-clients.ts'
import {
  describeWithRedisServer,
  freePort,
  type RedisInstance,
  startRedis,
} from '../helpers/redis-instance.ts'

/** As docs/stores/redis.md recommends them. */
const ofIoredisUsers = {
  maxRetriesPerRequest: 1,
  enableOfflineQueue: false,
  commandTimeout: 5_000,
}
const ofNodeRedisUsers = {
  disableOfflineQueue: true,
  commandsQueueMaxLength: 10_000,
} satisfies RedisClientOptions

type Access = { readonly username?: string; readonly password?: string }

/** How each client is made for a server, and used before it is known to be connected. */
const makers: Readonly<Record<string, (url: string, access?: Access) => Promise<RedisClient>>> = {
  'ioredis 6': (url, access) => made(ofIoredis(new Redis(url, { ...ofIoredisUsers, ...access }))),
  'ioredis 5': (url, access) => made(ofIoredis(new Redis5(url, { ...ofIoredisUsers, ...access }))),
  'redis 6': (url, access) =>
    made(ofNodeRedis(withoutWait(createClient({ url, ...ofNodeRedisUsers, ...access })))),
  'redis 5': (url, access) =>
    made(ofNodeRedis(withoutWait(createClient5({ url, ...ofNodeRedisUsers, ...access })))),
}

/** Its connection may never come about. */
function withoutWait<Client extends { connect(): Promise<unknown> }>(client: Client): Client {
  client.connect().catch(() => {})
  return Object.assign(client, { connect: async () => {} })
}

async function made(connecting: ReturnType<typeof ofIoredis>): Promise<RedisClient> {
  const { client, close } = await connecting
  onTestFinished(() => void close())
  return client
}

async function instance(settings?: Readonly<Record<string, string>>): Promise<RedisInstance> {
  const started = await startRedis(settings)
  onTestFinished(() => started.remove())
  return started
}

const options = (owner: string) => ({ owner, leaseMs: 30_000, fingerprint: 'f' })
const failed = (code: string) => ({ code: `RINGHOOK_STORE_${code}`, name: 'RinghookError' })

/** Waits until something no longer rejects. */
async function inTheEnd<Result>(run: () => Promise<Result>): Promise<Result> {
  return await vi.waitFor(run, { timeout: 10_000, interval: 20 })
}

describeWithRedisServer('redisStore on a server of its own', () => {
  describe.each(Object.entries(makers))('with %s', (_name, make) => {
    it('says that nobody answers when the server is down at the start', async () => {
      const store = redisStore(await make(`redis://127.0.0.1:${await freePort()}`))
      await expect(store.migrate()).rejects.toMatchObject(failed('UNREACHABLE'))
      await expect(store.claim('a', options('a'))).rejects.toMatchObject(failed('UNREACHABLE'))
    })

    it('loses nothing while the server is away, and works again when it is back', async () => {
      const server = await instance({ appendonly: 'yes', appendfsync: 'always' })
      const store = redisStore(await make(server.url))
      await inTheEnd(() => store.migrate())
      const claim = await store.claim('a', options('a'))
      if (claim.state !== 'claimed') throw new Error(claim.state)
      await server.kill()
      await expect(store.claim('b', options('a'))).rejects.toMatchObject(failed('UNREACHABLE'))
      await expect(store.extend(claim, { leaseMs: 1 })).rejects.toMatchObject(failed('UNREACHABLE'))
      const complete = async () => store.complete(claim, { retentionMs: 60_000 })
      await expect(complete()).rejects.toMatchObject(failed('UNREACHABLE'))
      await server.restart()
      expect(await inTheEnd(complete)).toBe(true)
      expect((await store.claim('a', options('b'))).state).toBe('completed')
      expect((await store.claim('b', options('b'))).state).toBe('claimed')
    })

    it('sends its scripts again to a server that has forgotten them, to all that ask at once', async () => {
      const server = await instance()
      const store = redisStore(await make(server.url))
      await inTheEnd(() => store.migrate())
      for (const forget of [
        () => server.raw.script('FLUSH'),
        async () => {
          await server.kill()
          await server.restart()
          await inTheEnd(() => store.migrate())
        },
      ]) {
        await forget()
        const keys = Array.from({ length: 200 }, () => randomUUID())
        const claims = await Promise.all(keys.map((key) => store.claim(key, options('a'))))
        expect(new Set(claims.map(({ state }) => state))).toEqual(new Set(['claimed']))
        await server.raw.script('FLUSH')
        const ended = await Promise.all(
          claims.map((claim) => claim.state === 'claimed' && store.release(claim)),
        )
        expect(new Set(ended)).toEqual(new Set([true]))
      }
    })

    it('says that it is not let in: without a password, with a wrong one, not to these keys', async () => {
      const { url, raw } = await instance({ requirepass: 'right' })
      await raw.call('ACL', 'SETUSER', 'elsewhere', 'on', '>right', '~other:*', '+@all')
      for (const access of [
        {},
        { password: 'wrong' },
        { username: 'nobody', password: 'right' },
        { username: 'elsewhere', password: 'right' },
      ]) {
        const store = redisStore(await make(url, access))
        // While a client still connects it only says that it is not connected.
        await inTheEnd(async () => {
          await expect(store.migrate()).rejects.toMatchObject(failed('ACCESS_DENIED'))
          await expect(store.claim('a', options('a'))).rejects.toMatchObject(
            failed('ACCESS_DENIED'),
          )
        })
      }
      const store = redisStore(await make(url, { password: 'right' }))
      await inTheEnd(() => store.migrate())
      expect((await store.claim('a', options('a'))).state).toBe('claimed')
    })
  })

  it('needs no more rights than its page says', async () => {
    const { url, raw } = await instance()
    const page = await readFile(new URL('../../docs/stores/redis.md', import.meta.url), 'utf8')
    const line = /^ACL SETUSER ringhook (.+)$/m.exec(page)?.[1] ?? ''
    await raw.call('ACL', 'SETUSER', 'ringhook', ...line.split(' '))
    for (const make of Object.values(makers)) {
      await raw.flushall()
      await raw.script('FLUSH')
      const store = redisStore(await make(url, { username: 'ringhook', password: 'password' }))
      await inTheEnd(() => store.migrate())
      const claim = await store.claim('a', options('a'))
      if (claim.state !== 'claimed') throw new Error(claim.state)
      expect((await store.claim('a', options('b'))).state).toBe('in_flight')
      expect(await store.extend(claim, { leaseMs: 1_000 })).toBe(true)
      expect(await store.release(claim)).toBe(true)
      const again = await store.claim('a', options('a'))
      if (again.state !== 'claimed') throw new Error(again.state)
      expect(await store.complete(again, { retentionMs: 60_000 })).toBe(true)
      expect(await store.status('a')).toBe('completed')
      expect(await store.forget('a')).toBe('forgotten')
    }
  })

  /** A store on plain ioredis, whose server is up. */
  async function storeOn({ url }: RedisInstance, logger: { warn?(line: string): void } = {}) {
    // Its check is an INFO, which one of these servers denies.
    const client = await made(ofIoredis(new Redis(url, { enableReadyCheck: false })))
    const silent = { debug() {}, info() {}, warn() {}, error() {} }
    return redisStore(client, { logger: { ...silent, ...logger } })
  }

  it('writes nothing to migrate', async () => {
    const server = await instance()
    await (await storeOn(server)).migrate()
    expect(await server.raw.info('persistence')).toContain('rdb_changes_since_last_save:0\r')
  })

  it('says that a replica takes no writes', async () => {
    const primary = await instance()
    const replica = await instance({ replicaof: `127.0.0.1 ${primary.port}` })
    const store = await storeOn(replica)
    await inTheEnd(async () => {
      await expect(store.migrate()).rejects.toMatchObject(failed('READ_ONLY'))
    })
    await expect(store.claim('a', options('a'))).rejects.toMatchObject(failed('READ_ONLY'))
  })

  it('says that the memory of the server is full, and takes what makes room', async () => {
    const server = await instance({ 'maxmemory-policy': 'noeviction' })
    const store = await storeOn(server)
    const claim = await store.claim('a', options('a'))
    if (claim.state !== 'claimed') throw new Error(claim.state)
    await server.raw.config('SET', 'maxmemory', '1mb')
    await expect(store.migrate()).rejects.toMatchObject(failed('FULL'))
    await expect(store.claim('b', options('a'))).rejects.toMatchObject(failed('FULL'))
    await server.raw.config('SET', 'maxmemory', '0')
    expect(await store.complete(claim, { retentionMs: 60_000 })).toBe(true)
  })

  it('says that the server cannot write to its disk', async () => {
    const server = await instance({ save: '3600 1' })
    const store = await storeOn(server)
    await rm(server.folder, { recursive: true })
    await store.claim('a', options('a'))
    await server.raw.bgsave()
    await inTheEnd(async () => {
      await expect(store.claim('b', options('a'))).rejects.toMatchObject(failed('FULL'))
    })
  })

  it('says that the server is kept busy by a script that does not end', async () => {
    const server = await instance({ 'busy-reply-threshold': '1' })
    const store = await storeOn(server)
    await store.migrate()
    await server.raw.ping()
    const other = await made(ofIoredis(server.raw.duplicate()))
    const endless = (other as Redis).eval('while true do end', 0).catch(() => {})
    await inTheEnd(async () => {
      await expect(store.claim('a', options('a'))).rejects.toMatchObject(failed('BUSY'))
    })
    await server.raw.script('KILL')
    await endless
    expect((await store.claim('a', options('a'))).state).toBe('claimed')
  })

  it('says that too few replicas are there, where the server asks for some', async () => {
    const store = await storeOn(await instance({ 'min-replicas-to-write': '1' }))
    await expect(store.migrate()).rejects.toMatchObject(failed('UNREACHABLE'))
    await expect(store.claim('a', options('a'))).rejects.toMatchObject(failed('UNREACHABLE'))
  })

  describe('whose server drops keys when its memory is full', () => {
    const dropping = { 'maxmemory-policy': 'allkeys-lru' }

    it('says so once, when it is asked to migrate', async () => {
      const lines: string[] = []
      const store = await storeOn(await instance(dropping), { warn: (line) => lines.push(line) })
      await store.migrate()
      await store.claim('a', options('a'))
      await store.migrate()
      expect(lines).toEqual([expect.stringMatching(/allkeys-lru.*noeviction/)])
    })

    it('says so once, after the first claim where nobody migrates', async () => {
      const lines: string[] = []
      const store = await storeOn(await instance(dropping), { warn: (line) => lines.push(line) })
      await Promise.all(['a', 'b', 'c'].map((key) => store.claim(key, options('a'))))
      await inTheEnd(async () => expect(lines).toHaveLength(1))
      await store.claim('d', options('a'))
      await store.migrate()
      expect(lines).toEqual([expect.stringContaining('allkeys-lru')])
    })

    it('says nothing where the policy is noeviction, or may not be read', async () => {
      const lines: string[] = []
      const warn = (line: string) => lines.push(line)
      const keeping = await storeOn(await instance({ 'maxmemory-policy': 'noeviction' }), { warn })
      await keeping.migrate()
      const guarded = await instance(dropping)
      await guarded.raw.call('ACL', 'SETUSER', 'default', '-info', '-config')
      const store = await storeOn(guarded, { warn })
      await store.migrate()
      expect((await store.claim('a', options('a'))).state).toBe('claimed')
      expect(lines).toEqual([])
    })
  })
})

describe('redisStore on a server that answers wrongly', () => {
  const servers: Server[] = []
  const sockets = new Set<Socket>()

  afterEach(async () => {
    vi.useRealTimers()
    for (const socket of sockets) socket.destroy()
    for (const server of servers.splice(0)) server.close()
  })

  /** A server that says the same to every command, or nothing. */
  async function saying(line: string | undefined): Promise<string> {
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('data', (bytes) => {
        // In the clients' protocol every command begins with the number of its words.
        const commands = String(bytes).match(/(?:^|\n)\*\d+\r/g) ?? []
        if (line !== undefined) for (const _ of commands) socket.write(`${line}\r\n`)
      })
    }).listen(0, '127.0.0.1')
    servers.push(server)
    await once(server, 'listening')
    return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  async function storeOn(url: string) {
    const plain = { protocol: 2 as const, enableReadyCheck: false, disableClientInfo: true }
    return redisStore(await made(ofIoredis(new Redis(url, plain))), { logger: false })
  }

  it.each([
    ['-LOADING Redis is loading the dataset in memory', 'UNREACHABLE'],
    [
      "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
      'UNREACHABLE',
    ],
    ['-CLUSTERDOWN The cluster is down', 'UNREACHABLE'],
    ['-TRYAGAIN Multiple keys request during rehashing of slot', 'BUSY'],
    ['-ERR max number of clients reached', 'BUSY'],
    ['-DENIED Redis is running in protected mode', 'ACCESS_DENIED'],
    [
      "-ERR Error running script (call to f_0): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.",
      'READ_ONLY',
    ],
    [
      "-ERR Error running script (call to f_0): @user_script:1: @user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.",
      'FULL',
    ],
    ['-MOVED 866 127.0.0.1:7001', 'FAILED'],
    ['-ERR something else', 'FAILED'],
  ])('takes "%s" for %s, and quotes none of it', async (line, code) => {
    for (const reason of await refusalsOf(await storeOn(await saying(line)))) {
      expect(reason).toMatchObject(failed(code))
      expect(reason.message).not.toContain(line.slice(1).split(' ')[1])
    }
  })

  it.each([
    ':1',
    '$-1',
    '*1\r\n:1',
    '+OK',
    '+claimed',
    '+claimed 0',
    '+claimed 1.5',
    '+claimed 1e3',
    '+in_flight -1',
    '+policy',
    '+strange',
  ])('refuses the answer %j, which is none', async (line) => {
    for (const reason of await refusalsOf(await storeOn(await saying(line)))) {
      expect(reason).toMatchObject(failed('FAILED'))
    }
  })

  /** What every operation rejects with. */
  async function refusalsOf(store: PersistentStore): Promise<Error[]> {
    const claim = { state: 'claimed', key: 'a', owner: 'a', fence: 1, attempt: 1 } as const
    const results = await Promise.allSettled([
      store.migrate(),
      store.claim('a', options('a')),
      store.extend(claim, { leaseMs: 1 }),
      store.complete(claim, { retentionMs: 1 }),
      store.release(claim),
      store.forget('a'),
      store.status('a'),
    ])
    return results.map((result) => {
      if (result.status === 'rejected') return result.reason
      throw new Error(`it gave ${JSON.stringify(result.value)}`)
    })
  }

  it('gives every operation up after 10 s of silence', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const store = await storeOn(await saying(undefined))
    const refusals = refusalsOf(store)
    let isSettled = false
    void refusals.then(() => {
      isSettled = true
    })
    await vi.advanceTimersByTimeAsync(9_999)
    expect(isSettled).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    for (const reason of await refusals) expect(reason).toMatchObject(failed('TIMEOUT'))
  })

  it('gives up after 10 s what its client keeps for a server that is down, and says why', async () => {
    const client = createClient({ url: `redis://127.0.0.1:${await freePort()}` })
    const refused = once(client, 'error')
    const store = redisStore(await made(ofNodeRedis(withoutWait(client))))
    await refused
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const refusals = refusalsOf(store)
    await vi.advanceTimersByTimeAsync(10_000)
    for (const reason of await refusals) {
      expect(reason).toMatchObject({
        ...failed('UNREACHABLE'),
        message: expect.stringContaining('ECONNREFUSED'),
      })
    }
  })
})
