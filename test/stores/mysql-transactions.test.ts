import { createPool as createCallbackPool } from 'mysql2'
import type { Pool, PoolConnection, PoolOptions } from 'mysql2/promise'
import type { HeldClaim } from 'ringhook'
import { type MysqlQueryable, mysqlStore } from 'ringhook/stores/mysql'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { hold, month, mysqlTables, options } from './mysql-tables.ts'

const busy = { code: 'RINGHOOK_STORE_BUSY', name: 'RinghookError' }
const refused = { code: 'RINGHOOK_TRANSACTION_INVALID', name: 'RinghookError' }

describeOn('mysql', 'mysqlStore and the transactions of its users', (url) => {
  const { prefix, admin, pool, passTime, column } = mysqlTables(url)
  const table = `${prefix}_events`
  const effects = `${prefix}_effects`
  const store = mysqlStore(pool(), { table })
  const elsewhere = mysqlStore(pool(), { table })
  let keys = 0

  /** A key of its own, and an open transaction, in which something was written. */
  async function begin(client: Pool = admin, isolation = 'REPEATABLE READ') {
    await store.migrate()
    await admin.query(`CREATE TABLE IF NOT EXISTS ${effects} (id VARCHAR(64) PRIMARY KEY)`)
    const key = `key-${keys++}`
    const connection = await client.getConnection()
    onTestFinished(() => end(connection))
    await connection.query(`SET TRANSACTION ISOLATION LEVEL ${isolation}`)
    await connection.beginTransaction()
    await connection.query(`INSERT INTO ${effects} VALUES (?)`, [key])
    const has = async () => (await column(`SELECT id FROM ${effects}`)).includes(key)
    return { key, connection, has }
  }

  const variants: Readonly<Record<string, PoolOptions>> = {
    'on the usual connections': {},
    'on connections that count only rows that are different now': { flags: ['-FOUND_ROWS'] },
    'on connections that give rows as lists': { rowsAsArray: true, namedPlaceholders: true },
  }
  const levels = ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE']

  describe.each(Object.entries(variants))('%s', (_name, variant) => {
    const client = pool(variant)

    it.each(levels)('a mark commits with what was written beside it, in %s', async (level) => {
      const { key, connection, has } = await begin(client, level)
      const mine = await hold(store, key)
      expect(await store.complete(mine, { retentionMs: month, transaction: connection })).toBe(true)
      expect((await elsewhere.claim(key, options('b'))).state).toBe('in_flight')
      await connection.commit()
      const completed = { state: 'completed', fingerprint: 'f' }
      expect(await elsewhere.claim(key, options('b'))).toEqual(completed)
      expect(await store.claim(key, options('a'))).toEqual(completed)
      expect(await has()).toBe(true)
    })

    it.each(levels)('a mark is undone with what was written beside it, in %s', async (level) => {
      const { key, connection, has } = await begin(client, level)
      const mine = await hold(store, key)
      expect(await store.complete(mine, { retentionMs: month, transaction: connection })).toBe(true)
      await connection.rollback()
      expect((await elsewhere.claim(key, options('b'))).state).toBe('in_flight')
      expect(await store.claim(key, options('a'))).toEqual(mine)
      expect(await store.release(mine)).toBe(true)
      expect((await hold(elsewhere, key, 'b')).fence).toBe(2)
      expect(await has()).toBe(false)
    })

    it('a mark may be repeated, in the same transaction and in a later one', async () => {
      const { key, connection } = await begin(client)
      const marking = { retentionMs: month, transaction: connection }
      const mine = await hold(store, key)
      expect(await store.complete(mine, marking)).toBe(true)
      expect(await store.complete(mine, marking)).toBe(true)
      await connection.commit()
      await connection.beginTransaction()
      expect(await store.complete(mine, marking)).toBe(true)
      expect(await store.complete({ ...mine, owner: 'b' }, marking)).toBe(false)
      expect(await store.complete({ ...mine, fence: 2 }, marking)).toBe(false)
      await connection.rollback()
      expect((await elsewhere.claim(key, options('b'))).state).toBe('completed')
    })

    it('a mark counts by what the rows are now, not by what the transaction saw before', async () => {
      const { key, connection } = await begin(client)
      const [stale, late] = [await hold(store, `${key}-stale`), await hold(store, `${key}-late`)]
      await connection.query(`SELECT COUNT(*) FROM ${table}`)
      await passTime(table, 30_001)
      await hold(elsewhere, `${key}-stale`, 'b')
      await store.complete(late, { retentionMs: month })
      const marking = { retentionMs: month, transaction: connection }
      expect(await store.complete(stale, marking)).toBe(false)
      expect(await store.complete(late, marking)).toBe(true)
    })
  })

  describe('while a transaction that has marked an event stays open', () => {
    async function beginAndMark() {
      const begun = await begin()
      const mine = await hold(store, begun.key)
      await store.complete(mine, { retentionMs: month, transaction: begun.connection })
      return { ...begun, mine }
    }

    it('claims of the event are answered at once, beside those of others that come together', async () => {
      const { key, connection } = await beginAndMark()
      const others = Array.from({ length: 50 }, (_, index) => `${key}-${index}`)
      const [locked, ...free] = await Promise.all(
        [key, ...others].map((one) => elsewhere.claim(one, options('b'))),
      )
      expect(locked).toEqual({ state: 'in_flight', retryAfterMs: expect.any(Number) })
      expect(new Set(free.map(({ state }) => state))).toEqual(new Set(['claimed']))
      await connection.commit()
      expect((await elsewhere.claim(key, options('b'))).state).toBe('completed')
    })

    it('nobody takes the event over, although its lease is over, until the transaction has ended', async () => {
      const { key, connection, mine } = await beginAndMark()
      const other = await hold(store, `${key}-other`)
      await passTimeOfOthers(30_001, key)
      const [locked, taken] = await Promise.all(
        [key, `${key}-other`].map((one) => elsewhere.claim(one, options('b'))),
      )
      expect(locked?.state).toBe('in_flight')
      expect(taken).toMatchObject({ state: 'claimed', fence: other.fence + 1 })
      await connection.rollback()
      await passTime(table, 30_001)
      expect((await hold(elsewhere, key, 'b')).fence).toBe(mine.fence + 1)
    })

    it('the event cannot be taken over where its lease was over before', async () => {
      const { key, connection } = await begin()
      const mine = await hold(store, key)
      await passTime(table, 30_001)
      await store.complete(mine, { retentionMs: month, transaction: connection })
      const others = Array.from({ length: 10 }, (_, index) => `${key}-${index}`)
      const [locked, ...free] = await Promise.all(
        [key, ...others].map((one) => elsewhere.claim(one, options('b'))),
      )
      expect(locked?.state).toBe('in_flight')
      expect(new Set(free.map(({ state }) => state))).toEqual(new Set(['claimed']))
      await connection.rollback()
      expect((await hold(elsewhere, key, 'b')).fence).toBe(2)
    })

    it('its own claim is in flight too, and the same again after a rollback', async () => {
      const { key, connection, mine } = await beginAndMark()
      // Another lease than it has: one that is set to the millisecond needs no change.
      const again = { ...options('a'), leaseMs: 60_000 }
      expect((await store.claim(key, again)).state).toBe('in_flight')
      await connection.rollback()
      expect(await store.claim(key, again)).toEqual(mine)
    })

    it('its lease cannot be renewed, its claim not given back, and others can', async () => {
      const { key, mine } = await beginAndMark()
      const others = await Promise.all([1, 2, 3].map((index) => hold(store, `${key}-${index}`)))
      const leaseMs = 60_000
      const toldOf = async (changes: readonly Promise<boolean>[]) =>
        (await Promise.allSettled(changes)).map((one) =>
          one.status === 'fulfilled' ? one.value : one.reason.code,
        )
      const all = [mine, ...others]
      const told = [busy.code, true, true, true]
      expect(await toldOf(all.map((one) => store.extend(one, { leaseMs })))).toEqual(told)
      expect(await toldOf(all.map((one) => store.release(one)))).toEqual(told)
      expect(await toldOf([completing(mine)])).toEqual([busy.code])
      expect(await store.forget(key)).toBe('in_flight')
      expect(await store.status(key)).toBe('in_flight')
    })

    it('a renewal that came too early works out when the transaction ends a moment later', async () => {
      const { connection, mine } = await beginAndMark()
      const client = pool()
      const query = vi.fn((sql: string, values: unknown[]) => client.query(sql, values))
      const extending = mysqlStore({ query }, { table }).extend(mine, { leaseMs: 60_000 })
      // It has tried, and has seen that it could not.
      await vi.waitFor(() => expect(query.mock.calls.length).toBeGreaterThanOrEqual(2), 5_000)
      await connection.rollback()
      expect(await extending).toBe(true)
    })

    const completing = async (claim: HeldClaim) => store.complete(claim, { retentionMs: month })

    /** The row is locked: its time goes on for the others only. */
    async function passTimeOfOthers(ms: number, key: string): Promise<void> {
      await admin.query(
        `UPDATE ${table} SET ends_at = ends_at - ? WHERE event_key LIKE '${key}-%'`,
        [ms],
      )
    }
  })

  it('of two transactions that mark one event, the second waits and is told that it is marked', async () => {
    const first = await begin()
    const second = await begin()
    const mine = await hold(store, first.key)
    const marking = (connection: PoolConnection) =>
      store.complete(mine, { retentionMs: month, transaction: connection })
    expect(await marking(first.connection)).toBe(true)
    const waiting = marking(second.connection)
    await first.connection.commit()
    expect(await waiting).toBe(true)
  })

  it('a mark that waits too long for a lock is refused as busy, and the transaction goes on', async () => {
    const first = await begin()
    const second = await begin()
    const mine = await hold(store, first.key)
    await store.complete(mine, { retentionMs: month, transaction: first.connection })
    await second.connection.query('SET SESSION innodb_lock_wait_timeout = 1')
    await expect(
      store.complete(mine, { retentionMs: month, transaction: second.connection }),
    ).rejects.toMatchObject({ ...busy, cause: { errno: 1205 } })
    await second.connection.commit()
    expect(await second.has()).toBe(true)
    second.connection.destroy()
  })

  it('takes what looks like a connection: counts as text, as bigint, and errors that are wrapped', async () => {
    const { key, connection } = await begin()
    const mine = await hold(store, key)
    const counting = (wrap: (count: number) => unknown): MysqlQueryable => ({
      query: async (sql, values) => {
        const [result, fields] = await connection.query(sql, values)
        if (Array.isArray(result)) return [result, fields]
        return [{ affectedRows: wrap(result.affectedRows) }, undefined]
      },
    })
    for (const wrap of [BigInt, String, Number]) {
      const transaction = counting(wrap)
      expect(await store.complete(mine, { retentionMs: month, transaction })).toBe(true)
    }
    const failing: MysqlQueryable = {
      query: async () => {
        const cause = Object.assign(new Error('as the server says'), { errno: 1213 })
        throw new Error('as an ORM says', { cause })
      },
    }
    await expect(
      store.complete(mine, { retentionMs: month, transaction: failing }),
    ).rejects.toMatchObject(busy)
  })

  describe('refuses to mark in', () => {
    it('its own pool, another one, or something else', async () => {
      const client = pool()
      const callbacks = createCallbackPool({ uri: url })
      onTestFinished(() => callbacks.promise().end())
      const own = mysqlStore(client, { table })
      await own.migrate()
      const mine = await hold(own, `refused-${keys++}`)
      for (const transaction of [client, admin, callbacks, {}, null, 1, 'BEGIN', { query: 1 }]) {
        const marking = { retentionMs: month, transaction }
        await expect(own.complete(mine, marking)).rejects.toMatchObject(refused)
      }
      expect(await own.extend(mine, { leaseMs: 1 })).toBe(true)
    })

    it('a connection that has no transaction open, and leaves the event as it was', async () => {
      const { key, connection } = await begin()
      await connection.commit()
      const mine = await hold(store, key)
      const marking = { retentionMs: month, transaction: connection }
      await expect(store.complete(mine, marking)).rejects.toMatchObject(refused)
      await expect(store.complete({ ...mine, fence: 2 }, marking)).rejects.toMatchObject(refused)
      expect(await store.release(mine)).toBe(true)
      expect((await hold(elsewhere, key, 'b')).fence).toBe(2)
    })
  })
})

async function end(connection: PoolConnection): Promise<void> {
  try {
    await connection.rollback()
    connection.release()
  } catch {
    // The test has closed it.
  }
}
