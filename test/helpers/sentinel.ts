import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { freePort, type RedisInstance, startRedis } from './redis-instance.ts'

/** What Sentinel calls its master here. */
export const masterName = 'ringhook'

/** A master, its replicas and a Sentinel of a test's own. */
export interface SentinelSetup {
  /** For the `sentinels` of a client. */
  readonly sentinels: { host: string; port: number }[]
  /** The one that began as the master, and then its replicas. */
  readonly servers: readonly [RedisInstance, ...RedisInstance[]]
  /** The port of the master, as Sentinel has it. */
  masterPort(): Promise<number>
  /** A planned failover. Resolves when Sentinel has begun with it. */
  failOver(): Promise<void>
  remove(): Promise<void>
}

/** Starts them, with settings for both servers as redis.conf has them. */
export async function startSentinel(
  settings: Readonly<Record<string, string>> = {},
  replicaCount = 1,
): Promise<SentinelSetup> {
  const master = await startRedis(settings)
  const replicas = await Promise.all(
    Array.from({ length: replicaCount }, () =>
      startRedis({ ...settings, replicaof: `127.0.0.1 ${master.port}` }),
    ),
  )
  for (const { raw } of replicas) {
    await until(async () => (await raw.info('replication')).includes('master_link_status:up'))
  }
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'ringhook-sentinel-'))
  // Sentinel writes what it learns into its settings.
  const file = join(folder, 'sentinel.conf')
  await writeFile(
    file,
    `port ${port}
bind 127.0.0.1
dir ${folder}
sentinel monitor ${masterName} 127.0.0.1 ${master.port} 1
sentinel down-after-milliseconds ${masterName} 1000
sentinel failover-timeout ${masterName} 10000
`,
  )
  const child = spawn('redis-server', [file, '--sentinel'], { stdio: 'ignore' })
  const raw = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null })
  raw.on('error', () => {
    // It is starting, or was ended.
  })
  // It knows of the replicas when it has asked the master.
  await until(async () => Number((await infoOf(raw)).get('num-slaves')) === replicaCount)
  return {
    sentinels: [{ host: '127.0.0.1', port }],
    servers: [master, ...replicas],
    masterPort: async () => Number((await infoOf(raw)).get('port')),
    failOver: async () => {
      await raw.call('SENTINEL', 'FAILOVER', masterName)
    },
    remove: async () => {
      raw.disconnect()
      await end(child)
      await Promise.all([master, ...replicas].map((server) => server.remove()))
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function infoOf(raw: Redis): Promise<ReadonlyMap<string, string>> {
  const told = await raw.call('SENTINEL', 'MASTER', masterName)
  // A list of names and values, or an object, by the protocol that was agreed on.
  if (!Array.isArray(told)) return new Map(Object.entries(told as Record<string, string>))
  return new Map(
    told.flatMap((name, index) =>
      index % 2 === 0 ? [[String(name), String(told[index + 1])]] : [],
    ),
  )
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, 20))
}
