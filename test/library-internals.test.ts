import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { Queue, Worker } from 'bullmq'
import { Cluster, Redis } from 'ioredis'
import { createPool as createCallbackPool } from 'mysql2'
import { createPool } from 'mysql2/promise'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { describeOn } from './helpers/servers.ts'
import { pgBossSchema } from './inboxes/pg-boss-queues.ts'

/*
 * What ringhook uses of other libraries without their documentation promising it. If one of these
 * tests fails after an update, the file that it names has to change with the library.
 */

const root = fileURLToPath(new URL('..', import.meta.url))

interface Pin {
  /** The package. */
  readonly library: string
  /** The file of ours that relies on it. */
  readonly file: string
}

/** Says what changed in which library, and which file relies on it. */
function because({ library, file }: Pin, what: string): string {
  const manifest = readFileSync(`${root}node_modules/${library}/package.json`, 'utf8')
  const { version } = JSON.parse(manifest) as { readonly version: string }
  expect(existsSync(root + file), `${file} has moved: correct this test`).toBe(true)
  return `${library} ${version} has changed: ${what} no longer holds, and ${file} relies on it`
}

/** Expects of a library what ringhook relies on. */
function expectOf(pin: Pin, what: string, found: unknown): void {
  expect(found, because(pin, what)).toBe(true)
}

type Members = Readonly<Record<string, unknown>>

function hasMethods(value: unknown, ...names: readonly string[]): boolean {
  return names.every((name) => typeof (value as Members)[name] === 'function')
}

