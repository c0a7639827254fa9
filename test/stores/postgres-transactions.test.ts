import type pg from 'pg'
import type { HeldClaim } from 'ringhook'
import { beforeAll, expect, it } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { claimOptions, hold, month, postgresSchema } from './postgres-schema.ts'

const retentionMs = month

describeOn('postgres', 'complete of postgresStore with a transaction', (url) => {
  const { schema, admin, pool, store: storeOf, passTime } = postgresSchema(url)
  const its = pool()
  const store = storeOf({}, its)
  const other = storeOf()
  beforeAll(() => admin.query(`CREATE TABLE ${schema}.orders (id text PRIMARY KEY)`))

  /** Runs with a client that has begun a transaction, which is rolled back if nobody ended it. */
  async function within<Result>(run: (client: pg.PoolClient) => Promise<Result>): Promise<Result> {
    const client = await its.connect()
    try {
      await client.query('BEGIN')
      return await run(client)
    } finally {
      await client.query('ROLLBACK')
      client.release()
    }
  }

  async function orderWithin(client: pg.PoolClient, claim: HeldClaim): Promise<boolean> {
    await client.query(`INSERT INTO ${schema}.orders VALUES ($1)`, [claim.key])
    return await store.complete(claim, { retentionMs, transaction: client })
  }

  async function orders(key: string): Promise<number> {
    const { rows } = await admin.query(`SELECT FROM ${schema}.orders WHERE id = $1`, [key])
    return rows.length
  }

  it('commits with the write that belongs to it', async () => {
    const claim = await hold(store, 'committed')
    await within(async (client) => {
      expect(await orderWithin(client, claim)).toBe(true)
      await client.query('COMMIT')
    })
    expect((await other.claim('committed', claimOptions('b'))).state).toBe('completed')
    expect(await orders('committed')).toBe(1)
  })

  it('is undone with the write that belongs to it', async () => {
    const claim = await hold(store, 'undone')
    await within((client) => orderWithin(client, claim))
    expect((await other.claim('undone', claimOptions('b'))).state).toBe('in_flight')
    expect(await orders('undone')).toBe(0)
    expect(await store.release(claim)).toBe(true)
  })

  it('gives false to an owner that was taken over, so that it rolls back', async () => {
    const zombie = await hold(store, 'taken')
    await passTime(30_001)
    const successor = await hold(other, 'taken', 'b')
    await within(async (client) => expect(await orderWithin(client, zombie)).toBe(false))
    expect(await other.complete(successor, { retentionMs })).toBe(true)
  })

  it('counts after the lease ran out, as long as nobody took over', async () => {
    const late = await hold(store, 'late')
    await passTime(300_000)
    await within(async (client) => {
      expect(await orderWithin(client, late)).toBe(true)
      await client.query('COMMIT')
    })
    expect((await other.claim('late', claimOptions('b'))).state).toBe('completed')
  })

  it('can be repeated, and is remembered from the first time on', async () => {
    const claim = await hold(store, 'twice')
    const mark = { retentionMs }
    await within(async (client) => {
      expect(await store.complete(claim, { ...mark, transaction: client })).toBe(true)
      expect(await store.complete(claim, { ...mark, transaction: client })).toBe(true)
      await client.query('COMMIT')
    })
    expect(await store.complete(claim, mark)).toBe(true)
    await passTime(retentionMs - 60_000)
    await within(async (client) => {
      expect(await store.complete(claim, { ...mark, transaction: client })).toBe(true)
      await client.query('COMMIT')
    })
    await passTime(60_001)
    await within(async (client) => {
      expect(await store.complete(claim, { ...mark, transaction: client })).toBe(false)
    })
  })

  it('gives false to an earlier claim of the same owner', async () => {
    const first = await hold(store, 'again')
    await store.release(first)
    await hold(store, 'again')
    await within(async (client) => expect(await orderWithin(client, first)).toBe(false))
  })

  it('waits for a mark that somebody else has not committed, and then tells who was first', async () => {
    const claim = await hold(store, 'waits')
    const [first, second] = await within(async (client) => {
      const isFirst = await store.complete(claim, { retentionMs, transaction: client })
      const later = within(async (another) => {
        const pid = await pidOf(another)
        const marking = store.complete(claim, { retentionMs, transaction: another })
        await untilWaiting(pid)
        await client.query('COMMIT')
        return await marking
      })
      return [isFirst, await later]
    })
    expect([first, second]).toEqual([true, true])
  })

  it('refuses what is no open transaction, with the reason', async () => {
    const claim = await hold(store, 'refused')
    const idle = await its.connect()
    try {
      for (const transaction of [its, pool(), idle, {}, 'BEGIN', () => {}, { query: 'BEGIN' }]) {
        await expect(store.complete(claim, { retentionMs, transaction })).rejects.toMatchObject({
          code: 'RINGHOOK_TRANSACTION_INVALID',
        })
      }
    } finally {
      idle.release()
    }
    expect((await other.claim('refused', claimOptions('b'))).state).toBe('in_flight')
  })

  it('refuses a transaction that has failed before', async () => {
    const claim = await hold(store, 'failed')
    await within(async (client) => {
      await expect(client.query('SELECT 1 / 0')).rejects.toThrow()
      await expect(
        store.complete(claim, { retentionMs, transaction: client }),
      ).rejects.toMatchObject({ code: 'RINGHOOK_TRANSACTION_INVALID', cause: { code: '25P02' } })
    })
  })

  async function pidOf(client: pg.PoolClient): Promise<number> {
    return (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid
  }

  async function untilWaiting(pid: number): Promise<void> {
    for (;;) {
      const { rows } = await admin.query('SELECT pg_blocking_pids($1) AS pids', [pid])
      if (rows[0].pids.length > 0) return
    }
  }
})
