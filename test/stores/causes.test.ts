import Database from 'better-sqlite3'
import { Redis } from 'ioredis'
import type { FieldPacket } from 'mysql2'
import { createConnection, createPool } from 'mysql2/promise'
import pg from 'pg'
import { createReceiver, type IdempotencyStore, krosai } from 'ringhook'
import { sqliteInbox } from 'ringhook/inboxes/sqlite'
import { mysqlStore } from 'ringhook/stores/mysql'
import { postgresStore } from 'ringhook/stores/postgres'
import { redisStore } from 'ringhook/stores/redis'
import { sqliteStore } from 'ringhook/stores/sqlite'
import { deliver } from 'ringhook/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { mysqlTables } from './mysql-tables.ts'
import { claimOptions, hold, month, postgresSchema } from './postgres-schema.ts'

const failure = (code: string, said: RegExp) => ({
  code: `RINGHOOK_STORE_${code}`,
  message: expect.stringMatching(said),
})

describeOn('postgres', 'postgresStore names the cause', (url) => {
  const { schema, admin, pool, store: storeOf } = postgresSchema(url)

  it('of a statement that its server stopped', async () => {
    const locked = await admin.connect()
    try {
      await locked.query(`BEGIN; LOCK TABLE ${schema}.ringhook_events`)
      const hasty = storeOf({}, pool({ options: '-c statement_timeout=50' }))
      await expect(hasty.status('a')).rejects.toMatchObject(
        failure('TIMEOUT', /^(?!.*10 s).*statement_timeout/),
      )
      const locking = storeOf({}, pool({ options: '-c lock_timeout=50' }))
      await expect(locking.status('a')).rejects.toMatchObject(failure('BUSY', /lock_timeout/))
    } finally {
      await locked.query('ROLLBACK')
      locked.release()
    }
  })

  it('of a Client that is not connected, at once, and works when it is', async () => {
    const client = new pg.Client({ connectionString: url })
    onTestFinished(() => client.end())
    const store = postgresStore(client, { schema })
    const asked = [
      () => store.migrate(),
      () => store.claim('unconnected', claimOptions('a')),
      () => store.status('unconnected'),
      () => store.prune(),
    ]
    for (const ask of asked) {
      await expect(ask()).rejects.toMatchObject(
        failure('UNREACHABLE', /not connected.*Call client\.connect\(\)/),
      )
    }
    await client.connect()
    expect((await store.claim('unconnected', claimOptions('a'))).state).toBe('claimed')
  })

  it('waits for a Client that is connecting', async () => {
    const client = new pg.Client({ connectionString: url })
    const connecting = client.connect()
    onTestFinished(() => client.end())
    expect(await postgresStore(client, { schema }).status('connecting')).toBe('unknown')
    await connecting
  })

  it('of a Pool or Client that has ended, and of a Client that lost its connection', async () => {
    const over = new pg.Pool({ connectionString: url })
    await over.end()
    await expect(storeOf({}, over).status('a')).rejects.toMatchObject(
      failure('UNREACHABLE', /has been closed\. Close it after receiver\.close\(\)/),
    )
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    await client.connect()
    const store = postgresStore(client, { schema })
    const { rows } = await client.query('SELECT pg_backend_pid() AS pid')
    const lost = new Promise((resolve) => client.once('end', resolve))
    await admin.query('SELECT pg_terminate_backend($1)', [rows[0].pid])
    await lost
    await expect(store.status('a')).rejects.toMatchObject(failure('UNREACHABLE', /Give it a Pool/))
    await client.end()
    await expect(store.status('a')).rejects.toMatchObject(failure('UNREACHABLE', /been closed/))
  })

  it('of a transaction on a Client that is not connected', async () => {
    const client = new pg.Client({ connectionString: url })
    const store = storeOf()
    const claim = await hold(store, 'transaction')
    await expect(
      Promise.resolve(store.complete(claim, { retentionMs: month, transaction: client })),
    ).rejects.toMatchObject(failure('UNREACHABLE', /Call client\.connect\(\)/))
  })

  it('reads what a Client or Pool gives whose types the user changed', async () => {
    const types = { getTypeParser: () => (text: string) => ({ wrapped: text }) }
    const changed = pool({ types: types as never })
    const store = storeOf({ table: 'typed' }, changed)
    await store.migrate()
    await store.migrate()
    const claim = await hold(store, 'typed')
    expect(await store.extend(claim, { leaseMs: 30_000 })).toBe(true)
    expect(await store.complete(claim, { retentionMs: month })).toBe(true)
    expect(await store.status('typed')).toBe('completed')
    expect((await store.claim('typed', claimOptions('b'))).state).toBe('completed')
    expect(await store.forget('typed')).toBe('forgotten')
    expect(await store.prune()).toBe(0)
    expect((await changed.query("SELECT 'a' AS a")).rows).toEqual([{ a: { wrapped: 'a' } }])
  })

  it('keeps its promises on a pool that is serializable', async () => {
    const its = pool({ options: '-c default_transaction_isolation=serializable' })
    const store = storeOf({ table: 'serialized' }, its)
    await store.migrate()
    const owners = Array.from({ length: 20 }, (_, index) => `owner ${index}`)
    const claims = await Promise.all(owners.map((owner) => store.claim('a', claimOptions(owner))))
    expect(claims.filter(({ state }) => state === 'claimed')).toHaveLength(1)
  })
})

