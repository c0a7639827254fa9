import { Pool, type PoolClient } from 'pg'
import { postgresStore } from 'ringhook/stores/postgres'
import { type Ledger, ledgerLines, ledgerTable, type Minutes } from './ledger.ts'

/** A ledger in Postgres. */
export async function postgresLedger(url: string): Promise<Ledger> {
  const pool = new Pool({ connectionString: url })
  // Without a listener, losing an idle connection would end the process.
  pool.on('error', (error) => console.error(error.message))
  const store = postgresStore(pool, { pruneEveryMs: 3_600_000 })
  await store.migrate()
  await pool.query(ledgerTable)
  return {
    store,
    record: ({ eventId, callId, seconds }, context) =>
      context.transaction(async (client: PoolClient) => {
        await client.query('insert into ledger values ($1, $2, $3)', [eventId, callId, seconds])
      }),
    lines: async () => (await pool.query<Minutes>(ledgerLines)).rows,
    close: () => pool.end(),
  }
}
