import { Pool } from 'pg'
import { postgresStore } from '../../src/stores/postgres.ts'
import { fingerprint, leaseMs, type Place, placeName, type Subject } from './subject.ts'

export const postgres: Subject = {
  floor: 'prepared INSERT',
  isRemote: true,
  async connect(url) {
    // As many connections as a pool has that was given no number.
    const pool = new Pool({ connectionString: url })
    const opened: PostgresPlace[] = []
    return {
      async open() {
        const place = new PostgresPlace(pool, placeName())
        opened.push(place)
        await place.store.migrate()
        return place
      },
      async close() {
        for (const place of opened) await place.drop()
        await pool.end()
      },
    }
  },
}

class PostgresPlace implements Place {
  readonly store
  readonly #pool: Pool
  readonly #table: string
  readonly #insert

  constructor(pool: Pool, table: string) {
    this.#pool = pool
    this.#table = table
    this.store = postgresStore(pool, { table })
    this.#insert = {
      name: table,
      text: `INSERT INTO ${table} (key, owner, fence, state, fingerprint, ends_at)
VALUES ($1, $2, 1, 0, $3, clock_timestamp() + $4 * interval '1 ms') ON CONFLICT DO NOTHING`,
    }
  }

  async insert(key: string, owner: string): Promise<boolean> {
    const values = [key, owner, fingerprint, leaseMs]
    return (await this.#pool.query({ ...this.#insert, values })).rowCount === 1
  }

  /** Made anew, not truncated: the migration gives a table more than no rows. */
  async clear(): Promise<void> {
    await this.drop()
    await this.store.migrate()
  }

  async bytes(): Promise<number> {
    const { rows } = await this.#pool.query(
      `SELECT pg_total_relation_size('${this.#table}') AS bytes`,
    )
    return Number(rows[0].bytes)
  }

  async drop(): Promise<void> {
    await this.#pool.query(`DROP TABLE IF EXISTS ${this.#table}`)
  }
}
