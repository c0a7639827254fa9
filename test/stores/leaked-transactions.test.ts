import { createPool, type PoolConnection } from 'mysql2/promise'
import pg from 'pg'
import { mysqlStore } from 'ringhook/stores/mysql'
import { postgresStore } from 'ringhook/stores/postgres'
import { afterAll, afterEach, expect, it, vi } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { hold as holdOnMysql, options as mysqlClaim } from './mysql-tables.ts'
import { claimOptions, hold } from './postgres-schema.ts'

const table = `test_leaks_${process.pid}_${Date.now()}`
const leaky = 'RINGHOOK_STORE_INVALID'
const refused = 'RINGHOOK_TRANSACTION_INVALID'

afterEach(() => void vi.useRealTimers())

describeOn(
  'postgres',
  'postgresStore on a pool that got a connection back in a transaction',
  (url) => {
    const pool = new pg.Pool({ connectionString: url, max: 1 })
    const healthy = new pg.Pool({ connectionString: url })
    const store = postgresStore(pool, { table })
    const other = postgresStore(healthy, { table })
    afterAll(async () => {
      await healthy.query(`DROP TABLE IF EXISTS ${table}`)
      await Promise.all([pool.end(), healthy.end()])
    })

    it('keeps nothing in it, says so, and goes on with another connection', async () => {
      await store.migrate()
      const leak = await pool.connect()
      await leak.query('BEGIN')
      leak.release()

      await expect(store.claim('key', claimOptions('a'))).rejects.toMatchObject({ code: leaky })
      expect(await other.claim('key', claimOptions('b'))).toMatchObject({
        state: 'claimed',
        fence: 1,
      })
      expect(await store.claim('key', claimOptions('a'))).toMatchObject({ state: 'in_flight' })
    })

    it('does not say how a key stood when it began', async () => {
      const leak = await pool.connect()
      await leak.query(`BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM ${table}`)
      await other.claim('later', claimOptions('b'))
      leak.release()

      await expect(store.status('later')).rejects.toMatchObject({ code: leaky })
      expect(await store.status('later')).toBe('in_flight')
    })

    it('refuses a transaction whose function releases the connection, and commits nothing of it', async () => {
      const claim = await hold(store, 'released')
      const releasing = async (isCaught: boolean) =>
        store.transaction?.(async (transaction) => {
          const client = transaction as pg.PoolClient
          await store.complete(claim, { retentionMs: 1_000, transaction: client })
          try {
            client.release()
          } catch (error) {
            if (!isCaught) throw error
          }
        })
      for (const isCaught of [false, true]) {
        await expect(releasing(isCaught)).rejects.toMatchObject({ code: refused })
        expect(await store.status('released')).toBe('in_flight')
      }
      const marked = await store.transaction?.((transaction) =>
        store.complete(claim, { retentionMs: 60_000, transaction }),
      )
      expect(marked).toBe(true)
      expect(await store.status('released')).toBe('completed')
      expect([pool.totalCount, pool.idleCount]).toEqual([1, 1])
    })

    it('does not send a claim that was given up while all connections were taken', async () => {
      const patient = new pg.Pool({
        connectionString: url,
        max: 1,
        connectionTimeoutMillis: 60_000,
      })
      const full = await patient.connect()
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
      const claiming = postgresStore(patient, { table })
        .claim('late', claimOptions('a'))
        .catch((error: unknown) => error)
      await vi.waitUntil(() => patient.waitingCount === 1)
      vi.advanceTimersByTime(10_000)
      expect(await claiming).toMatchObject({ code: 'RINGHOOK_STORE_TIMEOUT' })
      vi.useRealTimers()
      full.release()
      await patient.end()
      expect(await other.claim('late', claimOptions('b'))).toMatchObject({ fence: 1 })
    })
  },
)

describeOn('mysql', 'mysqlStore on a pool that got a connection back in a transaction', (url) => {
  const pool = createPool({ uri: url, connectionLimit: 1 })
  const healthy = createPool({ uri: url })
  const store = mysqlStore(pool, { table })
  const other = mysqlStore(healthy, { table })
  afterAll(async () => {
    await healthy.query(`DROP TABLE IF EXISTS ${table}`)
    await Promise.all([pool.end(), healthy.end()])
  })

  it('keeps nothing in it, says so, and goes on with another connection', async () => {
    await store.migrate()
    const leak = await pool.getConnection()
    await leak.beginTransaction()
    leak.release()

    await expect(store.claim('key', mysqlClaim('a'))).rejects.toMatchObject({ code: leaky })
    expect((await holdOnMysql(other, 'key', 'b')).fence).toBe(1)
    expect(await store.claim('key', mysqlClaim('a'))).toMatchObject({ state: 'in_flight' })
  })

  it('does not say how a key stood when it began', async () => {
    const leak = await pool.getConnection()
    await leak.beginTransaction()
    await leak.query(`SELECT 1 FROM ${table}`)
    await holdOnMysql(other, 'later', 'b')
    leak.release()

    await expect(store.status('later')).rejects.toMatchObject({ code: leaky })
    expect(await store.status('later')).toBe('in_flight')
  })

  it('refuses a transaction whose function releases the connection, and commits nothing of it', async () => {
    const claim = await holdOnMysql(store, 'released')
    const releasing = async (isCaught: boolean) =>
      store.transaction?.(async (transaction) => {
        const connection = transaction as PoolConnection
        await store.complete(claim, { retentionMs: 1_000, transaction: connection })
        try {
          connection.release()
        } catch (error) {
          if (!isCaught) throw error
        }
      })
    for (const isCaught of [false, true]) {
      await expect(releasing(isCaught)).rejects.toMatchObject({ code: refused })
      expect(await store.status('released')).toBe('in_flight')
    }
    const marked = await store.transaction?.((transaction) =>
      store.complete(claim, { retentionMs: 60_000, transaction }),
    )
    expect(marked).toBe(true)
    // On the only connection of the pool.
    expect(await store.status('released')).toBe('completed')
  })
})
