import { mysqlStore } from 'ringhook/stores/mysql'
import { expect, it, vi } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { month, mysqlTables, options } from './mysql-tables.ts'

describeOn('mysql', 'mysqlStore under load', (url) => {
  const { prefix, pool, column } = mysqlTables(url)

  it('has one holder for each key, and rising fences, while two pools fight over the same keys', async () => {
    const table = `${prefix}_load`
    const stores = [1, 2].map(() => mysqlStore(pool(), { table }))
    await stores[0]?.migrate()
    const keys = Array.from({ length: 40 }, (_, index) => `key-${index}`)
    const holders = new Map<string, string>()
    const fences = new Map<string, number>()
    const done = { claimed: 0, completed: 0, in_flight: 0, renewed: 0, finished: 0 }

    /** Claims every key at once, in a changing order, and lets go of what it won. */
    async function fight(store: (typeof stores)[number], owner: string): Promise<void> {
      const order = keys.map((key) => ({ key, at: Math.random() })).sort((a, b) => a.at - b.at)
      await Promise.all(order.map(({ key }) => runOnce(store, key, owner)))
    }

    async function runOnce(store: (typeof stores)[number], key: string, owner: string) {
      const claim = await store.claim(key, options(owner))
      done[claim.state]++
      if (claim.state === 'completed') {
        await store.forget(key)
        return
      }
      if (claim.state !== 'claimed') return
      expect(holders.get(key)).toBeUndefined()
      holders.set(key, owner)
      expect(claim.fence).toBeGreaterThan(fences.get(key) ?? 0)
      fences.set(key, claim.fence)
      if (Math.random() < 0.5) {
        expect(await store.extend(claim, { leaseMs: 60_000 })).toBe(true)
        done.renewed++
      }
      holders.delete(key)
      const isFinished = Math.random() < 0.5
      if (isFinished) expect(await store.complete(claim, { retentionMs: month })).toBe(true)
      else expect(await store.release(claim)).toBe(true)
      done.finished++
    }

    const rounds = Array.from({ length: 12 }, (_, index) => index)
    for (const round of rounds) {
      await Promise.all(
        stores.flatMap((store, index) =>
          [0, 1, 2, 3].map((fighter) => fight(store, `${round}-${index}-${fighter}`)),
        ),
      )
    }
    expect(holders.size).toBe(0)
    expect(done.finished).toBe(done.claimed)
    for (const count of Object.values(done)) expect(count).toBeGreaterThan(0)
    expect(await column(`SELECT COUNT(*) FROM ${table} WHERE state = 0`)).toEqual([0])
  })

  it('claims new keys from two pools in every order without a deadlock that shows', async () => {
    const table = `${prefix}_new`
    const stores = [1, 2].map(() => mysqlStore(pool(), { table }))
    await stores[0]?.migrate()
    for (let round = 0; round < 10; round++) {
      const keys = Array.from({ length: 300 }, (_, index) => `${round}-${index}`)
      const claims = await Promise.all(
        stores.map((store, index) => {
          const order = index === 0 ? keys : keys.toReversed()
          return Promise.all(order.map((key) => store.claim(key, options(`${index}`))))
        }),
      )
      const won = claims.flat().filter(({ state }) => state === 'claimed')
      expect(new Set(won.map((claim) => 'key' in claim && claim.key)).size).toBe(300)
      expect(won).toHaveLength(300)
    }
  })

  it('claims again where the server has ended a deadlock at its cost', async () => {
    const table = `${prefix}_deadlock`
    const store = mysqlStore(pool(), { table })
    await store.migrate()
    const other = await pool().getConnection()
    const insert = async (keys: string[]) =>
      await other.query(`INSERT INTO ${table} VALUES ?`, [
        keys.map((key) => [key, 'other', 1, 0, 'f', 0]),
      ])
    await other.beginTransaction()
    // The server ends the transaction that has changed less.
    await insert(['b', ...Array.from({ length: 100 }, (_, index) => `x-${index}`)])
    const claiming = Promise.all(['a', 'b', 'c'].map((key) => store.claim(key, options('mine'))))
    const waiting = `SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE '%${table}%'`
    // The server renews this table only when nobody has read it for 100 ms.
    await vi.waitFor(async () => expect(await column(waiting)).toEqual([1]), {
      interval: 150,
      timeout: 5_000,
    })
    await insert(['a'])
    await other.rollback()
    other.release()
    const states = (await claiming).map(({ state }) => state)
    expect(states).toEqual(['claimed', 'claimed', 'claimed'])
  })
})