describeOn('redis', 'BullMQ, as bullmqInbox() relies on it,', (url) => {
  const pinTo = (file: string): Pin => ({ library: 'bullmq', file: `src/inboxes/bullmq/${file}` })

  function openQueue(): Queue {
    const queue = new Queue(`internals-${randomUUID()}`, { connection: { url } })
    onTestFinished(async () => {
      await queue.obliterate({ force: true })
      await queue.close()
    })
    return queue
  }

  /** Has a job processed by a worker and returns what its `createJob` was called with. */
  async function process(queue: Queue, run: () => Promise<void>, options: object = {}) {
    const calls: unknown[][] = []
    const connection = { url, maxRetriesPerRequest: null }
    const worker = new Worker(queue.name, run, { connection, autorun: false, ...options })
    onTestFinished(() => worker.close(true))
    const inner = worker as unknown as { createJob(...values: unknown[]): unknown }
    const { createJob } = inner
    inner.createJob = (...values) => {
      calls.push(values)
      return createJob.apply(worker, values)
    }
    const ended = new Promise<void>((resolve) => {
      worker.once('completed', () => resolve())
      worker.once('failed', () => resolve())
    })
    await worker.waitUntilReady()
    void worker.run()
    await ended
    return calls
  }

  it('makes each job by Worker.createJob(), with its data as text', async () => {
    const queue = openQueue()
    await queue.add('any', { a: 1 }, { jobId: 'a-job' })
    const calls = await process(queue, async () => {})

    const [stored, jobId] = (calls[0] ?? []) as [{ readonly data?: unknown }?, unknown?]
    const pin = pinTo('worker.ts')
    expectOf(pin, 'that Worker calls its own createJob()', calls.length > 0)
    expectOf(pin, 'createJob(stored, jobId) with data as text', stored?.data === '{"a":1}')
    expectOf(pin, 'createJob(stored, jobId) with the id second', jobId === 'a-job')
  })

  it('knows an unrecoverable error by its name, and keeps what the listing reads', async () => {
    const queue = openQueue()
    const client = (await queue.getBackend().client) as unknown as Redis
    await queue.add('any', {}, { jobId: 'a-job', attempts: 10, backoff: { type: 'custom' } })
    const error = Object.assign(new Error('why'), { name: 'UnrecoverableError' })
    await process(queue, () => Promise.reject(error))

    const fields = await client.hgetall(queue.toKey('a-job'))
    const pin = pinTo('entries.ts')
    const isFailed = (await client.zscore(queue.toKey('failed'), 'a-job')) !== null
    expectOf(pinTo('settle.ts'), 'a final failure by the name UnrecoverableError', isFailed)
    expectOf(pin, 'the hash of a job with atm as its failed attempts', fields['atm'] === '1')
    expectOf(pin, 'failedReason as the message', fields['failedReason'] === 'why')
    for (const name of ['timestamp', 'data', 'processedOn', 'finishedOn']) {
      expectOf(pin, `the hash of a job with ${name}`, fields[name] !== undefined)
    }
  })

  it('leaves a job alone for an error with the name DelayedError, and scores it by its time', async () => {
    const queue = openQueue()
    const client = (await queue.getBackend().client) as unknown as Redis
    const dueAt = Date.now() + 60 * 60_000
    await queue.add('any', {}, { jobId: 'a-job' })
    const worker = new Worker(queue.name, undefined, {
      connection: { url, maxRetriesPerRequest: null },
    })
    onTestFinished(() => worker.close(true))
    const job = await worker.getNextJob('token')
    await job?.moveToDelayed(dueAt, 'token')

    const score = Number(await client.zscore(queue.toKey('delayed'), 'a-job'))
    const milliseconds = Math.floor(score / 0x1000)
    expectOf(pinTo('entries.ts'), 'a score of the time × 4096', milliseconds === dueAt)
    const source = Object.getOwnPropertyDescriptors(Worker.prototype)['handleFailed']?.value
    const names = String(source)
    expectOf(pinTo('settle.ts'), 'the name DelayedError', names.includes("'DelayedError'"))
  })

  it('keeps waiting jobs in the lists that the listing reads', async () => {
    const queue = openQueue()
    const client = (await queue.getBackend().client) as unknown as Redis
    await queue.add('any', {}, { jobId: 'a-job' })
    await queue.add('any', {}, { jobId: 'urgent', priority: 1 })

    const waiting = await client.lrange(queue.toKey('wait'), 0, -1)
    const prioritized = await client.zrange(queue.toKey('prioritized'), 0, '-1')
    const pin = pinTo('entries.ts')
    expectOf(pin, 'the list "wait"', waiting.includes('a-job'))
    expectOf(pin, 'the sorted set "prioritized"', prioritized.includes('urgent'))
    await queue.pause()
    const counts = await queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed')
    const total = (counts['waiting'] ?? 0) + (counts['paused'] ?? 0)
    expectOf(pin, 'counts of a paused queue as waiting or paused', total === 1)
  })

  it('has a client behind getBackend(), and the members by which a queue and a Worker are known', async () => {
    const queue = openQueue()
    const { client } = queue.getBackend() as unknown as { readonly client: Promise<unknown> }
    expectOf(pinTo('connection.ts'), 'getBackend().client as a promise', hasMethods(client, 'then'))
    expectOf(pinTo('scripts.ts'), 'runCommand()', hasMethods(await client, 'runCommand'))
    const its = Worker.prototype as unknown
    expectOf(pinTo('checks.ts'), 'Worker.prototype.getNextJob', hasMethods(its, 'getNextJob'))
    const ours = ['toKey', 'on', 'add', 'remove', 'getJob', 'getJobState', 'getJobCounts']
    expectOf(pinTo('checks.ts'), `the methods ${ours.join(', ')}`, hasMethods(queue, ...ours))
  })

  it('names the connections of workers so that foreign ones can be told apart', async () => {
    const queue = openQueue()
    const connection = { url, maxRetriesPerRequest: null }
    const worker = new Worker(queue.name, async () => {}, { connection, name: 'ringhook:mine' })
    onTestFinished(() => worker.close(true))
    await worker.waitUntilReady()
    let names: (string | undefined)[] = []
    await expect
      .poll(async () => {
        names = (await queue.getWorkers()).map(({ rawname }) => rawname)
        return names.length
      })
      .toBe(1)

    const isNamed = names[0]?.endsWith(':w:ringhook:mine') === true
    expectOf(pinTo('foreign-workers.ts'), 'rawname that ends in :w: and the name', isNamed)
  })
})

