import { createPool, type Pool, type PoolConnection, type RowDataPacket } from 'mysql2/promise'
import { mysqlStore } from 'ringhook/stores/mysql'
import { type Ledger, ledgerLines, ledgerTable, type Minutes } from './ledger.ts'

/** A ledger in MySQL or MariaDB. */
export async function mysqlLedger(url: string): Promise<Ledger> {
  const pool = createPool(url)
  const store = mysqlStore(pool)
  await store.migrate()
  await pool.query(ledgerTable)
  return {
    store,
    record: ({ eventId, callId, seconds }, context) =>
      inTransaction(pool, async (connection) => {
        await connection.query('insert into ledger values (?, ?, ?)', [eventId, callId, seconds])
        await context.complete(connection)
      }),
    lines: async () => {
      const [rows] = await pool.query<(Minutes & RowDataPacket)[]>(ledgerLines)
      return rows
    },
    close: () => pool.end(),
  }
}

async function inTransaction(pool: Pool, work: (connection: PoolConnection) => Promise<void>) {
  const connection = await pool.getConnection()
  try {
    await connection.beginTransaction()
    await work(connection)
    await connection.commit()
    connection.release()
  } catch (error) {
    // A connection that cannot roll back is closed, and that rolls back.
    await connection.rollback().then(
      () => connection.release(),
      () => connection.destroy(),
    )
    throw error
  }
}
