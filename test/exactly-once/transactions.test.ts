import Database from 'better-sqlite3'
import { CompiledQuery, Kysely, SqliteDialect } from 'kysely'
import { createConnection } from 'mysql2/promise'
import { Client } from 'pg'
import {
  createReceiver,
  type HandlerContext,
  type IdempotencyStore,
  krosai,
  memoryStore,
} from 'ringhook'
import { deliver, signedRequest } from 'ringhook/testing'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { kyselyTransaction } from '../../examples/exactly-once/kysely.ts'
import { describeOn } from '../helpers/servers.ts'
import { mysqlPlace, type Place, postgresPlace, sqlitePlace } from './place.ts'

const secret = 'a secret for tests'
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

/** A connection of the user's, on which transactions are begun and ended by hand. */
interface Session {
  readonly connection: unknown
  run(sql: string): Promise<void>
  close(): Promise<void>
}

interface Scene {
  readonly place: Place
  readonly session: Session
}

describeOn('postgres', 'context.complete() on Postgres', (url) => {
  const scene = openScene(async () => {
    const place = await postgresPlace(url)
    const client = new Client({ connectionString: place.url })
    await client.connect()
    const run = async (sql: string) => void (await client.query(sql))
    return { place, session: { connection: client, run, close: () => client.end() } }
  })
  testEndings(scene)
  testNeighbours(scene)

  it.each(['read committed', 'repeatable read', 'serializable'])('takes part at %s', (level) =>
    expectRenewed(scene, { begin: `begin isolation level ${level}`, renew: false }),
  )

  it('does not mind at read committed that the lease is renewed meanwhile', () =>
    expectRenewed(scene, { begin: 'begin isolation level read committed', renew: true }))

  it.each(['repeatable read', 'serializable'])(
    'fails at %s if the lease is renewed meanwhile, and the retry writes',
    async (level) => {
      const { lines, deliverTo } = sentTo(scene)
      const begin = `begin isolation level ${level}`

      const first = await deliverTo((id, context) =>
        writeAround(scene, { begin, id, context, between: () => renew(scene.place, context) }),
      )
      const left = await lines()
      const retry = await deliverTo((id, context) => writeAround(scene, { begin, id, context }))

      expect(first).toMatchObject({
        status: 500,
        error: { code: 'RINGHOOK_STORE_BUSY', cause: { code: '40001' } },
      })
      expect(left).toBe(0)
      expect(retry).toEqual({ status: 200, outcome: 'handled' })
      expect(await lines()).toBe(1)
    },
  )
})

describeOn('mysql', 'context.complete() on MySQL', (url) => {
  const scene = openScene(async () => {
    const place = await mysqlPlace(url)
    const connection = await createConnection(place.url)
    const run = async (sql: string) => void (await connection.query(sql))
    return { place, session: { connection, run, close: () => connection.end() } }
  })
  testEndings(scene)
  testNeighbours(scene)

  it.each(['read committed', 'repeatable read', 'serializable'])(
    'does not mind at %s that the lease is renewed meanwhile',
    async (level) => {
      await scene.session.run(`set session transaction isolation level ${level}`)
      await expectRenewed(scene, { begin: 'begin', renew: true })
    },
  )
})

