import { createPool, type PoolConnection, type RowDataPacket } from 'mysql2/promise'
import { mysqlStore } from 'ringhook/stores/mysql'
import { type Ledger, ledgerLines, ledgerTable, type Minutes } from './ledger.ts'

/** A ledger in MySQL or MariaDB. */
export async function mysqlLedger(url: string): Promise<Ledger> {
  const pool = createPool(url)
  const store = mysqlStore(pool, { pruneEveryMs: 3_600_000 })
  await store.migrate()
  await pool.query(ledgerTable)
  return {
    store,
    record: ({ eventId, callId, seconds }, context) =>
      context.transaction(async (connection: PoolConnection) => {
        await connection.query('insert into ledger values (?, ?, ?)', [eventId, callId, seconds])
      }),
    lines: async () => {
      const [rows] = await pool.query<(Minutes & RowDataPacket)[]>(ledgerLines)
      return rows
    },
    close: () => pool.end(),
  }
}
