import { Pool, type PoolClient } from 'pg'
import { postgresStore } from 'ringhook/stores/postgres'
import { type Ledger, ledgerLines, ledgerTable, type Minutes } from './ledger.ts'

/** A ledger in Postgres. */
export async function postgresLedger(url: string): Promise<Ledger> {
  const pool = new Pool({ connectionString: url })
  // Without listeners a connection that is lost would end the process: in a transaction, or idle.
  pool.on('connect', (client) => client.on('error', (error) => console.error(error.message)))
  pool.on('error', () => {})
  const store = postgresStore(pool)
  await store.migrate()
  await pool.query(ledgerTable)
  return {
    store,
    record: ({ eventId, callId, seconds }, context) =>
      inTransaction(pool, async (client) => {
        await client.query('insert into ledger values ($1, $2, $3)', [eventId, callId, seconds])
        await context.complete(client)
      }),
    lines: async () => (await pool.query<Minutes>(ledgerLines)).rows,
    close: () => pool.end(),
  }
}

async function inTransaction(pool: Pool, work: (client: PoolClient) => Promise<void>) {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await work(client)
    await client.query('commit')
    client.release()
  } catch (error) {
    // A connection that cannot roll back is closed, and that rolls back.
    await client.query('rollback').then(
      () => client.release(),
      () => client.release(true),
    )
    throw error
  }
}
