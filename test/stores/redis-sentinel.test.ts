import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import { createClient } from 'redis'
import { bullmqInbox } from 'ringhook/inboxes/bullmq'
import { redisStore } from 'ringhook/stores/redis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { describeWithRedisServer, startRedis } from '../helpers/redis-instance.ts'
import { masterName, type SentinelSetup, startSentinel } from '../helpers/sentinel.ts'

const noDetector = expect.stringMatching(/without failoverDetector.*Set failoverDetector: true/)
const unguarded = expect.stringMatching(
  /Set min-replicas-to-write to the number of replicas, and min-replicas-max-lag 10/,
)

/** A logger, and what it was told. */
function listening() {
  const lines: string[] = []
  const write = (line: string) => void lines.push(line)
  return { lines, logger: { debug: write, info: write, warn: write, error: write } }
}

describeWithRedisServer('behind Sentinel', () => {
  let setup: SentinelSetup
  beforeAll(async () => {
    setup = await startSentinel()
  })
  afterAll(() => setup.remove())

  function clientOf(Client: typeof Redis | typeof Redis5, failoverDetector: boolean): Redis {
    const client = new (Client as typeof Redis)({
      sentinels: setup.sentinels,
      name: masterName,
      failoverDetector,
    })
    client.on('error', () => {})
    onTestFinished(() => client.disconnect())
    return client
  }

  /** Whether the servers take no write that no replica has. */
  async function guard(isOn: boolean): Promise<void> {
    for (const { raw } of setup.servers)
      await raw.config('SET', 'min-replicas-to-write', isOn ? 1 : 0)
  }

  describe.each([
    ['ioredis 6', Redis],
    ['ioredis 5', Redis5],
  ])('redisStore with %s', (_name, Client) => {
    it.each([
      [false, false, [noDetector, unguarded]],
      [true, false, [unguarded]],
      [false, true, [noDetector]],
      [true, true, []],
    ])('warns of what is missing: detector %s, guard %s', async (detector, guarded, warnings) => {
      await guard(guarded)
      const { lines, logger } = listening()
      const store = redisStore(clientOf(Client as typeof Redis, detector), { logger })
      await store.migrate()
      await store.migrate()
      expect(lines).toEqual(warnings)
    })
  })

  it('redisStore warns after its first claim where nobody migrates', async () => {
    await guard(false)
    const { lines, logger } = listening()
    const store = redisStore(clientOf(Redis, false), { logger })
    await store.claim('a', { owner: 'a', leaseMs: 1_000, fingerprint: 'f' })
    // Behind what it asks by itself on the same connection.
    await store.status('a')
    await store.status('a')
    expect(lines).toEqual([noDetector, unguarded])
  })

  it('redisStore warns a client that knows of no Sentinel about the server alone', async () => {
    await guard(false)
    const client = createClient({ url: setup.servers[0].url })
    await client.connect()
    onTestFinished(() => client.destroy())
    const { lines, logger } = listening()
    await redisStore(client, { logger }).migrate()
    expect(lines).toEqual([unguarded])
  })

  it('bullmqInbox warns of the same, with a client or with options', async () => {
    const options = { sentinels: setup.sentinels, name: masterName, enableOfflineQueue: false }
    for (const connection of [options, clientOf(Redis, false)]) {
      await guard(false)
      const queue = new Queue('sentinel', { connection: connection as never })
      queue.on('error', () => {})
      onTestFinished(() => queue.close())
      const { lines, logger } = listening()
      const inbox = bullmqInbox(queue, { Worker, logger })
      await inbox.migrate()
      await inbox.migrate()
      expect(lines).toEqual([noDetector, unguarded])
    }
  })
})

describeWithRedisServer('on a Redis alone', () => {
  it('nothing is said, and nothing where INFO is forbidden', async () => {
    const server = await startRedis()
    onTestFinished(() => server.remove())
    const { lines, logger } = listening()
    const client = new Redis(server.url, { enableReadyCheck: false })
    onTestFinished(() => client.disconnect())
    await redisStore(client, { logger }).migrate()
    await server.raw.call('ACL', 'SETUSER', 'default', '-info')
    await redisStore(client, { logger }).migrate()
    expect(lines).toEqual([])
  })
})

describe('a client whose options are odd', () => {
  it('is no reason to fail', async () => {
    for (const options of [undefined, null, 7, { sentinels: 'a' }, { sentinels: null }]) {
      const { lines, logger } = listening()
      const answering = async () => 'policy noeviction replicas unknown'
      const client = { evalsha: answering, eval: answering, options }
      await redisStore(client, { logger }).migrate()
      expect(lines).toEqual([])
    }
  })
})