describe('context.complete() on SQLite', () => {
  const scene = openScene(async () => {
    const place = await sqlitePlace()
    const connection = new Database(place.name)
    const run = async (sql: string) => void connection.exec(sql)
    return { place, session: { connection, run, close: async () => void connection.close() } }
  })
  testEndings(scene)

  it('throws at once in a synchronous transaction whose event was lost, so that it rolls back', async () => {
    const { lines, deliverTo } = sentTo(scene)
    const database = scene.session.connection as Database.Database
    const steps: string[] = []

    const { status, error } = await deliverTo(async (id, context) => {
      await scene.place.query('update ringhook_events set fence = fence + 1 where state = 0')
      database.transaction(() => {
        database.prepare('insert into ledger (event_id) values (?)').run(id)
        void context.complete(database)
        steps.push('went on')
      })()
    })

    expect([status, error]).toMatchObject([500, { code: 'RINGHOOK_LEASE_LOST' }])
    expect(steps).toEqual([])
    expect(await lines()).toBe(0)
  })

  it('lets others wait, and the event loop go on, while an asynchronous transaction is open', async () => {
    const { lines, deliverTo } = sentTo(scene)
    const { store, name } = scene.place
    const db = new Kysely({ dialect: new SqliteDialect({ database: new Database(name) }) })
    onTestFinished(() => db.destroy())
    const options = { owner: 'another delivery', leaseMs: 60_000, fingerprint: 'the same' }
    const steps: string[] = []
    let waiting: Promise<unknown> = Promise.resolve()

    const ended = await deliverTo((id, context) =>
      db.transaction().execute(async (trx) => {
        await trx.executeQuery(CompiledQuery.raw(insertOf(id)))
        await context.complete(kyselyTransaction(trx))
        waiting = store.claim(`not ${id}`, options).then(({ state }) => steps.push(state))
        // The store tries at the next turn of the event loop, and finds the file locked.
        for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
        steps.push('commits')
      }),
    )
    await waiting

    expect(ended).toEqual({ status: 200, outcome: 'handled' })
    expect(steps).toEqual(['commits', 'claimed'])
    expect(await lines()).toBe(1)
  })

  it('marks nothing for a run without a claim, while the store is down', async () => {
    const { store } = scene.place
    const down: IdempotencyStore = {
      claim: () => Promise.reject(new Error('down')),
      extend: (claim, options) => store.extend(claim, options),
      complete: (claim, options) => store.complete(claim, options),
      release: (claim) => store.release(claim),
      forget: (key) => store.forget(key),
      status: (key) => store.status(key),
    }
    const { lines, deliverTo } = sentTo(scene, down)

    const { status, error } = await deliverTo((id, context) => writeAround(scene, { id, context }))

    expect([status, error]).toMatchObject([500, { code: 'RINGHOOK_LEASE_LOST' }])
    expect(await lines()).toBe(0)
  })

  it('is refused by a store that is elsewhere', async () => {
    const { lines, deliverTo } = sentTo(scene, memoryStore({ logger: false }))

    const { status, error } = await deliverTo((id, context) => writeAround(scene, { id, context }))

    expect([status, error]).toMatchObject([500, { code: 'RINGHOOK_STORE_NOT_TRANSACTIONAL' }])
    expect(await lines()).toBe(0)
  })
})

/** What becomes of an event is decided by what becomes of the transaction. */
function testEndings(scene: Scene): void {
  it('does not answer 200 to an event whose transaction was rolled back without a word', async () => {
    const { lines, deliverTo } = sentTo(scene)
    const { run, connection } = scene.session

    const first = await deliverTo(async (id, context) => {
      await run('begin')
      await run(insertOf(id))
      await context.complete(connection)
      await run('rollback')
    })
    const retry = await deliverTo((id, context) => writeAround(scene, { id, context }))

    expect(first).toMatchObject({
      status: 500,
      outcome: 'failed',
      error: { code: 'RINGHOOK_TRANSACTION_NOT_COMMITTED' },
    })
    expect(retry).toEqual({ status: 200, outcome: 'handled' })
    expect(await lines()).toBe(1)
  })

  it('refuses a connection on which no transaction is open', async () => {
    const { lines, deliverTo } = sentTo(scene)

    const first = await deliverTo(async (_, context) => {
      await context.complete(scene.session.connection)
    })
    const retry = await deliverTo((id, context) => writeAround(scene, { id, context }))

    expect(first).toMatchObject({ status: 500, error: { code: 'RINGHOOK_TRANSACTION_INVALID' } })
    expect(retry).toEqual({ status: 200, outcome: 'handled' })
    expect(await lines()).toBe(1)
  })
}

