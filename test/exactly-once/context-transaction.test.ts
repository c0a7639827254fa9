import type { Database } from 'better-sqlite3'
import { createPool, type PoolConnection } from 'mysql2/promise'
import { Client, Pool, type PoolClient } from 'pg'
import {
  createReceiver,
  type HandlerContext,
  type IdempotencyStore,
  krosai,
  memoryStore,
} from 'ringhook'
import { mysqlStore } from 'ringhook/stores/mysql'
import { postgresStore } from 'ringhook/stores/postgres'
import { deliver, signedRequest } from 'ringhook/testing'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { holdingProxy } from './holding-proxy.ts'
import { mysqlPlace, type Place, postgresPlace, sqlitePlace } from './place.ts'

const secret = 'a secret for tests'
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

type Run = (id: string, context: HandlerContext) => unknown

interface Scene {
  readonly place: Place
  /** Writes the line of an event, in one go or with promises. */
  insert(transaction: unknown, id: string): unknown
}

describeOn('postgres', 'context.transaction() on Postgres', (url) => {
  const scene = openScene(() => postgresPlace(url), insertInPostgres)
  testTransactions(scene)

  const kill = async (client: unknown) => {
    const { rows } = await (client as PoolClient).query('select pg_backend_pid() as pid')
    return `select pg_terminate_backend(${rows[0].pid})`
  }
  testDeaths(scene, kill, async (client) => {
    await (client as PoolClient).query('select pg_terminate_backend(pg_backend_pid())')
  })
  testCommits(scene, (proxied) => {
    const pool = new Pool({ connectionString: proxied })
    pool.on('error', () => {})
    return { store: postgresStore(pool), close: () => pool.end() }
  })

  it('is rolled back if the handler ignores a statement that failed', async () => {
    const { lines, deliverTo } = sentTo(scene)

    const first = await deliverTo((id, context) =>
      context.transaction(async (client: PoolClient) => {
        await client.query('insert into ledger values ($1)', [id])
        await client.query('this is not SQL').catch(() => {})
      }),
    )

    expect(first).toMatchObject({ status: 500, error: { code: 'RINGHOOK_TRANSACTION_INVALID' } })
    expect(await lines()).toBe(0)
  })

  it('is rolled back if a statement fails that the handler does not wait for', async () => {
    const { lines, deliverTo } = sentTo(scene)

    const first = await deliverTo((id, context) =>
      context.transaction(async (client: PoolClient) => {
        await client.query('insert into ledger values ($1)', [id])
        setImmediate(() => void client.query('this is not SQL').catch(() => {}))
        await client.query('select pg_sleep(0.05)')
      }),
    )

    expect(first.status).toBe(500)
    expect(await lines()).toBe(0)
  })

  it('is refused with the driver’s error if a constraint does not hold at the commit', async () => {
    const { lines, deliverTo } = sentTo(scene)
    await scene.place.query(
      'create table if not exists once (id integer unique deferrable initially deferred)',
    )

    const first = await deliverTo((id, context) =>
      context.transaction(async (client: PoolClient) => {
        await client.query('insert into ledger values ($1)', [id])
        await client.query('insert into once values (1), (1)')
      }),
    )

    expect(first).toMatchObject({ status: 500, error: { code: '23505' } })
    expect(await lines()).toBe(0)
  })

  it('gives its connection back, also when it fails', async () => {
    const pool = new Pool({ connectionString: scene.place.url, max: 1 })
    onTestFinished(() => pool.end())
    const { deliverTo } = sentTo(scene, postgresStore(pool))

    for (const end of [() => Promise.reject(new Error('no')), () => {}, () => {}]) {
      await deliverTo((_, context) => context.transaction(end))
    }

    expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([1, 1, 0])
  })

  it('is refused where no connection is free', async () => {
    const pool = new Pool({
      connectionString: scene.place.url,
      max: 1,
      connectionTimeoutMillis: 50,
    })
    onTestFinished(() => pool.end())
    const client = await pool.connect()
    onTestFinished(() => client.release())

    await expect(postgresStore(pool).transaction?.(() => {})).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_BUSY',
    })
  })

  it('is refused on a single client, which other events use too', async () => {
    const client = new Client({ connectionString: scene.place.url })
    await client.connect()
    onTestFinished(() => client.end())

    const { deliverTo } = sentTo(scene, postgresStore(client))

    const { error } = await deliverTo((_, context) => context.transaction(() => {}))

    expect(error).toMatchObject({ code: 'RINGHOOK_STORE_NOT_TRANSACTIONAL' })
  })
})