describeOn('postgres', 'pg-boss, as pgBossInbox() relies on it,', (url) => {
  const { boss: start, inbox } = pgBossSchema(url)
  const pinTo = (file: string): Pin => ({ library: 'pg-boss', file: `src/inboxes/pg-boss/${file}` })

  it('sends one SELECT for findJobs(), which can stand in the FROM of another', async () => {
    const [boss, { queue }] = [await start(), await inbox()]
    await boss.send(queue, { a: 1 }, { singletonKey: 'a' })
    const sent: string[] = []
    const db = {
      executeSql: (text: string, values?: unknown[]) => {
        sent.push(text)
        return boss.getDb().executeSql(`SELECT * FROM (${text}) AS job`, values)
      },
    }
    const rows = (await boss.findJobs(queue, { db })) as unknown as readonly Members[]

    const pin = pinTo('queue.ts')
    expectOf(pin, 'one statement of findJobs() through the option db', sent.length === 1)
    expectOf(pin, 'that findJobs() returns the rows of that statement', rows.length === 1)
    const columns = ['id', 'state', 'singletonKey', 'data', 'startedOn', 'retryCount']
    for (const name of [...columns, 'startAfter', 'createdOn']) {
      expectOf(pinTo('entries.ts'), `the column ${name} of findJobs()`, name in (rows[0] ?? {}))
    }
  })

  it('counts what a call has changed, and compares the claim', async () => {
    const [boss, { queue }] = [await start(), await inbox()]
    await boss.send(queue, {}, { singletonKey: 'a' })
    const [job] = await boss.fetch(queue, { includeMetadata: true })
    const claim = { id: job?.id ?? '', retryCount: job?.retryCount ?? 0 }
    const stale = { ...claim, retryCount: claim.retryCount + 1 }

    const pin = pinTo('queue.ts')
    const affected = async (answer: Promise<unknown>) => ((await answer) as Members)['affected']
    const fenced = 'that a claim with another retryCount changes nothing'
    expectOf(pin, fenced, (await affected(boss.touch(queue, [stale]))) === 0)
    expectOf(pin, fenced, (await affected(boss.fail(queue, [stale], null))) === 0)
    expectOf(pin, fenced, (await affected(boss.complete(queue, [stale], null))) === 0)
    const counted = 'affected in the answer of touch(), fail() and complete()'
    expectOf(pin, counted, (await affected(boss.touch(queue, [claim]))) === 1)
    expectOf(pin, counted, (await affected(boss.complete(queue, [claim], null))) === 1)
  })

  it('says in these words that it has no queue, and is not started', async () => {
    const boss = await start()
    const messageOf = (failing: Promise<unknown>) =>
      failing.then(
        () => '',
        (error: Error) => error.message,
      )
    const noQueue = await messageOf(boss.send('nowhere', {}, { singletonKey: 'a' }))
    const pin = pinTo('failures.ts')
    expectOf(pin, '"Queue … does not exist"', /^Queue .* does not exist$/.test(noQueue))
    const stopped = await start()
    await stopped.stop({ graceful: false })
    const notOpen = await messageOf(stopped.send('nowhere', {}, { singletonKey: 'a' }))
    const isNotOpen = /^Database (connection is )?not opened/.test(notOpen)
    expectOf(pin, '"Database not opened"', isNotOpen)
  })

  it('opens transactions, and lists the workers of its instance', async () => {
    const [boss, { queue }] = [await start(), await inbox()]
    expectOf(pinTo('queue.ts'), 'beginTransaction()', hasMethods(boss.getDb(), 'beginTransaction'))
    await boss.work(queue, async () => {})
    const workers = boss.getWipData({ includeInternal: true })
    const isListed = workers.some(({ name }) => name === queue)
    const pin: Pin = { library: 'pg-boss', file: 'src/inboxes/pg-boss.ts' }
    expectOf(pin, 'getWipData() with the name of the queue', isListed)
    await boss.offWork(queue)
  })
})

