import pg from 'pg'
import postgres from 'postgres'
import type { IdempotencyStore } from 'ringhook'
import { type StoreContractOptions, storeContract } from 'ringhook/conformance'
import { type PostgresClient, postgresMigration, postgresStore } from 'ringhook/stores/postgres'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { codeOf } from '../helpers/endpoint.ts'
import { describeOn } from '../helpers/servers.ts'
import { onlyClientRules } from './client-rules.ts'
import { claimOptions, hold, month, postgresSchema } from './postgres-schema.ts'

describeOn('postgres', 'postgresStore', (url) => {
  const { schema, admin, pool, store, passTime, cutConnections } = postgresSchema(url)

  function contract(
    create: () => IdempotencyStore,
    more: Omit<Partial<StoreContractOptions>, 'create'> = {},
  ): void {
    storeContract({ test, create, passTime: (ms) => passTime(ms), sharedClock: true, ...more })
  }

  /** The part that depends on the client. */
  function clientContract(create: () => IdempotencyStore): void {
    onlyClientRules((its) => contract(create, { test: its }))
  }

  describe('on a Pool of pg', () => {
    const its = pool()
    contract(() => store({}, its), {
      createNamed: async (table) => {
        const named = store({ table }, its)
        await named.migrate()
        return named
      },
      breakConnection: cutConnections,
      program: () => ({
        module: new URL('./postgres-program.ts', import.meta.url),
        data: { url, schema },
        execArgv: ['--import', 'tsx'],
      }),
    })
  })

  describe('on several instances at once', () => {
    const stores = Array.from({ length: 4 }, () => store({}, pool({ max: 2 })))
    contract(() => inTurns(stores))
  })

  describe('without prepared statements', () => {
    const its = pool()
    clientContract(() => store({ prepare: false }, its))
  })

  describe('on a Client of pg', () => {
    const client = new pg.Client({ connectionString: url })
    beforeAll(() => client.connect())
    afterAll(() => client.end())
    clientContract(() => postgresStore(client, { schema }))
  })

  describe('on postgres.js', () => {
    const sql = postgres(url, { max: 4 })
    afterAll(() => sql.end())
    const clientOf = (queryable: postgres.ISql): PostgresClient => ({
      query: async (text, values) => ({ rows: await queryable.unsafe(text, values) }),
    })
    const client: PostgresClient = {
      ...clientOf(sql),
      transaction: <Result>(work: (transaction: unknown) => Promise<Result>) =>
        sql.begin((tx) => work(clientOf(tx))) as Promise<Result>,
    }
    clientContract(() => postgresStore(client, { schema }))
  })

  describe('where transactions are repeatable reads by default', () => {
    const its = pool({ options: '-c default_transaction_isolation=repeatable\\ read' })
    contract(() => store({}, its))
  })

  describe('migrate', () => {
    it('can be called by ten instances at once', async () => {
      const stores = Array.from({ length: 10 }, () => store({ table: 'at once' }, pool({ max: 1 })))
      await Promise.all(stores.map((each) => each.migrate()))
      expect((await hold(store({ table: 'at once' }), 'key')).fence).toBe(1)
    })

    it('can be called while somebody else runs the printed SQL', async () => {
      const printing = await admin.connect()
      const its = pool({ max: 1 })
      const { rows } = await its.query('SELECT pg_backend_pid() AS pid')
      await printing.query(`BEGIN; ${postgresMigration({ schema, table: 'meanwhile' })}`)
      const migrating = store({ table: 'meanwhile' }, its).migrate()
      for (let blockers = 0; blockers === 0; ) {
        const found = await admin.query('SELECT pg_blocking_pids($1) AS pids', [rows[0].pid])
        blockers = found.rows[0].pids.length
      }
      await printing.query('COMMIT')
      printing.release()
      await migrating
      expect((await hold(store({ table: 'meanwhile' }), 'key')).fence).toBe(1)
    })

    it('keeps what the table holds', async () => {
      const its = store({ table: 'kept' })
      await its.migrate()
      await its.complete(await hold(its, 'key'), { retentionMs: month })
      await its.migrate()
      expect((await its.claim('key', claimOptions('b'))).state).toBe('completed')
    })

    it('does the same as the SQL that is printed, which can be run twice', async () => {
      await store({ table: 'migrated' }).migrate()
      const printed = postgresMigration({ schema, table: 'printed' })
      await admin.query(printed)
      await hold(store({ table: 'printed' }), 'key')
      await admin.query(printed)
      expect(await shapeOf('printed')).toEqual(await shapeOf('migrated'))
      expect((await store({ table: 'printed' }).claim('key', claimOptions('b'))).state).toBe(
        'in_flight',
      )
    })

    it('needs no right to create where the table is', async () => {
      const role = `${schema}_user`
      await admin.query(`CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA ${schema} TO ${role};
        GRANT SELECT, INSERT, UPDATE, DELETE ON ${schema}.ringhook_events TO ${role}`)
      const its = store({}, pool({ options: `-c role=${role}` }))
      try {
        await its.migrate()
        const mine = await hold(its, 'granted')
        expect(await its.extend(mine, { leaseMs: 1_000 })).toBe(true)
        expect(await its.complete(mine, { retentionMs: month })).toBe(true)
        expect(await its.forget('granted')).toBe('forgotten')
        await its.prune({ limit: 1 })
        await expect(
          store({ table: 'none' }, pool({ options: `-c role=${role}` })).migrate(),
        ).rejects.toMatchObject({ code: 'RINGHOOK_STORE_ACCESS_DENIED' })
      } finally {
        await admin.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
      }
    })

    it('finds a table that follows the search path', async () => {
      const its = postgresStore(pool({ options: `-c search_path=${schema}` }))
      await its.migrate()
      await hold(its, 'on the path')
      expect((await store().claim('on the path', claimOptions('b'))).state).toBe('in_flight')
    })

    async function shapeOf(table: string) {
      const { rows } = await admin.query(
        `SELECT (SELECT array_agg(attname || ' ' || format_type(atttypid, NULL) ORDER BY attnum)
            FROM pg_attribute WHERE attrelid = pg_class.oid AND attnum > 0) AS columns,
          (SELECT array_agg(replace(pg_get_indexdef(indexrelid), $1, '') ORDER BY 1)
            FROM pg_index WHERE indrelid = pg_class.oid) AS indexes,
          reloptions, pg_relation_size(oid) AS size
        FROM pg_class WHERE oid = to_regclass($2)`,
        [table, `${schema}.${table}`],
      )
      expect(rows).toHaveLength(1)
      return rows
    }
  })
})