describeOn('mysql', 'context.transaction() on MySQL', (url) => {
  const scene = openScene(
    () => mysqlPlace(url),
    (connection, id) => (connection as PoolConnection).query('insert into ledger values (?)', [id]),
  )
  testTransactions(scene)
  const kill = async (connection: unknown) =>
    `kill ${(connection as PoolConnection).connection.threadId}`
  testDeaths(scene, kill, async (connection) => {
    await (connection as PoolConnection).query('kill connection_id()')
  })
  testCommits(scene, (proxied) => {
    const pool = createPool(proxied)
    return { store: mysqlStore(pool), close: () => pool.end() }
  })

  it('takes a pool with callbacks, and hands over a connection with promises', async () => {
    const { createPool: createCallbackPool } = await import('mysql2')
    const pool = createCallbackPool(scene.place.url)
    onTestFinished(() => pool.promise().end())
    const { lines, deliverTo } = sentTo(scene, mysqlStore(pool))

    const ended = await deliverTo((id, context) =>
      context.transaction((connection) => scene.insert(connection, id)),
    )

    expect([ended.status, await lines()]).toEqual([200, 1])
  })
})

describe('context.transaction() on SQLite', () => {
  const scene = openScene(sqlitePlace, (database, id) =>
    (database as Database).prepare('insert into ledger values (?)').run(id),
  )
  testTransactions(scene)

  it.each([
    ['returns a promise', () => Promise.resolve()],
    ['returns a promise that fails', () => Promise.reject(new Error('too late'))],
  ])('refuses a function that %s, and writes nothing', async (_, end) => {
    const { lines, deliverTo } = sentTo(scene)

    const first = await deliverTo((id, context) =>
      context.transaction((database) => {
        scene.insert(database, id)
        return end()
      }),
    )
    await new Promise((resolve) => setImmediate(resolve))

    expect(first).toMatchObject({ status: 500, error: { code: 'RINGHOOK_TRANSACTION_INVALID' } })
    expect(await lines()).toBe(0)
  })

  it('does not begin an async function', async () => {
    const { deliverTo } = sentTo(scene)
    const begun: string[] = []

    const first = await deliverTo((id, context) =>
      context.transaction(async () => {
        begun.push(id)
      }),
    )

    expect(first).toMatchObject({ status: 500, error: { code: 'RINGHOOK_TRANSACTION_INVALID' } })
    expect(begun).toEqual([])
  })
})

describe('context.transaction() on a store without transactions', () => {
  it('is refused, and the event is not finished', async () => {
    const store = memoryStore({ logger: false })
    const { deliverTo } = sentTo(undefined, store)
    const ran: string[] = []

    const first = await deliverTo((id, context) => context.transaction(() => ran.push(id)))

    expect(first).toMatchObject({
      status: 500,
      outcome: 'failed',
      error: { code: 'RINGHOOK_STORE_NOT_TRANSACTIONAL' },
    })
    expect(ran).toEqual([])
  })
})