describe('postgresStore says what a driver meant by', () => {
  it.each([
    ['57014', /statement_timeout/],
    ['55P03', /lock_timeout/],
    ['25P03', /idle_in_transaction_session_timeout/],
    ['25P04', /transaction_timeout/],
    ['57P05', /idle_session_timeout/],
    ['40001', /default_transaction_isolation/],
    ['53300', /max_connections/],
    ['3D000', /does not find its database/],
    ['42501', /lacks a permission/],
    ['42P01', /Call migrate\(\)/],
    ['42703', /Call migrate\(\)/],
  ])('%s', async (code, said) => {
    const refuse = () => Promise.reject(Object.assign(new Error('secret'), { code }))
    await expect(postgresStore({ query: refuse }).forget('a')).rejects.toMatchObject({
      message: expect.stringMatching(said),
    })
  })

  it.each([
    ['Query read timeout', /query_timeout/],
    ['timeout exceeded when trying to connect', /all are taken/],
    ['Connection terminated due to connection timeout', /connection timeout/],
  ])('%s', async (message, said) => {
    const store = postgresStore({ query: () => Promise.reject(new Error(message)) })
    await expect(store.forget('a')).rejects.toMatchObject({ message: expect.stringMatching(said) })
  })

  it.each([
    ['rows without an object around them', [{ verdict: 'unknown' }]],
    ['rows as arrays', { rows: [['unknown']] }],
    ['columns in capitals', { rows: [{ VERDICT: 'unknown' }] }],
    ['values that are not text', { rows: [{ verdict: { wrapped: 'unknown' } }] }],
    ['numbers', { rows: [{ verdict: 1 }] }],
  ])('%s', async (_what, answer) => {
    const store = postgresStore({ query: async () => answer as never })
    const changed = failure('FAILED', /rows that its statements cannot have.*rowMode/)
    for (const ask of [
      () => store.status('a'),
      () => store.claim('a', claimOptions('a')),
      () => store.forget('a'),
      () => store.prune(),
      () => store.migrate(),
    ]) {
      await expect(ask()).rejects.toMatchObject(changed)
    }
  })
})

describeOn('mysql', 'mysqlStore names the cause', (url) => {
  const { prefix, admin, pool } = mysqlTables(url)
  const table = `${prefix}_causes`

  it('of sessions that read what is not committed, and answers no duplicate for it', async () => {
    await mysqlStore(admin, { table }).migrate()
    const claim = await hold(mysqlStore(admin, { table }), 'dirty')
    const marking = await admin.getConnection()
    onTestFinished(() => marking.release())
    await marking.beginTransaction()
    await mysqlStore(admin, { table }).complete(claim, {
      retentionMs: month,
      transaction: marking,
    })
    const dirty = pool()
    dirty.on('connection', (connection) => {
      connection.query('SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED')
    })
    const single = await createConnection(url)
    onTestFinished(() => single.end())
    await single.query('SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED')
    for (const client of [dirty, single]) {
      const store = mysqlStore(client, { table })
      for (const ask of [
        () => store.migrate(),
        () => store.claim('dirty', claimOptions('b')),
        () => store.status('dirty'),
      ]) {
        await expect(ask()).rejects.toMatchObject(failure('INVALID', /READ UNCOMMITTED/))
      }
    }
    await marking.rollback()
  })

  it.each(['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'])('works with %s', async (level) => {
    const its = pool()
    its.on('connection', (connection) => {
      connection.query(`SET SESSION TRANSACTION ISOLATION LEVEL ${level}`)
    })
    const store = mysqlStore(its, { table })
    await store.migrate()
    const claim = await hold(store, level)
    expect(await store.complete(claim, { retentionMs: month })).toBe(true)
    expect(await store.status(level)).toBe('completed')
  })

  it('of a typeCast that changes text', async () => {
    const casting = createPool({
      uri: url,
      typeCast: (field: FieldPacket & { string(): string | null }) => Number(field.string()),
    } as never)
    onTestFinished(() => casting.end())
    const store = mysqlStore(casting, { table })
    await mysqlStore(admin, { table }).migrate()
    await hold(mysqlStore(admin, { table }), 'cast')
    await expect(store.claim('cast', claimOptions('b'))).rejects.toMatchObject(
      failure('FAILED', /typeCast/),
    )
  })

  it('of a pool or connection that has ended', async () => {
    const over = createPool(url)
    await over.end()
    const single = await createConnection(url)
    await single.end()
    await expect(mysqlStore(over, { table }).status('a')).rejects.toMatchObject(
      failure('UNREACHABLE', /has been closed/),
    )
    await expect(mysqlStore(single, { table }).status('a')).rejects.toMatchObject(
      failure('UNREACHABLE', /makes no new one/),
    )
  })

  it('of a table or database that is not there', async () => {
    await expect(mysqlStore(admin, { table: 'none' }).status('a')).rejects.toMatchObject(
      failure('NOT_MIGRATED', /Call migrate\(\)/),
    )
    const elsewhere = createPool(Object.assign(new URL(url), { pathname: '/none' }).href)
    onTestFinished(() => elsewhere.end())
    await expect(mysqlStore(elsewhere).migrate()).rejects.toMatchObject(
      failure('ACCESS_DENIED', /does not find its database/),
    )
  })
})