describe('postgresStore', () => {
  const client = { query: () => Promise.resolve({ rows: [] }) }

  it('refuses what is no client', () => {
    for (const wrong of [undefined, null, {}, 'postgres://', { query: 'SELECT 1' }]) {
      expect(codeOf(() => postgresStore(wrong as never))).toBe('RINGHOOK_STORE_INVALID')
    }
  })

  it('refuses names that no table can have', () => {
    const wrong = ['', 'x'.repeat(64), 'é'.repeat(32), 'a\0b', '\ud800', 7 as never, null as never]
    for (const name of wrong) {
      for (const names of [{ table: name }, { schema: name }]) {
        expect(codeOf(() => postgresStore(client, names))).toBe('RINGHOOK_OPTION_INVALID')
        expect(codeOf(() => postgresMigration(names))).toBe('RINGHOOK_OPTION_INVALID')
      }
    }
    expect(codeOf(() => postgresStore(client, { table: 'x'.repeat(63), schema: 'a.b' }))).toBe(
      undefined,
    )
  })

  it('refuses times and fingerprints that would fail the claims of others', async () => {
    const store = postgresStore(client)
    for (const leaseMs of [Number.NaN, -1, Number.POSITIVE_INFINITY, 1e14]) {
      await expect(store.claim('a', { ...claimOptions('a'), leaseMs })).rejects.toMatchObject({
        code: 'RINGHOOK_OPTION_INVALID',
      })
    }
    await expect(
      store.claim('a', { ...claimOptions('a'), fingerprint: '\n' }),
    ).rejects.toMatchObject({
      code: 'RINGHOOK_OPTION_INVALID',
    })
    const claim = { state: 'claimed', key: 'a', owner: 'a', fence: 1.5, attempt: 1 } as const
    expect(await store.extend(claim, { leaseMs: 1 })).toBe(false)
    expect(await store.complete(claim, { retentionMs: 1 })).toBe(false)
    await expect(store.prune({ limit: 0 })).rejects.toMatchObject({
      code: 'RINGHOOK_OPTION_INVALID',
    })
  })
})

/** Each operation on the next store: races are between connections, and answers from other batches. */
function inTurns(stores: readonly IdempotencyStore[]): IdempotencyStore {
  let turn = 0
  const next = (): IdempotencyStore => {
    const store = stores[turn++ % stores.length]
    if (store === undefined) throw new Error('no store')
    return store
  }
  return {
    claim: (key, claim) => next().claim(key, claim),
    extend: (claim, lease) => next().extend(claim, lease),
    complete: (claim, retention) => next().complete(claim, retention),
    release: (claim) => next().release(claim),
    forget: (key) => next().forget(key),
    status: (key) => next().status(key),
  }
}
