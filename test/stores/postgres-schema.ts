import { randomBytes } from 'node:crypto'
import pg from 'pg'
import type { HeldClaim, IdempotencyStore } from 'ringhook'
import { type PostgresStoreOptions, postgresStore } from 'ringhook/stores/postgres'
import { afterAll, beforeAll } from 'vitest'

export const month = 30 * 24 * 60 * 60_000

/** A schema of their own for some tests, and pools on its server. Both go when the tests have run. */
export interface PostgresSchema {
  readonly schema: string
  /** A pool that no store uses. */
  readonly admin: pg.Pool
  /** A pool that ends with the tests. Its connections have the name of the schema. */
  pool(options?: pg.PoolConfig): pg.Pool
  /** A store of the schema, on a pool of its own or on the one that it is given. */
  store(options?: PostgresStoreOptions, pool?: pg.Pool): ReturnType<typeof postgresStore>
  /** Moves the times of all rows of a table into the past. */
  passTime(ms: number, table?: string): Promise<void>
  /** Ends the connections of all pools but `admin`. */
  cutConnections(): Promise<void>
}

export function postgresSchema(url: string): PostgresSchema {
  const schema = `test_${randomBytes(6).toString('hex')}`
  const pools: pg.Pool[] = []
  const make = (options: pg.PoolConfig) => {
    const made = new pg.Pool({ connectionString: url, ...options })
    made.on('error', () => {})
    pools.push(made)
    return made
  }
  const admin = make({ max: 3 })
  const pool = (options: pg.PoolConfig = {}) => make({ application_name: schema, ...options })

  beforeAll(async () => {
    await admin.query(`CREATE SCHEMA ${schema}`)
    await postgresStore(admin, { schema }).migrate()
  })
  afterAll(async () => {
    await admin.query(`DROP SCHEMA ${schema} CASCADE`)
    await Promise.all(pools.map((made) => made.end()))
  })
  return {
    schema,
    admin,
    pool,
    store: (options, its = pool()) => postgresStore(its, { schema, ...options }),
    passTime: async (ms, table = 'ringhook_events') => {
      await admin.query(
        `UPDATE ${schema}."${table}" SET ends_at = ends_at - $1 * interval '1 ms'`,
        [ms],
      )
    },
    cutConnections: async () => {
      await admin.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1',
        [schema],
      )
    },
  }
}

export const claimOptions = (owner: string) => ({ owner, leaseMs: 30_000, fingerprint: 'f' })

/** Claims a key that must be free. */
export async function hold(
  store: IdempotencyStore,
  key: string,
  owner = 'a',
  leaseMs = 30_000,
): Promise<HeldClaim> {
  const claim = await store.claim(key, { owner, leaseMs, fingerprint: 'f' })
  if (claim.state !== 'claimed') throw new Error(`it is ${claim.state}`)
  return claim
}
