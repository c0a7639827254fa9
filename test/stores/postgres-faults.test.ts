import { createServer } from 'node:net'
import pg from 'pg'
import type { HeldClaim, IdempotencyStore } from 'ringhook'
import { postgresStore } from 'ringhook/stores/postgres'
import { describe, expect, it } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { claimOptions, hold, month, postgresSchema } from './postgres-schema.ts'

const claim: HeldClaim = { state: 'claimed', key: 'a', owner: 'a', fence: 1, attempt: 1 }

/** Each operation once. */
const operations: Readonly<Record<string, (store: IdempotencyStore) => unknown>> = {
  claim: (store) => store.claim('a', claimOptions('a')),
  extend: (store) => store.extend(claim, { leaseMs: 1_000 }),
  complete: (store) => store.complete(claim, { retentionMs: month }),
  release: (store) => store.release(claim),
  forget: (store) => store.forget('a'),
  status: (store) => store.status('a'),
}

/** The codes that the operations of a store reject with. */
async function codesOf(store: IdempotencyStore): Promise<readonly unknown[]> {
  const results = await Promise.allSettled(
    Object.values(operations).map(async (run) => await run(store)),
  )
  return results.map((result) => (result.status === 'rejected' ? result.reason.code : result.value))
}

const all = (code: string) => Object.keys(operations).map(() => code)

describeOn('postgres', 'postgresStore on a server that does not do what it should', (url) => {
  const { schema, admin, pool, store: storeOf } = postgresSchema(url)
  /** A store of a server at another address. */
  const at = (change: Partial<URL>) =>
    storeOf({}, pool({ connectionString: Object.assign(new URL(url), change).href }))

  it('says that the migration is missing, or that it looks for the wrong table', async () => {
    expect(await codesOf(storeOf({ table: 'none' }))).toEqual(all('RINGHOOK_STORE_NOT_MIGRATED'))
    expect(await codesOf(storeOf({ schema: 'none' }))).toEqual(all('RINGHOOK_STORE_NOT_MIGRATED'))
    await expect(storeOf({ schema: 'none' }).migrate()).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_NOT_MIGRATED',
    })
  })

  it('says that a table has other columns', async () => {
    await admin.query(`CREATE TABLE ${schema}.orders (id text PRIMARY KEY, key text)`)
    const store = storeOf({ table: 'orders' })
    await expect(store.migrate()).rejects.toMatchObject({ code: 'RINGHOOK_STORE_NOT_MIGRATED' })
    expect(await codesOf(store)).toEqual(all('RINGHOOK_STORE_NOT_MIGRATED'))
  })

  it('says that the server is read-only', async () => {
    const store = storeOf({}, pool({ options: '-c default_transaction_read_only=on' }))
    // Who only asks needs to write nothing.
    expect(await codesOf(store)).toEqual([...all('RINGHOOK_STORE_READ_ONLY').slice(1), 'unknown'])
    await expect(store.prune()).rejects.toMatchObject({ code: 'RINGHOOK_STORE_READ_ONLY' })
    await store.migrate()
    const missing = { table: 'replica' }
    const replica = storeOf(missing, pool({ options: '-c default_transaction_read_only=on' }))
    await expect(replica.migrate()).rejects.toMatchObject({ code: 'RINGHOOK_STORE_READ_ONLY' })
  })

  it('says that it is not let in', async () => {
    for (const change of [{ pathname: '/none' }, { username: 'nobody_at_all' }]) {
      const store = at(change)
      expect(await codesOf(store)).toEqual(all('RINGHOOK_STORE_ACCESS_DENIED'))
      await expect(store.migrate()).rejects.toMatchObject({ code: 'RINGHOOK_STORE_ACCESS_DENIED' })
    }
  })

  it('says that no server is there', async () => {
    const store = at({ port: String(await closedPort()) })
    expect(await codesOf(store)).toEqual(all('RINGHOOK_STORE_UNREACHABLE'))
    await expect(store.migrate()).rejects.toMatchObject({ code: 'RINGHOOK_STORE_UNREACHABLE' })
  })

  it('says that all connections are taken, and that the pool has ended', async () => {
    const its = new pg.Pool({ connectionString: url, max: 1, connectionTimeoutMillis: 50 })
    const store = storeOf({}, its)
    const taken = await its.connect()
    expect(await codesOf(store)).toEqual(all('RINGHOOK_STORE_BUSY'))
    taken.release()
    await its.end()
    expect(await codesOf(store)).toEqual(all('RINGHOOK_STORE_UNREACHABLE'))
  })

  it('says that a statement took longer than the connection allows', async () => {
    const locked = await admin.connect()
    const store = storeOf({}, pool({ options: '-c statement_timeout=50' }))
    const hasty = storeOf({}, pool({ options: '-c lock_timeout=50' }))
    try {
      await locked.query(`BEGIN; LOCK TABLE ${schema}.ringhook_events`)
      expect(await codesOf(store)).toEqual(all('RINGHOOK_STORE_TIMEOUT'))
      expect(await codesOf(hasty)).toEqual(all('RINGHOOK_STORE_BUSY'))
    } finally {
      await locked.query('ROLLBACK')
      locked.release()
    }
  })

  it('goes on without names where a pooler has lost those of its statements', async () => {
    const its = pool({ max: 1 })
    const store = storeOf({}, its)
    const mine = await hold(store, 'pooled')
    await its.query('DEALLOCATE ALL')
    expect((await store.claim('pooled', claimOptions('b'))).state).toBe('in_flight')
    expect(await store.complete(mine, { retentionMs: month })).toBe(true)
    const { rows } = await its.query('SELECT name FROM pg_prepared_statements')
    expect(rows).toEqual([])
  })

  async function closedPort(): Promise<number> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    await new Promise((resolve) => server.close(resolve))
    return typeof address === 'object' && address !== null ? address.port : 0
  }
})

