import pg from 'pg'
import { postgresStore } from '../../src/stores/postgres.ts'
import type { Line } from '../journal.ts'
import type { Backend } from './backend.ts'

export const postgres: Backend = {
  async openStore({ url, name }) {
    const pool = new pg.Pool({
      connectionString: url,
      max: 5,
      connectionTimeoutMillis: 1_000,
      query_timeout: 2_000,
    })
    pool.on('error', () => {})
    return { store: postgresStore(pool, { table: name }), close: () => pool.end() }
  },

  async openJournal({ url, name }) {
    // One connection, and what waits for it in order.
    const pool = new pg.Pool({ connectionString: url, max: 1, idleTimeoutMillis: 0 })
    // It must outlive the workers, not the server.
    await pool.query('SET synchronous_commit = off')
    await pool
      .query(
        `CREATE TABLE IF NOT EXISTS "${name}_journal" (seq bigserial PRIMARY KEY, at float8 NOT NULL, line text NOT NULL)`,
      )
      .catch(orSomebodyElseDid)
    const append = {
      name: 'append',
      text: `INSERT INTO "${name}_journal" (at, line) VALUES (extract(epoch FROM clock_timestamp()) * 1000, $1)`,
    }
    return {
      async append(line) {
        await pool.query({ ...append, values: [JSON.stringify(line)] })
      },
      async read() {
        const { rows } = await pool.query<{ seq: string; at: number; line: string }>(
          `SELECT seq, at, line FROM "${name}_journal" ORDER BY seq`,
        )
        return rows.map(({ seq, at, line }) => {
          const parsed: Line = JSON.parse(line)
          return { ...parsed, seq: Number(seq), at }
        })
      },
      close: () => pool.end(),
    }
  },

  async erase({ url, name }) {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    await client.query(`DROP TABLE IF EXISTS "${name}", "${name}_journal"`)
    await client.end()
  },
}

/** Two that create a table at once: PostgreSQL lets one of them fail in spite of IF NOT EXISTS. */
function orSomebodyElseDid(error: unknown): void {
  const { code } = error as { readonly code?: unknown }
  if (code !== '23505' && code !== '42P07') throw error
}
