import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { describe } from 'vitest'
import { endingOf } from './endings.ts'

/** A Redis of a test's own: to be broken. */
export interface RedisInstance {
  readonly port: number
  readonly url: string
  /** Where it keeps its files. */
  readonly folder: string
  /** A client that shares nothing with the one under test. */
  readonly raw: Redis
  /** Ends it without a farewell. */
  kill(): Promise<void>
  /** Starts it again after `kill`, on the same port. */
  restart(): Promise<void>
  /** Ends it and removes its files. */
  remove(): Promise<void>
}

const hasRedis = spawnSync('redis-server', ['--version']).status === 0

/** Describes tests that start Redis themselves. Where its binary is missing they are skipped. */
export function describeWithRedisServer(name: string, run: () => void): void {
  if (!hasRedis && process.env['CI'] === 'true') {
    throw new Error('With CI=true redis-server must be on the path.')
  }
  describe.skipIf(!hasRedis)(hasRedis ? name : `${name} (no redis-server on the path)`, run)
}

/** Starts a Redis on a free port that keeps nothing, with settings as redis.conf has them. */
export async function startRedis(
  settings: Readonly<Record<string, string>> = {},
): Promise<RedisInstance> {
  const folder = await mkdtemp(join(tmpdir(), 'ringhook-redis-'))
  const port = await freePort()
  const given = Object.entries(settings).flatMap(([name, value]) => [
    `--${name}`,
    ...value.split(' '),
  ])
  const own = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', '']
  const password = settings['requirepass']
  const url = `redis://127.0.0.1:${port}`
  const raw = new Redis(url, { lazyConnect: true, ...(password === undefined ? {} : { password }) })
  raw.on('error', () => {
    // It is killed on purpose; what a test asks of it rejects.
  })
  let child: ChildProcess | undefined

  async function restart(): Promise<void> {
    const started = spawn('redis-server', [...own, ...given], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    child = started
    await readyLine(started)
  }

  async function kill(): Promise<void> {
    if (child === undefined || endingOf(child) !== undefined) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  async function remove(): Promise<void> {
    raw.disconnect()
    await kill()
    await rm(folder, { recursive: true, force: true })
  }

  try {
    await restart()
  } catch (error) {
    await remove()
    throw error
  }
  return { port, url, folder, raw, kill, restart, remove }
}

/** A port that nobody listened at a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Waits until the server says that it takes connections. */
function readyLine(child: ChildProcess): Promise<void> {
  let said = ''
  return new Promise((resolve, reject) => {
    // To the end, or a full pipe would stop the server.
    child.stdout?.on('data', (chunk: Buffer) => {
      said = `${said}${chunk}`.slice(-4_000)
      if (said.includes('Ready to accept connections')) resolve()
    })
    child.once('error', reject)
    child.once('exit', () => reject(new Error(`redis-server did not start:\n${said}`)))
  })
}