/** An open transaction holds up its own event, and no other. */
function testNeighbours(scene: Scene): void {
  it('lets other events be claimed and finished while the transaction is open', async () => {
    const { deliverTo } = sentTo(scene)
    const { store } = scene.place
    const options = { owner: 'another delivery', leaseMs: 60_000, fingerprint: 'the same' }

    const ended = await deliverTo((id, context) =>
      writeAround(scene, {
        id,
        context,
        async afterwards() {
          const repeat = await store.claim(context.idempotencyKey, options)
          const other = await store.claim(`not ${id}`, options)
          if (other.state !== 'claimed') throw new Error(`the other event is ${other.state}`)
          expect(repeat.state).toBe('in_flight')
          expect(await store.complete(other, { retentionMs: 60_000 })).toBe(true)
        },
      }),
    )

    expect(ended).toEqual({ status: 200, outcome: 'handled' })
  })
}

async function expectRenewed(
  scene: Scene,
  { begin, renew: isRenewed }: { readonly begin: string; readonly renew: boolean },
): Promise<void> {
  const { lines, deliverTo } = sentTo(scene)

  const ended = await deliverTo((id, context) =>
    writeAround(scene, {
      begin,
      id,
      context,
      between: async () => {
        if (isRenewed) await renew(scene.place, context)
      },
    }),
  )

  expect(ended).toEqual({ status: 200, outcome: 'handled' })
  expect(await lines()).toBe(1)
}

interface Written {
  readonly begin?: string
  readonly id: string
  readonly context: HandlerContext
  /** Happens between the write and the mark. */
  between?(): Promise<void>
  /** Happens between the mark and the commit. */
  afterwards?(): Promise<void>
}

/** A handler's transaction: a write, then the mark. */
async function writeAround({ session }: Scene, written: Written): Promise<void> {
  const { begin = 'begin', id, context } = written
  await session.run(begin)
  try {
    await session.run(insertOf(id))
    await written.between?.()
    await context.complete(session.connection)
    await written.afterwards?.()
    await session.run('commit')
  } catch (error) {
    await session.run('rollback')
    throw error
  }
}

/** Renews the lease of a run, as ringhook does every third of its length. */
async function renew({ query, store }: Place, { idempotencyKey, fence }: HandlerContext) {
  const [row] = await query('select owner from ringhook_events where state = 0')
  const claim = {
    state: 'claimed',
    key: idempotencyKey,
    owner: String(row?.['owner']),
    fence,
    attempt: fence,
  } as const
  expect(await store.extend(claim, { leaseMs: 60_000 })).toBe(true)
}

/** An event, and the handlers that it is delivered to. */
function sentTo(scene: Scene, store?: IdempotencyStore) {
  const request = signedRequest(krosai, 'call.completed', { secret })
  const eventId: string = JSON.parse(request.body).id
  return {
    async deliverTo(handler: (id: string, context: HandlerContext) => Promise<void>) {
      const receiver = createReceiver(krosai, {
        secret,
        store: store ?? scene.place.store,
        onStoreError: 'process',
        logger: false,
        // A machine with much to do is slow: that is no failure.
        ackDeadlineMs: 60_000,
        on: { 'call.completed': ({ id }, context) => handler(id, context) },
      })
      const { status, outcome, details } = await deliver(receiver, request)
      return { status, outcome, ...('error' in details ? { error: details.error } : {}) }
    },
    lines: async () =>
      (await scene.place.query(`select event_id from ledger where event_id = '${eventId}'`)).length,
  }
}

function insertOf(eventId: string): string {
  return `insert into ledger (event_id) values ('${eventId}')`
}

function openScene(open: () => Promise<Scene>): Scene {
  let scene: Scene | undefined
  beforeAll(async () => {
    scene = await open()
    await scene.place.store.migrate()
    await scene.place.query('create table ledger (event_id varchar(200) not null)')
  })
  afterAll(async () => {
    await scene?.session.close()
    await scene?.place.remove()
  })
  const current = () => {
    if (scene === undefined) throw new Error('The tests have not begun.')
    return scene
  }
  return {
    get place() {
      return current().place
    },
    get session() {
      return current().session
    },
  }
}
