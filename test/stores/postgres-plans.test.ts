import pg from 'pg'
import { postgresStore } from 'ringhook/stores/postgres'
import { describe, expect, it } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { claimOptions, hold, month, postgresSchema } from './postgres-schema.ts'

describeOn('postgres', 'postgresStore', (url) => {
  const { schema, admin, pool, store: storeOf, passTime } = postgresSchema(url)

  /** A store, and what it sends. */
  function watched() {
    const its = pool()
    const sent: string[] = []
    const store = postgresStore(
      {
        query: (text, values) => {
          sent.push(text)
          return its.query(text, values)
        },
      },
      { schema },
    )
    return { store, sent }
  }

  describe('round trips', () => {
    it('are one for what comes at once, whether keys are new, held, finished or to be taken over', async () => {
      const { store, sent } = watched()
      const lost = await hold(store, 'lost', 'a', 0)
      await hold(store, 'held')
      await store.complete(await hold(store, 'finished'), { retentionMs: month })
      sent.length = 0
      const keys = Array.from({ length: 60 }, (_, index) => `new-${index}`)
      const claims = await Promise.all(
        [...keys, 'lost', 'held', 'finished', 'new-0'].map((key, index) =>
          store.claim(key, claimOptions(`o${index}`)),
        ),
      )
      expect(sent).toHaveLength(1)
      expect(claims.slice(60).map(({ state }) => state)).toEqual([
        'claimed',
        'in_flight',
        'completed',
        'in_flight',
      ])
      expect(claims[60]).toMatchObject({ fence: lost.fence + 1 })
    })

    it('are one for all marks that come at once', async () => {
      const { store, sent } = watched()
      const claims = await Promise.all(
        Array.from({ length: 50 }, (_, index) => hold(store, `mark-${index}`)),
      )
      sent.length = 0
      const marks = claims.map((claim) => store.complete(claim, { retentionMs: month }))
      expect(new Set(await Promise.all(marks))).toEqual(new Set([true]))
      expect(sent).toHaveLength(1)
    })
  })

  describe('plans', () => {
    it('go by the index and are kept, whatever the size of the table when they were made', async () => {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      await client.query('SET synchronous_commit = off')
      try {
        const table = `${schema}.sizes`
        const store = postgresStore(client, { schema, table: 'sizes' })
        await store.migrate()
        await useAll(store)
        expect(await reasonsFor(client)).toEqual([])
        await admin.query(`DELETE FROM ${table}`)
        await admin.query(`VACUUM ANALYZE ${table}`)
        await useAll(store)
        await admin.query(`INSERT INTO ${table} SELECT 'filler-' || n, 'o', 1, 1, 'f', now()
          FROM generate_series(1, 20000) AS n`)
        await useAll(store)
        expect(await reasonsFor(client)).toEqual([])
        await admin.query(`VACUUM ANALYZE ${table}`)
        await useAll(store)
        expect(await reasonsFor(client)).toEqual([])
      } finally {
        await client.end()
      }
    })

    let rounds = 0
    /** Enough of everything for Postgres to settle on a plan. */
    async function useAll(store: ReturnType<typeof postgresStore>): Promise<void> {
      for (let round = 0; round < 8; round++) {
        for (const size of [1, 6]) {
          const keys = Array.from({ length: size }, (_, index) => `${rounds}-${index}`)
          rounds++
          const take = () => Promise.all(keys.map((key) => hold(store, key)))
          for (const claim of await take()) await store.release(claim)
          const claims = await take()
          await Promise.all(claims.map((claim) => store.extend(claim, { leaseMs: 1_000 })))
          await Promise.all(claims.map((claim) => store.release(claim)))
          await Promise.all((await take()).map((one) => store.complete(one, { retentionMs: 1e6 })))
          await store.forget(keys[0] ?? '')
          await store.prune({ limit: 1 })
        }
      }
    }

    /** What is wrong with the plans that the connection keeps. */
    async function reasonsFor(client: pg.Client): Promise<readonly string[]> {
      const { rows } = await client.query(
        `SELECT name, statement, parameter_types::text[] AS types, generic_plans::int AS kept
        FROM pg_prepared_statements WHERE statement LIKE 'WITH seen AS MATERIALIZED%'`,
      )
      expect(rows.length).toBe(8)
      const reasons: string[] = []
      await client.query('SET plan_cache_mode = force_generic_plan')
      for (const { name, statement, types, kept } of rows) {
        const values = types.map(() => "'1'").join(', ')
        const plan = await client.query(`EXPLAIN EXECUTE ${name}(${values})`)
        const text = plan.rows.map((row) => row['QUERY PLAN']).join('\n')
        if (/Seq Scan|Hash|Merge|Bitmap/.test(text)) reasons.push(`${statement}\n${text}`)
        if (kept === 0) reasons.push(`planned each time: ${statement}`)
      }
      await client.query('RESET plan_cache_mode')
      return reasons
    }
  })

  describe('prune', () => {
    const store = storeOf({ table: 'pruned' })
    const count = async () =>
      Number((await admin.query(`SELECT count(*) FROM ${schema}.pruned`)).rows[0].count)

    it('deletes what is past its retention, and keeps everything else', async () => {
      await store.migrate()
      await hold(store, 'abandoned')
      await store.release(await hold(store, 'released'))
      await store.complete(await hold(store, 'finished'), { retentionMs: 1_000 })
      await store.complete(await hold(store, 'remembered'), { retentionMs: month })
      expect(await store.prune()).toBe(0)
      await passTime(60_000, 'pruned')
      await hold(store, 'running')
      expect(await store.prune()).toBe(1)
      expect((await hold(store, 'released', 'b')).fence).toBe(2)
      expect((await hold(store, 'abandoned', 'b')).fence).toBe(2)
      await passTime(23 * 3_600_000, 'pruned')
      expect(await store.prune()).toBe(0)
      await passTime(2 * 3_600_000, 'pruned')
      expect(await store.prune()).toBe(3)
      expect((await store.claim('remembered', claimOptions('b'))).state).toBe('completed')
      expect(await count()).toBe(1)
    })

    it('keeps to its limit, and comes to an end', async () => {
      await admin.query(`INSERT INTO ${schema}.pruned SELECT 'past-' || n, 'o', 1, n % 2 + 1, 'f',
        now() - interval '1 day' FROM generate_series(1, 1800) AS n`)
      expect(await store.prune({ limit: 7 })).toBe(7)
      expect(await store.prune({ limit: 1_193 })).toBe(1_193)
      expect(await store.prune()).toBe(600)
      expect(await store.prune()).toBe(0)
    })

    it('can run on several instances at once', async () => {
      await admin.query(`INSERT INTO ${schema}.pruned SELECT 'past-' || n, 'o', 1, 1, 'f',
        now() - interval '1 day' FROM generate_series(1, 3000) AS n`)
      const pruned = await Promise.all(
        [store, storeOf({ table: 'pruned' })].map((one) => one.prune()),
      )
      const rest = await store.prune()
      expect(pruned.reduce((sum, one) => sum + one, rest)).toBe(3_000)
    })
  })
})