describeOn('postgres', 'pg, as postgresStore() relies on it,', (url) => {
  const client: Pin = { library: 'pg', file: 'src/databases/node-postgres.ts' }
  const failures: Pin = { library: 'pg', file: 'src/databases/postgres-failures.ts' }

  it('reads the connection timeout of a pool before connect() returns, and not after that', async () => {
    // A server that never answers: the connection is being made for as long as the test lasts.
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { readonly port: number }
    const pool = new pg.Pool({ host: '127.0.0.1', port, max: 1 })
    const connected = new Promise<void>((resolve) => {
      server.once('connection', (socket) => {
        socket.once('data', () => resolve())
        onTestFinished(() => void socket.destroy())
      })
    })
    onTestFinished(() => void server.close())
    let reads = 0
    Object.defineProperty(pool.options, 'connectionTimeoutMillis', {
      configurable: true,
      get: () => {
        reads++
        return 0
      },
    })
    pool.on('error', () => {})
    pool.connect(() => {})
    const before = reads
    await connected

    expectOf(
      { ...client, library: 'pg-pool' },
      'connectionTimeoutMillis, read inside connect()',
      before > 0 && reads === before,
    )
  })

  it('has the members by which a Pool, a Client and their states are known', async () => {
    const pool = new pg.Pool({ connectionString: url })
    onTestFinished(() => pool.end())
    expectOf(client, 'totalCount of a Pool', 'totalCount' in pool)
    expectOf(client, 'options of a Pool', typeof pool.options === 'object')
    const connection = new pg.Client({ connectionString: url })
    const states = () => {
      const { _connected, _connecting, _ended, _ending } = connection as unknown as Members
      return [_connected, _connecting, _ended, _ending].map(Boolean).join()
    }
    const what = '_connected, _connecting, _ended and _ending of a Client'
    const isThere = ['_connected', '_connecting'].every((name) => name in connection)
    expectOf(failures, what, isThere && states() === 'false,false,false,false')
    expectOf(client, 'connectionParameters of a Client', 'connectionParameters' in connection)
    await connection.connect()
    expectOf(failures, what, states().startsWith('true'))
    const status = () =>
      (connection as unknown as { getTransactionStatus(): unknown }).getTransactionStatus()
    expectOf(
      client,
      'getTransactionStatus() of a Client',
      hasMethods(connection, 'getTransactionStatus'),
    )
    expectOf(client, 'the status I outside of transactions', status() === 'I')
    await connection.query('BEGIN')
    expectOf(client, 'the status T in a transaction', status() === 'T')
    await connection.query('SELECT 1 / 0').catch(() => {})
    expectOf(client, 'the status E in a failed transaction', status() === 'E')
    await connection.end()
    expectOf(failures, what, states().endsWith('true'))
  })

  it('takes a time limit and parsers with a statement', async () => {
    const connection = new pg.Client({ connectionString: url })
    await connection.connect()
    onTestFinished(() => connection.end())
    const types = { getTypeParser: () => String }
    const query = { text: 'SELECT 1 AS one', types, query_timeout: 60_000 }
    const { rows } = await connection.query(query as unknown as pg.QueryConfig)
    expectOf(client, 'types of a statement', rows[0].one === '1')
    const slow = { text: 'SELECT pg_sleep(60)', query_timeout: 1 }
    const failed = await connection.query(slow as unknown as pg.QueryConfig).then(
      () => false,
      () => true,
    )
    expectOf(client, 'query_timeout of a statement', failed)
  })
})

describe('the clients of Redis, MySQL and SQLite, as their stores rely on them,', () => {
  it('have the members that ringhook looks at', () => {
    const redis = new Redis({ lazyConnect: true })
    const cluster = new Cluster([{ host: '127.0.0.1', port: 1 }], { lazyConnect: true })
    const connection: Pin = { library: 'ioredis', file: 'src/inboxes/bullmq/connection.ts' }
    expectOf(connection, 'status of a client', redis.status === 'wait')
    expectOf(connection, 'isCluster of a Cluster', cluster.isCluster === true)
    expectOf(
      connection,
      'duplicate() and defineCommand()',
      hasMethods(redis, 'duplicate', 'defineCommand'),
    )
    const warnings: Pin = { library: 'ioredis', file: 'src/databases/redis-warnings.ts' }
    const sentinels = [{ host: '127.0.0.1', port: 1 }]
    const { options } = new Redis({
      sentinels,
      name: 'm',
      failoverDetector: true,
      lazyConnect: true,
    })
    const isKept = options.sentinels?.length === 1 && options.failoverDetector === true
    expectOf(warnings, 'options.sentinels and options.failoverDetector', isKept)

    const mysql: Pin = { library: 'mysql2', file: 'src/stores/mysql/client.ts' }
    const pool = createPool({})
    expectOf(mysql, 'getConnection() of a pool', hasMethods(pool, 'getConnection'))
    expectOf(
      mysql,
      'promise() of a pool with callbacks',
      hasMethods(createCallbackPool({}), 'promise'),
    )

    const sqlite: Pin = { library: 'better-sqlite3', file: 'src/databases/sqlite/database.ts' }
    const database = new Database(':memory:')
    onTestFinished(() => void database.close())
    expectOf(sqlite, 'inTransaction', database.inTransaction === false)
  })
})

describeOn('mysql', 'mysql2, as mysqlStore() relies on it,', (url) => {
  it('wraps the same connection each time that a pool hands it out', async () => {
    const pool = createPool({ uri: url, connectionLimit: 1 })
    onTestFinished(() => pool.end())
    const sessions: unknown[] = []
    for (let turn = 0; turn < 2; turn++) {
      const lent = await pool.getConnection()
      sessions.push((lent as unknown as Members)['connection'])
      lent.release()
    }
    const isSame = sessions[0] !== undefined && sessions[0] === sessions[1]
    const pin: Pin = { library: 'mysql2', file: 'src/stores/mysql/client.ts' }
    expectOf(pin, 'connection of a pooled connection, the same each time', isSame)
  })
})