/** What holds on every database. */
function testTransactions(scene: Scene): void {
  it('writes, marks the event, and gives what the function returned', async () => {
    const { lines, deliverTo } = sentTo(scene)
    const returned: unknown[] = []
    const run: Run = async (id, context) => {
      returned.push(
        await context.transaction((transaction) => {
          const inserting = scene.insert(transaction, id)
          return inserting instanceof Promise ? inserting.then(() => 'billed') : 'billed'
        }),
      )
      // The mark of the handler's end would be too late for this.
      returned.push(await scene.place.store.status(context.idempotencyKey))
    }

    const first = await deliverTo(run)
    const retry = await deliverTo(run)

    expect(first).toEqual({ status: 200, outcome: 'handled' })
    expect(retry).toEqual({ status: 200, outcome: 'duplicate' })
    expect(returned).toEqual(['billed', 'completed'])
    expect(await lines()).toBe(1)
  })

  it('rolls back what a function wrote that throws, and throws the same', async () => {
    const { lines, deliverTo } = sentTo(scene)
    const closed = new Error('the account is closed')
    const thrown: unknown[] = []

    const first = await deliverTo((id, context) =>
      context
        .transaction((transaction) => {
          const inserting = scene.insert(transaction, id)
          if (!(inserting instanceof Promise)) throw closed
          return inserting.then(() => Promise.reject(closed))
        })
        .catch((error: unknown) => {
          thrown.push(error)
          throw error
        }),
    )
    const left = await lines()
    const retry = await deliverTo((id, context) =>
      context.transaction((transaction) => scene.insert(transaction, id)),
    )

    expect([first.status, thrown, left]).toEqual([500, [closed], 0])
    expect(retry).toEqual({ status: 200, outcome: 'handled' })
    expect(await lines()).toBe(1)
  })

  it.each<[string, () => unknown]>([
    ['an iterator', () => [1].values()],
    ['a function', () => async () => {}],
    ['an Observable', () => ({ subscribe: () => {} })],
    ['an array of promises that fail', () => [Promise.reject(new Error('no'))]],
  ])('rolls back where a function has not done its work: it returns %s', async (_, make) => {
    const { lines, deliverTo } = sentTo(scene)

    const first = await deliverTo((id, context) =>
      context.transaction((transaction) => {
        const inserting = scene.insert(transaction, id)
        return inserting instanceof Promise ? inserting.then(make) : make()
      }),
    )

    expect(first).toMatchObject({ status: 500, outcome: 'failed' })
    expect(await lines()).toBe(0)
    expect(await deliverTo(() => {})).toMatchObject({ outcome: 'handled' })
  })

  it('may be tried again by the handler after it failed', async () => {
    const { lines, deliverTo } = sentTo(scene)
    let tries = 0
    const write = (id: string, context: HandlerContext) =>
      context.transaction((transaction) => {
        if (++tries === 1) throw new Error('a conflict')
        return scene.insert(transaction, id)
      })

    const first = await deliverTo((id, context) =>
      write(id, context).catch(() => write(id, context)),
    )

    expect([first.status, tries, await lines()]).toEqual([200, 2, 1])
  })

  it('rolls back where another run has taken over', async () => {
    const { lines, deliverTo } = sentTo(scene)

    const first = await deliverTo(async (id, context) => {
      await scene.place.query('update ringhook_events set fence = fence + 1 where state = 0')
      await context.transaction((transaction) => scene.insert(transaction, id))
    })

    expect(first).toMatchObject({ status: 500, error: { code: 'RINGHOOK_LEASE_LOST' } })
    expect(await lines()).toBe(0)
  })

  it.each<[string, (write: () => Promise<unknown>, context: HandlerContext) => unknown, number]>([
    ['twice', (write) => write().then(write), 1],
    ['inside itself', (write, context) => context.transaction(() => write()), 0],
    [
      'with complete() inside',
      (_, context) => context.transaction((given) => void context.complete(given)),
      0,
    ],
    ['without a function', (_, context) => context.transaction(undefined as never), 0],
  ])('is refused %s', async (_, misuse, written) => {
    const { lines, deliverTo } = sentTo(scene)

    const first = await deliverTo((id, context) => {
      const write = () => context.transaction((given) => scene.insert(given, id))
      return misuse(write, context)
    })

    expect(first).toMatchObject({ status: 500, error: { code: 'RINGHOOK_TRANSACTION_INVALID' } })
    expect(await lines()).toBe(written)
  })

  it('keeps members when the context is copied', async () => {
    const { lines, deliverTo } = sentTo(scene)

    const first = await deliverTo((id, context) => {
      const { transaction } = { ...context }
      return transaction((given) => scene.insert(given, id))
    })

    expect([first.status, await lines()]).toEqual([200, 1])
  })
}

