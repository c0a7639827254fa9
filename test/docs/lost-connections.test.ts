import { randomBytes } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import express from 'express'
import { createPool, type RowDataPacket } from 'mysql2/promise'
import { Pool } from 'pg'
import { krosai, type Receiver } from 'ringhook'
import { webhooks } from 'ringhook/express'
import { signedRequest } from 'ringhook/testing'
import { afterAll, expect, it, onTestFinished, vi } from 'vitest'
import { post } from '../helpers/deliveries.ts'
import { serveExpress } from '../helpers/frameworks.ts'
import { describeOn } from '../helpers/servers.ts'
import { blocksOf, unpack } from './pages.ts'

const secret = 'a secret for the recipes'
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const pages = [
  'docs/exactly-once.md',
  'docs/stores/postgres.md',
  'docs/stores/mysql.md',
  'docs/inboxes/pg-boss.md',
]
const { pathOf, remove } = unpack(
  'lost-connections',
  pages.flatMap(blocksOf).filter(({ file }) => !file.startsWith('line-')),
)
afterAll(remove)

/** A database of its own, in which calls are billed. */
interface Bills {
  /** Lets every write wait, until the promise of `work` has resolved. */
  locked(work: () => Promise<void>): Promise<void>
  /** Kills the connection that waits. Gives how many they were. */
  killWaiting(): Promise<number>
  count(): Promise<number>
}

describeOn('postgres', 'the recipes for Postgres', (url) => {
  it.each([
    ['docs/exactly-once.md', 'billing.ts', 'receiver'],
    ['docs/stores/postgres.md', 'exactly-once.ts', 'billing'],
  ])(
    'of %s outlive a connection that is killed in the handler’s insert',
    async (page, ...names) => {
      const bills = await postgresBills(url)

      await expectSurvival(await receiverOf(page, ...names), bills)
    },
  )

  it('of docs/inboxes/pg-boss.md outlive it too', async () => {
    const bills = await postgresBills(url)
    const billing = await receiverOf('docs/inboxes/pg-boss.md', 'exactly-once.ts', 'billing')
    const { boss, pool, receiver } = await load('docs/inboxes/pg-boss.md', 'receiver.ts')
    onTestFinished(async () => {
      await Promise.all([billing, receiver as Receiver].map((each) => each.close({ drainMs: 0 })))
      await (boss as { stop(options: object): Promise<void> }).stop({ graceful: false })
      await (pool as Pool).end()
    })
    const send = await senderTo(billing)

    await bills.locked(async () => {
      expect(await send()).toBe('200 accepted')
      await vi.waitUntil(async () => (await bills.killWaiting()) > 0, { timeout: 20_000 })
    })
    await vi.waitUntil(async () => (await bills.count()) > 0, { timeout: 30_000 })
    await vi.waitUntil(async () => (await billing.inbox.list()).length === 0, { timeout: 20_000 })

    expect(await bills.count()).toBe(1)
  })
})

describeOn('mysql', 'the recipe for MySQL', (url) => {
  it('outlives a connection that is killed in the handler’s insert', async () => {
    const bills = await mysqlBills(url)

    await expectSurvival(
      await receiverOf('docs/stores/mysql.md', 'exactly-once.ts', 'billing'),
      bills,
    )
  })
})

/** An error that ends the process would fail the run. */
async function expectSurvival(receiver: Receiver, bills: Bills): Promise<void> {
  const send = await senderTo(receiver)
  const answers: string[] = []

  await bills.locked(async () => {
    const sending = send()
    await vi.waitUntil(async () => (await bills.killWaiting()) > 0, { timeout: 20_000 })
    answers.push(await sending)
  })
  const left = await bills.count()
  answers.push(await send(), await send())

  expect(answers).toEqual(['500 failed', '200 handled', '200 duplicate'])
  expect([left, await bills.count()]).toEqual([0, 1])
}

/** Sends one event to a receiver over HTTP, as often as it is called. */
async function senderTo(receiver: Receiver): Promise<() => Promise<string>> {
  const server = await serveExpress(express().post('/hooks', webhooks(receiver)))
  onTestFinished(() => server.close())
  const request = signedRequest(krosai, 'call.completed', { secret })
  return async () => {
    const { status, body } = await post(server.url, request)
    return `${status} ${JSON.parse(body).outcome}`
  }
}

async function receiverOf(page: string, file: string, name: string): Promise<Receiver> {
  vi.spyOn(console, 'error').mockReturnValue()
  onTestFinished(() => void vi.restoreAllMocks())
  return (await load(page, file))[name] as Receiver
}

async function load(page: string, file: string): Promise<Readonly<Record<string, unknown>>> {
  const block = blocksOf(page).find((candidate) => candidate.file === file)
  if (block === undefined) throw new Error(`${page} has no ${file}`)
  return await import(pathToFileURL(pathOf(block)).href)
}

async function postgresBills(server: string): Promise<Bills> {
  const name = `ringhook_${randomBytes(8).toString('hex')}`
  const admin = new Pool({ connectionString: server, max: 1 })
  await admin.query(`create database ${name}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  const pool = new Pool({ connectionString: url.href })
  pool.on('error', () => {})
  onTestFinished(async () => {
    await pool.end()
    await admin.query(`drop database ${name} with (force)`)
    await admin.end()
  })
  await pool.query('create table bills (call_id text, seconds integer)')
  await pool.query((await import('ringhook/stores/postgres')).postgresMigration())
  environment(url.href)
  return {
    async locked(work) {
      const client = await pool.connect()
      await client.query('begin; lock table bills')
      await work().finally(() => client.query('rollback'))
      client.release()
    },
    async killWaiting() {
      const { rowCount } = await pool.query(`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = '${name}' and wait_event_type = 'Lock' and query ilike 'insert into bills%'`)
      return rowCount ?? 0
    },
    async count() {
      const { rows } = await pool.query('select 1 from bills')
      return rows.length
    },
  }
}

async function mysqlBills(server: string): Promise<Bills> {
  const name = `ringhook_${randomBytes(8).toString('hex')}`
  const url = new URL(server)
  url.pathname = `/${name}`
  const admin = createPool({ uri: server, connectionLimit: 1 })
  await admin.query(`create database ${name}`)
  const pool = createPool(url.href)
  onTestFinished(async () => {
    await pool.end()
    await admin.query(`drop database ${name}`)
    await admin.end()
  })
  await pool.query('create table bills (call_id varchar(100))')
  environment(url.href)
  return {
    async locked(work) {
      const connection = await pool.getConnection()
      await connection.query('lock tables bills write')
      await work().finally(() => connection.query('unlock tables'))
      connection.release()
    },
    async killWaiting() {
      const [rows] = await pool.query<
        RowDataPacket[]
      >(`select id from information_schema.processlist
        where db = '${name}' and info like 'INSERT INTO bills%'`)
      const ids = rows.map(({ id }) => Number(id))
      for (const id of ids) await pool.query(`kill ${id}`)
      return ids.length
    },
    async count() {
      const [rows] = await pool.query<RowDataPacket[]>('select 1 from bills')
      return rows.length
    },
  }
}

/** What the blocks read. */
function environment(url: string): void {
  vi.stubEnv('KROSAI_WEBHOOK_SECRET', secret)
  vi.stubEnv('DATABASE_URL', url)
  vi.stubEnv('MYSQL_URL', url)
  onTestFinished(() => void vi.unstubAllEnvs())
}
