import { PGlite } from '@electric-sql/pglite'
import type { IdempotencyStore } from 'ringhook'
import { storeContract } from 'ringhook/conformance'
import { postgresStore } from 'ringhook/stores/postgres'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { claimOptions, hold, month } from './postgres-schema.ts'

describe('postgresStore on PGlite', () => {
  let database: PGlite
  let store: ReturnType<typeof postgresStore>
  // Compiling it takes seconds, in which this process does nothing else.
  beforeAll(async () => {
    database = await PGlite.create()
    store = postgresStore(database)
    await store.migrate()
  }, 120_000)
  afterAll(() => database.close())

  storeContract({
    test,
    create: () => store,
    createNamed: async (table): Promise<IdempotencyStore> => {
      const named = postgresStore(database, { table })
      await named.migrate()
      return named
    },
    passTime: async (ms) => {
      await database.query(`UPDATE ringhook_events SET ends_at = ends_at - $1 * interval '1 ms'`, [
        ms,
      ])
    },
  })

  it('commits a mark with its transaction, or undoes it', async () => {
    const undone = await hold(store, 'undone')
    const kept = await hold(store, 'kept')
    const mark = { retentionMs: month }
    await database.transaction(async (transaction) => {
      expect(await store.complete(undone, { ...mark, transaction })).toBe(true)
      await transaction.rollback()
    })
    await database.transaction(async (transaction) => {
      expect(await store.complete(kept, { ...mark, transaction })).toBe(true)
    })
    expect((await store.claim('undone', claimOptions('b'))).state).toBe('in_flight')
    expect((await store.claim('kept', claimOptions('b'))).state).toBe('completed')
  })

  it('refuses the database itself as a transaction', async () => {
    const mark = { retentionMs: month, transaction: database }
    await expect(store.complete(await hold(store, 'itself'), mark)).rejects.toMatchObject({
      code: 'RINGHOOK_TRANSACTION_INVALID',
    })
  })

  it('prunes what is past its retention', async () => {
    await store.complete(await hold(store, 'pruned'), { retentionMs: 0 })
    expect(await store.prune()).toBeGreaterThan(0)
    expect((await hold(store, 'pruned')).fence).toBe(1)
    expect(await store.prune()).toBe(0)
  })
})
