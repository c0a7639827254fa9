import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { type StoreContractOptions, storeContract } from 'ringhook/conformance'
import { redisStore } from 'ringhook/stores/redis'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { codeOf } from '../helpers/endpoint.ts'
import {
  type Connection,
  clients,
  cutConnection,
  passTime,
  removeKeys,
  variants,
} from '../helpers/redis-clients.ts'
import { describeOn } from '../helpers/servers.ts'
import { onlyClientRules } from './client-rules.ts'

const hour = 3_600_000
const day = 24 * hour

describeOn('redis', 'redisStore', (url) => {
  const id = randomUUID()
  const prefix = `ringhook-test:${id}:`
  const raw = new Redis(url)

  afterAll(async () => {
    await removeKeys(raw, id)
    raw.disconnect()
  })

  function contract(
    connect: (url: string, name: string) => Promise<Connection>,
    options: Pick<StoreContractOptions, 'test'> & Partial<StoreContractOptions>,
  ): void {
    let connection: Connection
    beforeAll(async () => {
      connection = await connect(url, id)
    })
    afterAll(() => connection.close())
    const create = (name: string) => redisStore(connection.client, { prefix: name })
    storeContract({
      create: () => create(prefix),
      createNamed: (name) => create(`${name}${id}`),
      passTime: (ms) => passTime(raw, id, ms),
      sharedClock: true,
      ...options,
    })
  }

  const program = () => ({
    module: new URL('./redis-program.ts', import.meta.url),
    data: { url, prefix },
    execArgv: ['--import', 'tsx'],
  })
  for (const [name, connect] of Object.entries(clients)) {
    const breakConnection = () => cutConnection(raw, id)
    describe(`with ${name}`, () => {
      if (name === 'ioredis 6') contract(connect, { test, breakConnection, program })
      else onlyClientRules((its) => contract(connect, { test: its, breakConnection }))
    })
  }
  for (const [name, connect] of Object.entries(variants)) {
    describe(`with ${name}`, () => {
      onlyClientRules((its) => contract(connect, { test: its }))
    })
  }

  describe('its keys', () => {
    const store = redisStore(raw, { prefix })

    async function hold(key: string, leaseMs: number) {
      const claim = await store.claim(key, { owner: 'a', leaseMs, fingerprint: 'f' })
      if (claim.state !== 'claimed') throw new Error(`it is ${claim.state}`)
      return claim
    }

    /** How long a key is kept from now, in whole days. */
    const daysOf = async (key: string) => Math.round((await raw.pttl(`${prefix}${key}`)) / day)

    it('are one string each, which says what became of the event', async () => {
      const claim = await hold('one', 30_000)
      expect(await raw.get(`${prefix}one`)).toBe('running 1 a f')
      await store.release(claim)
      expect(await raw.get(`${prefix}one`)).toBe('released 1 a f')
      await store.complete(await hold('one', 30_000), { retentionMs: hour })
      expect(await raw.get(`${prefix}one`)).toBe('completed 2 a f')
    })

    it('go by themselves: a day after the lease or the release, and after the retention', async () => {
      const claim = await hold('running', 3 * day)
      expect(await daysOf('running')).toBe(4)
      await store.extend(claim, { leaseMs: day })
      expect(await daysOf('running')).toBe(2)
      await store.release(claim)
      expect(await daysOf('running')).toBe(1)
      await store.complete(await hold('running', 30_000), { retentionMs: 7 * day })
      expect(await daysOf('running')).toBe(7)
      expect(await store.prune()).toBe(0)
      expect(await daysOf('running')).toBe(7)
    })

    it('go after the retention where the lease would have lasted longer', async () => {
      await store.complete(await hold('short', 30 * day), { retentionMs: day })
      expect(await daysOf('short')).toBe(1)
    })

    it('can be kept for ten years, and for three hundred', async () => {
      await store.complete(await hold('long', 30_000), { retentionMs: 3_650 * day })
      expect(await daysOf('long')).toBe(3_650)
      const retentionMs = 1e13
      expect(await store.complete(await hold('longer', 30_000), { retentionMs })).toBe(true)
      expect(await daysOf('longer')).toBe(115_741)
    })

    it('begin with ringhook: if nothing else was said', async () => {
      await redisStore(raw).claim(id, { owner: 'a', leaseMs: 1_000, fingerprint: 'f' })
      expect(await raw.exists(`ringhook:${id}`)).toBe(1)
    })

    it('begin with any text that was asked for, also with none', async () => {
      for (const [index, odd] of ['', ' ', '*', '{a}', '\0', '\n', '名', '💥:'].entries()) {
        const key = `${id}-${index}`
        const options = { owner: 'a', leaseMs: 1_000, fingerprint: 'f' }
        const claim = await redisStore(raw, { prefix: odd }).claim(key, options)
        expect(claim.state).toBe('claimed')
        expect(await raw.exists(`${odd}${key}`)).toBe(1)
      }
    })

    it('are left alone, and refused, where they hold what somebody else wrote', async () => {
      await raw.set(`${prefix}text`, 'hello')
      await raw.set(`${prefix}alike`, 'paused 1 a f')
      await raw.rpush(`${prefix}list`, 'hello')
      const refused = { code: 'RINGHOOK_STORE_FAILED' }
      for (const key of ['text', 'alike', 'list']) {
        await expect(hold(key, 30_000)).rejects.toMatchObject(refused)
        await expect(store.forget(key)).rejects.toMatchObject(refused)
        await expect(store.status(key)).rejects.toMatchObject(refused)
      }
      expect(await raw.get(`${prefix}text`)).toBe('hello')
      expect(await raw.get(`${prefix}alike`)).toBe('paused 1 a f')
      expect(await raw.lrange(`${prefix}list`, 0, -1)).toEqual(['hello'])
    })

    it('are not marked inside a database transaction', async () => {
      const claim = await hold('transaction', 30_000)
      await expect(
        store.complete(claim, { retentionMs: hour, transaction: {} }),
      ).rejects.toMatchObject({
        code: 'RINGHOOK_STORE_NOT_TRANSACTIONAL',
        message: expect.stringContaining('postgresStore()'),
      })
      expect(await raw.get(`${prefix}transaction`)).toBe('running 1 a f')
    })
  })

  it('refuses a prefix that is no text, or not one that can be written', () => {
    for (const odd of [null, 1, {}, '\ud800', 'a\udc00']) {
      expect(codeOf(() => redisStore(raw, { prefix: odd as string }))).toBe(
        'RINGHOOK_OPTION_INVALID',
      )
    }
  })

  it('refuses to prune a limit that is no whole number from 1', async () => {
    const store = redisStore(raw)
    for (const limit of [0, -1, 1.5, Number.NaN]) {
      await expect(store.prune({ limit })).rejects.toMatchObject({
        code: 'RINGHOOK_OPTION_INVALID',
      })
    }
  })
})

describe('redisStore', () => {
  it('refuses what is no client of Redis', () => {
    for (const odd of [undefined, null, 'redis://127.0.0.1', {}, { eval() {} }, { evalsha() {} }]) {
      expect(codeOf(() => redisStore(odd as never))).toBe('RINGHOOK_STORE_INVALID')
    }
  })
})
