import {
  createConnection as createCallbackConnection,
  createPool as createCallbackPool,
} from 'mysql2'
import { createConnection } from 'mysql2/promise'
import type { HeldClaim } from 'ringhook'
import { type StoreContractOptions, storeContract } from 'ringhook/conformance'
import { type MysqlClient, mysqlMigration, mysqlStore } from 'ringhook/stores/mysql'
import { afterAll, describe, expect, it, test, vi } from 'vitest'
import { codeOf } from '../helpers/endpoint.ts'
import { describeOn } from '../helpers/servers.ts'
import { onlyClientRules } from './client-rules.ts'
import { hold, month, mysqlTables, options, quoted } from './mysql-tables.ts'

const day = 24 * 60 * 60_000

describeOn('mysql', 'mysqlStore', (url) => {
  const { prefix, admin, pool, passTime, column } = mysqlTables(url)

  describe('on a pool with promises', () => {
    const client = pool()
    const connections = new Set<number>()
    client.on('connection', ({ threadId }) => void connections.add(threadId))
    contract(client, 'plain', {
      sharedClock: true,
      breakConnection: async () => {
        const alive = await column('SELECT id FROM information_schema.processlist')
        for (const id of connections) {
          if (alive.includes(id)) await admin.query(`KILL ${id}`).catch(ignoreGone)
        }
        connections.clear()
      },
      program: () => ({
        module: new URL('./mysql-program.ts', import.meta.url),
        data: { url, table: `${prefix}_plain` },
        execArgv: ['--import', 'tsx'],
      }),
    })
  })

  describe('on a pool with callbacks, that gives large numbers as text', () => {
    const client = createCallbackPool({
      uri: url,
      supportBigNumbers: true,
      bigNumberStrings: true,
    })
    afterAll(() => client.promise().end())
    onlyClientRules((its) => contract(client, 'variants', { test: its }))
  })

  describe('on a pool that gives rows by table, with named placeholders, in another time zone', () => {
    const client = pool({
      nestTables: true,
      namedPlaceholders: true,
      dateStrings: true,
      timezone: '+05:30',
    })
    onlyClientRules((its) => contract(client, 'variants', { test: its }))
  })

  describe('on a pool that gives rows as lists of bytes, and whose sessions are set otherwise', () => {
    const client = pool({ rowsAsArray: true, typeCast: false, flags: ['-FOUND_ROWS'] })
    client.on('connection', (connection) => {
      connection.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
      connection.query("SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'")
    })
    contract(client, 'variants')
  })

  it('works on one connection too, and on one with callbacks', async () => {
    const connections = [await createConnection(url), createCallbackConnection(url)]
    for (const [index, connection] of connections.entries()) {
      const store = mysqlStore(connection, { table: `${prefix}_plain` })
      await store.migrate()
      const mine = await hold(store, `connection ${index}`)
      expect(await store.complete(mine, { retentionMs: month })).toBe(true)
      connection.destroy()
    }
  })

  it('goes by UTC, whatever the time zone of a session', async () => {
    const [east, west] = ['+13:00', '-11:00'].map((zone) => {
      const client = pool({ connectionLimit: 1 })
      client.on('connection', (made) => void made.query(`SET time_zone = '${zone}'`))
      return mysqlStore(client, { table: `${prefix}_zones` })
    }) as [Store, Store]
    await east.migrate()
    const mine = await hold(east, 'a')
    expect(await west.claim('a', options('b'))).toMatchObject({ state: 'in_flight' })
    expect(await west.complete(mine, { retentionMs: day })).toBe(true)
    expect((await east.claim('a', options('b'))).state).toBe('completed')
    const [left] = await column(
      `SELECT ROUND((ends_at / 1000 - UNIX_TIMESTAMP()) / 3600) FROM ${prefix}_zones`,
    )
    expect(Number(left)).toBe(24)
  })

  it('asks the server as often as its page says, also for many at once', async () => {
    const table = `${prefix}_trips`
    const client = pool()
    const query = vi.fn((sql: string, values: unknown[]) => client.query(sql, values))
    const store = mysqlStore({ query }, { table })
    await store.migrate()
    const keys = Array.from({ length: 100 }, (_, index) => `key-${index}`)
    const tripsOf = async (each: (key: string, index: number) => unknown) => {
      query.mockClear()
      await Promise.all(keys.map(each))
      return query.mock.calls.length
    }
    const claims: HeldClaim[] = []
    const take = async (key: string, index: number) => {
      claims[index] = await hold(store, key, `owner-${claims.length}`)
    }
    const heldAt = (index: number) => claims[index] as HeldClaim

    expect(await tripsOf(take)).toBe(2)
    expect(await tripsOf((key) => store.claim(key, options('b')))).toBe(1)
    expect(await tripsOf((_, index) => store.extend(heldAt(index), { leaseMs: 1_000 }))).toBe(1)
    await passTime(table, 1_001)
    expect(await tripsOf(take)).toBe(2)
    expect(await tripsOf((_, index) => store.release(heldAt(index)))).toBe(1)
    expect(await tripsOf((_, index) => store.release(heldAt(index)))).toBe(2)
    expect(await tripsOf(take)).toBe(2)
    const retentionMs = month
    expect(await tripsOf((_, index) => store.complete(heldAt(index), { retentionMs }))).toBe(1)
    expect(await tripsOf((key) => store.claim(key, options('b')))).toBe(1)
    expect(await tripsOf((key) => key === 'key-1' && store.forget(key))).toBe(1)
    expect(await tripsOf((key) => key === 'key-1' && store.forget(key))).toBe(2)
    expect(await tripsOf((key) => key === 'key-1' && store.status(key))).toBe(2)
  })

  describe('migrate', () => {
    it('makes the table once, also when many instances start together', async () => {
      const table = `${prefix}_ten`
      const stores = Array.from({ length: 10 }, () => mysqlStore(pool(), { table }))
      await Promise.all(stores.map((store) => store.migrate()))
      const claims = await Promise.all(
        stores.map((store, index) => store.claim('a', options(`${index}`))),
      )
      expect(claims.filter(({ state }) => state === 'claimed')).toHaveLength(1)
    })

    it('keeps what is in the table', async () => {
      const store = mysqlStore(admin, { table: `${prefix}_kept` })
      await store.migrate()
      await hold(store, 'a')
      await store.migrate()
      expect((await store.claim('a', options('b'))).state).toBe('in_flight')
    })

    it('runs the SQL that mysqlMigration gives', async () => {
      const table = `${prefix}_own`
      await admin.query(mysqlMigration({ table }))
      const store = mysqlStore(admin, { table })
      await store.migrate()
      expect((await hold(store, 'a')).fence).toBe(1)
      expect(mysqlMigration()).toContain('`ringhook_events`')
    })

    it('takes a table with wider and more columns', async () => {
      const table = `${prefix}_wider`
      await admin.query(mysqlMigration({ table }))
      await admin.query(
        `ALTER TABLE ${table} MODIFY owner VARBINARY(200) NOT NULL, ADD note TEXT, ADD INDEX (owner)`,
      )
      const store = mysqlStore(admin, { table })
      await store.migrate()
      expect((await hold(store, 'a')).fence).toBe(1)
    })

    it.each([
      ['text as keys', 'MODIFY event_key VARCHAR(128) NOT NULL'],
      ['keys that are too short', 'MODIFY event_key VARBINARY(64) NOT NULL'],
      ['no primary key', 'DROP PRIMARY KEY'],
      ['another time', 'MODIFY ends_at DATETIME NOT NULL'],
      ['no index for prune()', 'DROP INDEX ends_at'],
      ['a column less', 'DROP fence'],
    ])('refuses a table with %s', async (name, change) => {
      const table = `${prefix}_${name.replaceAll(/\W/g, '_')}`
      await admin.query(mysqlMigration({ table }))
      await admin.query(`ALTER TABLE ${table} ${change}`)
      await expect(mysqlStore(admin, { table }).migrate()).rejects.toMatchObject({
        code: 'RINGHOOK_STORE_NOT_MIGRATED',
      })
    })
  })

  describe('prune', () => {
    const table = `${prefix}_prune`
    const store = mysqlStore(admin, { table })

    it('deletes what is past its retention, and a day after the lease what nobody finished', async () => {
      await store.migrate()
      await store.complete(await hold(store, 'over'), { retentionMs: day })
      await store.complete(await hold(store, 'remembered'), { retentionMs: month })
      await store.release(await hold(store, 'released'))
      await hold(store, 'abandoned')
      await hold(store, 'held', 'a', 3 * day)
      await passTime(table, day - 1_000)
      expect(await store.prune()).toBe(0)
      await passTime(table, 32_000)
      expect(await store.prune()).toBe(3)
      expect(await store.prune()).toBe(0)
      expect((await column(`SELECT event_key FROM ${table}`)).map(String)).toEqual([
        'held',
        'remembered',
      ])
    })

    it('deletes no more than it was asked to, the oldest first, and many in small batches', async () => {
      await admin.query(`DELETE FROM ${table}`)
      const rows = Array.from({ length: 2_600 }, (_, index) => [`${index}`, 'a', 1, 1, 'f', index])
      await admin.query(`INSERT INTO ${table} VALUES ?`, [rows])
      expect(await store.prune({ limit: 1 })).toBe(1)
      expect(await store.prune({ limit: 700 })).toBe(700)
      expect(await column(`SELECT MIN(ends_at) FROM ${table}`)).toEqual([701])
      const counts = await Promise.all([store.prune(), mysqlStore(pool(), { table }).prune()])
      expect(counts[0] + counts[1]).toBe(1_899)
      expect(await column(`SELECT COUNT(*) FROM ${table}`)).toEqual([0])
    })

    it('passes by what a transaction has locked, and blocks no claim meanwhile', async () => {
      for (const key of ['a', 'b', 'c']) {
        await store.complete(await hold(store, key), { retentionMs: day })
      }
      await passTime(table, day)
      const connection = await admin.getConnection()
      await connection.beginTransaction()
      await connection.query(`SELECT 1 FROM ${table} WHERE event_key = 'b' FOR UPDATE`)
      expect(await store.prune()).toBe(2)
      expect(await store.prune({ limit: 1 })).toBe(0)
      expect((await store.claim('a', options('x'))).state).toBe('claimed')
      expect((await store.claim('aa', options('x'))).state).toBe('claimed')
      await connection.rollback()
      connection.release()
      expect(await store.prune()).toBe(1)
    })

    it('refuses a limit that is no whole number from 1', async () => {
      for (const limit of [0, -1, 1.5, Number.NaN]) {
        await expect(store.prune({ limit })).rejects.toMatchObject({
          code: 'RINGHOOK_OPTION_INVALID',
        })
      }
    })
  })

  /** A table for all its stores: rows of other tests lie in it. */
  function contract(
    client: MysqlClient,
    name: string,
    more: Omit<Partial<StoreContractOptions>, 'create'> = {},
  ): void {
    const table = `${prefix}_${name}`
    const created = async (named: string) => {
      const store = mysqlStore(client, { table: named })
      await store.migrate()
      return store
    }
    storeContract({
      test,
      create: () => created(table),
      createNamed: (odd) => created(`${odd}${prefix}`),
      passTime: (ms) => passTime(table, ms),
      ...more,
    })
  }
})

type Store = ReturnType<typeof mysqlStore>

describe('mysqlStore', () => {
  const client = { query: async () => [] }

  it('refuses what is no client of mysql2', () => {
    for (const odd of [undefined, null, 'mysql://127.0.0.1', {}, { promise: () => ({}) }]) {
      expect(codeOf(() => mysqlStore(odd as never))).toBe('RINGHOOK_STORE_INVALID')
    }
  })

  it('refuses a table whose name MySQL would not take', () => {
    for (const odd of ['', 'a'.repeat(65), 'a\0', 'a ', '💥', '\ud800', null, 1, {}]) {
      const table = odd as string
      expect(codeOf(() => mysqlStore(client, { table }))).toBe('RINGHOOK_OPTION_INVALID')
      expect(codeOf(() => mysqlMigration({ table }))).toBe('RINGHOOK_OPTION_INVALID')
    }
    expect(mysqlMigration({ table: '名'.repeat(64) })).toContain(quoted('名'.repeat(64)))
  })
})

/** A connection that was on its way out when the others were listed. */
function ignoreGone(error: { readonly code?: string }): void {
  if (error.code !== 'ER_NO_SUCH_THREAD') throw error
}