/** Connections that die under a handler. An uncaught error would fail the run. */
function testDeaths(
  scene: Scene,
  killerOf: (transaction: unknown) => Promise<string>,
  killItself: (transaction: unknown) => Promise<void>,
): void {
  const write: Run = (id, context) =>
    context.transaction((transaction) => scene.insert(transaction, id))

  it.each<[string, (id: string, transaction: unknown) => Promise<void>]>([
    [
      'in a statement',
      async (id, transaction) => {
        await scene.insert(transaction, id)
        await killItself(transaction)
      },
    ],
    [
      'between statements',
      async (id, transaction) => {
        await scene.insert(transaction, id)
        await scene.place.query(await killerOf(transaction))
        // While the handler waits for something else, such as an answer of another service.
        await new Promise((resolve) => setTimeout(resolve, 50))
      },
    ],
    [
      'between statements, and is used again and again',
      async (id, transaction) => {
        await scene.place.query(await killerOf(transaction))
        await new Promise((resolve) => setTimeout(resolve, 50))
        for (let tries = 0; tries < 3; tries++) {
          await Promise.resolve(scene.insert(transaction, id)).catch(() => {})
        }
      },
    ],
  ])('survives a connection that dies %s, and the retry writes once', async (_, work) => {
    const { lines, deliverTo } = sentTo(scene)

    const first = await deliverTo((id, context) =>
      context.transaction((transaction) => work(id, transaction)),
    )
    const left = await lines()
    const retry = await deliverTo(write)

    expect([first.status, first.outcome, left]).toEqual([500, 'failed', 0])
    expect(retry).toEqual({ status: 200, outcome: 'handled' })
    expect(await lines()).toBe(1)
  })
}

/** Connections that die while a commit is under way. */
function testCommits(
  scene: Scene,
  open: (url: string) => { readonly store: IdempotencyStore; close(): Promise<void> },
): void {
  it.each([
    ['before its commit', 'handled'],
    ['after its commit', 'duplicate'],
  ] as const)('writes once if the connection dies %s', async (point, outcome) => {
    const proxy = await holdingProxy(scene.place.url)
    const { store, close } = open(proxy.url)
    onTestFinished(async () => {
      await close()
      proxy.close()
    })
    const { lines, deliverTo } = sentTo(scene, store)
    const run: Run = (id, context) =>
      context.transaction((transaction) => scene.insert(transaction, id))

    const held = proxy.hold(point)
    const delivering = deliverTo(run)
    await held
    proxy.cut()
    const first = await delivering
    const retry = await deliverTo(run)

    expect(first).toMatchObject({ status: 500, error: { code: 'RINGHOOK_STORE_UNREACHABLE' } })
    expect(retry).toEqual({ status: 200, outcome })
    expect(await lines()).toBe(1)
  })
}

function insertInPostgres(client: unknown, id: string) {
  return (client as PoolClient).query('insert into ledger values ($1)', [id])
}

function openScene(find: () => Promise<Place>, insert: Scene['insert']): Scene {
  let place: Place | undefined
  beforeAll(async () => {
    place = await find()
    await place.store.migrate()
    await place.query('create table ledger (event_id varchar(200) not null)')
  })
  afterAll(() => place?.remove())
  return {
    get place() {
      if (place === undefined) throw new Error('there is no place')
      return place
    },
    insert,
  }
}

/** An event, and how to deliver it: each time with another handler. */
function sentTo(scene: Scene | undefined, store?: IdempotencyStore) {
  const request = signedRequest(krosai, 'call.completed', { secret })
  const { id }: { readonly id: string } = JSON.parse(request.body)
  async function deliverTo(run: Run) {
    const given = store ?? scene?.place.store
    const receiver = createReceiver(krosai, {
      secret,
      ...(given !== undefined && { store: given }),
      logger: false,
      // A machine with much to do is slow: that is no failure.
      ackDeadlineMs: 60_000,
      on: { 'call.completed': (_, context) => run(id, context) },
    })
    const { status, outcome, details } = await deliver(receiver, request)
    return { status, outcome, ...('error' in details ? { error: details.error } : {}) }
  }
  const lines = async () => {
    const rows = await scene?.place.query(`select 1 from ledger where event_id = '${id}'`)
    return rows?.length
  }
  return { id, deliverTo, lines }
}
