import { randomBytes } from 'node:crypto'
import { createPool, type Pool, type PoolOptions, type RowDataPacket } from 'mysql2/promise'
import type { HeldClaim, IdempotencyStore } from 'ringhook'
import { afterAll } from 'vitest'

export const month = 30 * 24 * 60 * 60_000

/** Tables of their own for some tests, and pools on their server. They go when the tests have run. */
export interface MysqlTables {
  /** Begins the names of all its tables. */
  readonly prefix: string
  /** A pool that no store uses. */
  readonly admin: Pool
  /** A pool that ends with the tests. */
  pool(options?: PoolOptions): Pool
  /** Moves the times of all rows of a table into the past. */
  passTime(table: string, ms: number): Promise<void>
  /** The first column of what a query gives. */
  column(sql: string): Promise<unknown[]>
}

export function mysqlTables(url: string): MysqlTables {
  const prefix = `test_${randomBytes(4).toString('hex')}`
  const pools: Pool[] = []
  const pool = (more: PoolOptions = {}) => {
    const made = createPool({ uri: url, ...more })
    pools.push(made)
    return made
  }
  const admin = pool({ connectionLimit: 3 })
  const column = async (sql: string) => {
    const [rows] = await admin.query<RowDataPacket[]>(sql)
    return rows.map((row) => Object.values(row)[0])
  }
  afterAll(async () => {
    for (const name of await column('SHOW TABLES')) {
      if (String(name).includes(prefix)) await admin.query(`DROP TABLE ${quoted(String(name))}`)
    }
    await Promise.all(pools.map((made) => made.end()))
  })
  return {
    prefix,
    admin,
    pool,
    passTime: async (table, ms) => {
      await admin.query(`UPDATE ${quoted(table)} SET ends_at = ends_at - ?`, [ms])
    },
    column,
  }
}

export function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``
}

export const options = (owner: string) => ({ owner, leaseMs: 30_000, fingerprint: 'f' })

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
