import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { blockNamed, unpack } from '../docs/pages.ts'
import { type Program, start } from '../examples/program.ts'
import { type Sent, secret, Traffic } from './traffic.ts'

/** The programs of docs/deploying.md, with what they need. */
const recipes: readonly {
  readonly file: string
  readonly needs?: 'postgres' | 'redis'
  env(url: string): Promise<Record<string, string>>
}[] = [
  { file: 'server.ts', needs: 'postgres', env: ownSchema },
  { file: 'koa.ts', needs: 'redis', env: ownKeys },
  {
    file: 'fastify.ts',
    env: async () => {
      const folder = mkdtempSync(join(tmpdir(), 'ringhook-deploying-'))
      onTestFinished(() => rmSync(folder, { recursive: true }))
      return { RINGHOOK_DB: join(folder, 'ringhook.db') }
    },
  },
]

describe.each(recipes)('$file of docs/deploying.md', ({ file, needs, env }) => {
  const url = needs === undefined ? '' : inject('servers')[needs]
  /** A handler of an inbox may run in the next process. */
  const savesAtOnce = file !== 'fastify.ts'

  async function run(acceptForMs: number): Promise<{ program: Program; traffic: Traffic }> {
    const block = blockNamed('docs/deploying.md', file)
    const { pathOf, remove } = unpack(`deploying-${file}-${acceptForMs}`, [block])
    onTestFinished(remove)
    const program = await start(pathOf(block), {
      env: {
        ...(await env(url ?? '')),
        KROSAI_WEBHOOK_SECRET: secret,
        PORT: '0',
        ACCEPT_FOR_MS: String(acceptForMs),
      },
    })
    const [, port] = await program.printed(/Listening on [^}]*port: (\d+)/)
    const name = randomBytes(4).toString('hex')
    return { program, traffic: new Traffic(`http://localhost:${port}/hooks`, name) }
  }

  it.skipIf(url === undefined)(
    'refuses nothing while the load balancer still sends, loses nothing, and ends by itself',
    async () => {
      // The first of the programs stops waiting at a second signal.
      const takesSecondSignal = file === 'server.ts'
      const { program, traffic } = await run(takesSecondSignal ? 600_000 : 3_000)
      await traffic.more(40)
      program.kill('SIGTERM')
      // Two answers for each sender: one at least was asked for after the signal.
      await traffic.more(16)
      await traffic.stop()
      if (takesSecondSignal) program.kill('SIGTERM')
      const { code, signal, stdout, stderr } = await program.ended

      expect([code, signal, stderr]).toEqual([0, null, ''])
      expect(stdout).toMatch(/Stopped\n$/)
      expect(traffic.sent.filter(({ status }) => status !== 200)).toEqual([])
      expect(traffic.sent.at(-1)?.connection).toBe('close')
      if (savesAtOnce) expect(missingIn(stdout, traffic.sent)).toEqual([])
    },
    60_000,
  )

  it.skipIf(url === undefined)(
    'resets no kept connection of senders that never notice, and has handled what it answered 200',
    async () => {
      const { program, traffic } = await run(1_000)
      await traffic.more(40)
      program.kill('SIGTERM')
      await traffic.refused
      const { code, signal, stdout, stderr } = await program.ended

      expect([code, signal, stderr]).toEqual([0, null, ''])
      // A connection that the system took while the server stopped listening is none that was kept.
      const lost = traffic.sent.filter(({ error, wasKept }) => error !== undefined && wasKept)
      expect(lost).toEqual([])
      for (const { status, connection } of traffic.answers) {
        if (status !== 200) expect([status, connection]).toEqual([503, 'close'])
      }
      if (savesAtOnce) expect(missingIn(stdout, traffic.sent)).toEqual([])
    },
    60_000,
  )
})

/** The deliveries that were answered 200 although nothing was saved. */
function missingIn(stdout: string, sent: readonly Sent[]): string[] {
  const saved = new Set([...stdout.matchAll(/^saved (\S+)$/gm)].map(([, callId]) => callId))
  return sent
    .filter(({ status, callId }) => status === 200 && !saved.has(callId))
    .map(({ callId }) => callId)
}

async function ownSchema(url: string): Promise<Record<string, string>> {
  const schema = `deploying_${randomBytes(4).toString('hex')}`
  const query = async (sql: string) => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    await client.query(sql)
    await client.end()
  }
  await query(`create schema ${schema}`)
  onTestFinished(() => query(`drop schema ${schema} cascade`))
  const own = new URL(url)
  own.searchParams.set('options', `-c search_path=${schema}`)
  return { DATABASE_URL: String(own) }
}

async function ownKeys(url: string): Promise<Record<string, string>> {
  const keyPrefix = `deploying_${randomBytes(4).toString('hex')}:`
  onTestFinished(async () => {
    const client = new Redis(url)
    const keys = await client.keys(`${keyPrefix}*`)
    if (keys.length > 0) await client.unlink(keys)
    client.disconnect()
  })
  return { REDIS_URL: `${url}?keyPrefix=${keyPrefix}` }
}