describe('the errors of a driver, to postgresStore', () => {
  const failing = (error: unknown) => postgresStore({ query: () => Promise.reject(error) })

  it.each([
    ['53100', 'RINGHOOK_STORE_FULL'],
    ['53200', 'RINGHOOK_STORE_FULL'],
    ['53300', 'RINGHOOK_STORE_BUSY'],
    ['40001', 'RINGHOOK_STORE_BUSY'],
    ['40P01', 'RINGHOOK_STORE_BUSY'],
    ['55P03', 'RINGHOOK_STORE_BUSY'],
    ['28P01', 'RINGHOOK_STORE_ACCESS_DENIED'],
    ['42501', 'RINGHOOK_STORE_ACCESS_DENIED'],
    ['57P01', 'RINGHOOK_STORE_UNREACHABLE'],
    ['57P03', 'RINGHOOK_STORE_UNREACHABLE'],
    ['08006', 'RINGHOOK_STORE_UNREACHABLE'],
    ['ECONNRESET', 'RINGHOOK_STORE_UNREACHABLE'],
    ['CONNECTION_ENDED', 'RINGHOOK_STORE_UNREACHABLE'],
    ['CONNECT_TIMEOUT', 'RINGHOOK_STORE_TIMEOUT'],
    ['ETIMEDOUT', 'RINGHOOK_STORE_TIMEOUT'],
    ['XX000', 'RINGHOOK_STORE_FAILED'],
  ])('%s are %s, and stay the cause', async (code, expected) => {
    const cause = Object.assign(new Error('secret'), { code })
    const store = failing(cause)
    expect(await codesOf(store)).toEqual(all(expected))
    const error: Error = await store.forget('a').then(
      () => expect.unreachable(),
      (reason) => reason,
    )
    expect(error.cause).toBe(cause)
    expect(error.message).not.toContain('secret')
  })

  it.each([
    ['Connection terminated unexpectedly', 'RINGHOOK_STORE_UNREACHABLE'],
    ['Connection terminated due to connection timeout', 'RINGHOOK_STORE_TIMEOUT'],
    ['Query read timeout', 'RINGHOOK_STORE_TIMEOUT'],
    ['timeout exceeded when trying to connect', 'RINGHOOK_STORE_BUSY'],
    ['Client was closed and is not queryable', 'RINGHOOK_STORE_UNREACHABLE'],
    [
      'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string',
      'RINGHOOK_STORE_ACCESS_DENIED',
    ],
    ['something else', 'RINGHOOK_STORE_FAILED'],
  ])('that say "%s" are %s', async (message, expected) => {
    expect(await codesOf(failing(new Error(message)))).toEqual(all(expected))
  })

  it('are found behind those of an ORM', async () => {
    const driver = Object.assign(new Error('no table'), { code: '42P01' })
    const store = failing(Object.assign(new Error('failed', { cause: driver }), { code: 'P2010' }))
    expect(await codesOf(store)).toEqual(all('RINGHOOK_STORE_NOT_MIGRATED'))
  })

  it('may be anything, also no error', async () => {
    for (const thrown of [undefined, null, 'no', 7, {}]) {
      expect(await codesOf(failing(thrown))).toEqual(all('RINGHOOK_STORE_FAILED'))
    }
  })
})

describe('postgresStore with a server that answers nonsense', () => {
  it.each([
    ['nothing', undefined],
    ['no rows', {}],
    ['rows that are none', { rows: [7] }],
    ['numbers', { rows: [{ key: 'a', verdict: 1 }] }],
    ['another verdict', { rows: [{ key: 'a', verdict: 'maybe', detail: '1', count: 'x' }] }],
    ['a fence that is no number', { rows: [{ key: 'a', verdict: 'claimed', detail: '-' }] }],
  ])('fails rather than to guess: %s', async (_what, answer) => {
    const store = postgresStore({ query: () => Promise.resolve(answer as never) })
    expect(await codesOf(store)).toEqual(all('RINGHOOK_STORE_FAILED'))
    await expect(store.prune()).rejects.toMatchObject({ code: 'RINGHOOK_STORE_FAILED' })
  })
})
