import { randomUUID } from 'node:crypto'
import { Cluster } from 'ioredis'
import { Cluster as Cluster5 } from 'ioredis-5'
import { createCluster } from 'redis'
import { createCluster as createCluster5 } from 'redis-5'
import { storeContract, type TestFunction } from 'ringhook/conformance'
import { type RedisClient, redisStore } from 'ringhook/stores/redis'
import { afterAll, beforeAll, describe, expect, it, test, vi } from 'vitest'
import { type Connection, ofIoredis, ofNodeRedis, passTime } from '../helpers/redis-clients.ts'
import {
  describeWithRedisServer,
  freePort,
  type RedisInstance,
  startRedis,
} from '../helpers/redis-instance.ts'
import { onlyClientRules } from './client-rules.ts'

const makers: Readonly<Record<string, (urls: readonly string[]) => Promise<Connection>>> = {
  'ioredis 6': (urls) => ofIoredis(new Cluster([...urls])),
  'ioredis 6, auto-pipelining': (urls) =>
    ofIoredis(new Cluster([...urls], { enableAutoPipelining: true })),
  'ioredis 5': (urls) => ofIoredis(new Cluster5([...urls])),
  'redis 6': (urls) => ofNodeRedis(createCluster({ rootNodes: urls.map((url) => ({ url })) })),
  'redis 5': (urls) => ofNodeRedis(createCluster5({ rootNodes: urls.map((url) => ({ url })) })),
}

const slots = 16_384

describeWithRedisServer('redisStore on a cluster of three', () => {
  let nodes: readonly RedisInstance[] = []
  const urls = () => nodes.map(({ url }) => url)

  beforeAll(async () => {
    nodes = await Promise.all([0, 1, 2].map(startNode))
    await join(nodes)
  }, 60_000)
  afterAll(() => Promise.all(nodes.map((node) => node.remove())))

  for (const [name, make] of Object.entries(makers)) {
    describe(`with ${name}`, () => {
      const prefix = `${randomUUID()}:`
      let connection: Connection
      beforeAll(async () => {
        connection = await make(urls())
      })
      afterAll(() => connection.close())

      const contract = (its: TestFunction) =>
        storeContract({
          test: its,
          create: () => redisStore(connection.client, { prefix }),
          createNamed: (odd) => redisStore(connection.client, { prefix: `${odd}${prefix}` }),
          passTime: async (ms) => {
            await Promise.all(nodes.map(({ raw }) => passTime(raw, prefix, ms)))
          },
          sharedClock: true,
        })
      if (name === 'ioredis 6') contract(test)
      else onlyClientRules(contract)

      it('spreads its keys over the nodes, which all get its scripts when they lack them', async () => {
        const store = redisStore(connection.client, { prefix: `spread:${prefix}` })
        await store.migrate()
        await Promise.all(nodes.map(({ raw }) => raw.script('FLUSH')))
        const keys = Array.from({ length: 300 }, () => randomUUID())
        const options = { owner: 'a', leaseMs: 30_000, fingerprint: 'f' }
        const claims = await Promise.all(keys.map((key) => store.claim(key, options)))
        expect(new Set(claims.map(({ state }) => state))).toEqual(new Set(['claimed']))
        for (const { raw } of nodes) {
          const ofNode = (await raw.keys('spread:*')).filter((key) => key.includes(prefix))
          expect(ofNode.length).toBeGreaterThan(50)
        }
      })

      it('follows a key to the node that it moves to', async () => {
        await expectToFollow(connection.client, prefix)
      })
    })
  }

  /** Claims a key, moves its slot, and lets the same client go on. */
  async function expectToFollow(client: RedisClient, prefix: string): Promise<void> {
    const store = redisStore(client, { prefix })
    const options = { owner: 'a', leaseMs: 30_000, fingerprint: 'f' }
    const { wanderer, slot, from } = await findLonelySlot(prefix)
    const to = nodes.find((node) => node !== from)
    if (to === undefined) throw new Error('the cluster has no nodes')
    const key = `${prefix}${wanderer}`
    const claim = await store.claim(wanderer, options)
    if (claim.state !== 'claimed') throw new Error(claim.state)
    await to.raw.cluster('SETSLOT', slot, 'IMPORTING', await idOf(from))
    await from.raw.cluster('SETSLOT', slot, 'MIGRATING', await idOf(to))
    // While a slot moves, a key is where it was until it is moved, and then behind a redirection.
    expect((await store.claim(wanderer, { ...options, owner: 'b' })).state).toBe('in_flight')
    await from.raw.migrate('127.0.0.1', to.port, key, 0, 5_000)
    expect(await store.extend(claim, { leaseMs: 30_000 })).toBe(true)
    for (const { raw } of nodes) await raw.cluster('SETSLOT', slot, 'NODE', await idOf(to))
    expect(await store.complete(claim, { retentionMs: 60_000 })).toBe(true)
    expect((await store.claim(wanderer, options)).state).toBe('completed')
    // Back, so that the next client finds the nodes as they were.
    await to.raw.del(key)
    for (const { raw } of nodes) await raw.cluster('SETSLOT', slot, 'NODE', await idOf(from))
  }

  /** A name whose slot has no other key: a slot moves with all that is in it. */
  async function findLonelySlot(prefix: string) {
    for (let index = 0; index < 100; index++) {
      const wanderer = `wanderer ${index}`
      const slot = Number(await nodes[0]?.raw.cluster('KEYSLOT', `${prefix}${wanderer}`))
      const from = nodes[nodeOf(slot)]
      const keys = await from?.raw.cluster('COUNTKEYSINSLOT', slot)
      if (from !== undefined && Number(keys) === 0) return { wanderer, slot, from }
    }
    throw new Error('every slot has keys')
  }
})

async function startNode(): Promise<RedisInstance> {
  // Its default is the port and 10 000, which is beyond the last port for many that are free.
  const bus = await freePort()
  return startRedis({ 'cluster-enabled': 'yes', 'cluster-port': `${bus}` })
}

/** Makes single nodes one cluster, each with a third of the slots. */
async function join(nodes: readonly RedisInstance[]): Promise<void> {
  const [first] = nodes
  for (const [index, { raw, port }] of nodes.entries()) {
    const mine = Array.from({ length: slots }, (_, slot) => slot).filter(
      (slot) => nodeOf(slot) === index,
    )
    await raw.cluster('ADDSLOTSRANGE', mine[0] ?? 0, mine.at(-1) ?? 0)
    await raw.call('CLUSTER', 'SET-CONFIG-EPOCH', `${index + 1}`)
    const bus = Number(((await raw.config('GET', 'cluster-port')) as string[])[1])
    if (index > 0) await first?.raw.call('CLUSTER', 'MEET', '127.0.0.1', `${port}`, `${bus}`)
  }
  await vi.waitFor(
    async () => {
      for (const { raw } of nodes) {
        const info = String(await raw.cluster('INFO'))
        expect(info).toContain('cluster_state:ok')
        expect(info).toContain('cluster_known_nodes:3')
      }
    },
    { timeout: 30_000, interval: 50 },
  )
}

/** Which node a slot belongs to. */
function nodeOf(slot: number): number {
  return Math.floor((slot * 3) / slots)
}

async function idOf({ raw }: RedisInstance): Promise<string> {
  return String(await raw.cluster('MYID'))
}