describe('redisStore names the cause', () => {
  it('of a client that was closed', async () => {
    const client = new Redis({ lazyConnect: true })
    client.disconnect()
    await client.quit().catch(() => {})
    await expect(redisStore(client).status('a')).rejects.toMatchObject(
      failure('UNREACHABLE', /closed for good/),
    )
  })
})

describe('sqliteStore', () => {
  it('names the cause of a database that was closed', async () => {
    const database = new Database(':memory:')
    const store = sqliteStore(database)
    await store.migrate()
    database.close()
    await expect(store.status('a')).rejects.toMatchObject(
      failure('UNREACHABLE', /has been closed\. Close it after receiver\.close\(\)/),
    )
  })

  it('works where integers are bigints', async () => {
    const database = new Database(':memory:').defaultSafeIntegers()
    const [store, inbox] = [sqliteStore(database), sqliteInbox(database)]
    await store.migrate()
    await inbox.migrate()
    const claim = await hold(store, 'a')
    expect((await store.claim('a', claimOptions('b'))).state).toBe('in_flight')
    expect(await store.complete(claim, { retentionMs: month })).toBe(true)
    expect(await store.status('a')).toBe('completed')
    expect(await inbox.stats()).toMatchObject({ waiting: 0 })
  })
})

describe('a file of SQLite that may not grow', () => {
  /** Room for the tables and a few pages. */
  function crowded(): Database.Database {
    const database = new Database(':memory:')
    database.pragma('max_page_count = 12')
    return database
  }
  const untilItFails = async (ask: (index: number) => unknown) => {
    for (let index = 0; ; index++) await ask(index)
  }

  it('is told to prune by a store', async () => {
    const store = sqliteStore(crowded())
    await store.migrate()
    const claiming = untilItFails((index) => store.claim(`${index}`, claimOptions('a'.repeat(100))))
    await expect(claiming).rejects.toMatchObject(failure('FULL', /prune\(\).*pruneEveryMs/))
  })

  it('is not told so by an inbox, which has no prune()', async () => {
    const inbox = sqliteInbox(crowded())
    await inbox.migrate()
    const names = { provider: 'krosai', namespace: '', type: 'a', sentAs: 'a', eventId: 'a' }
    const delivery = { version: 1, ...names, receivedAt: 1, headers: {}, body: 'a'.repeat(1_000) }
    const putting = untilItFails((index) =>
      inbox.put({ ...delivery, key: `${index}` } as never, { key: `${index}` }),
    )
    await expect(putting).rejects.toMatchObject(failure('FULL', /^(?!.*prune).*dead letters/))
  })
})

describe('a receiver whose table was never made', () => {
  const secret = 'a secret for tests'
  const on = { 'call.completed': () => {} }

  async function linesOf(make: (logger: object) => ReturnType<typeof createReceiver>) {
    const lines: string[] = []
    const write = (line: string) => void lines.push(line)
    const receiver = make({ debug() {}, info() {}, warn: write, error: write })
    const { status } = await deliver(receiver, 'call.completed')
    expect(status).toBe(503)
    return lines.join('\n')
  }

  it.each<[string, () => IdempotencyStore]>([
    ['sqliteStore', () => sqliteStore(new Database(':memory:'))],
    [
      'postgresStore',
      () =>
        postgresStore({
          query: () => Promise.reject(Object.assign(new Error(), { code: '42P01' })),
        }),
    ],
  ])('is told to migrate by %s, and not that its server may be away', async (_name, make) => {
    const store = make()
    const said = await linesOf((logger) =>
      createReceiver(krosai, { secret, on, store, logger: logger as never }),
    )
    expect(said).toMatch(/Call migrate\(\).*RINGHOOK_STORE_NOT_MIGRATED/)
    expect(said).not.toContain('Is its server up')
  })

  it('is told to migrate its inbox', async () => {
    const database = new Database(':memory:')
    const store = sqliteStore(database)
    const said = await linesOf((logger) =>
      createReceiver(krosai, {
        secret,
        on,
        store,
        inbox: sqliteInbox(database),
        logger: logger as never,
      }),
    )
    expect(said).toMatch(/sqliteInbox\(\).*Call migrate\(\).*RINGHOOK_STORE_NOT_MIGRATED/)
    expect(said).not.toContain('Is its server up')
  })
})
