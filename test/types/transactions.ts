import type { Database } from 'better-sqlite3'
import type { PoolConnection } from 'mysql2/promise'
import type { PoolClient } from 'pg'
import type { HandlerContext } from 'ringhook'

/** What a transaction is given has the type that its function says, and its result that of the function. */
export async function transact(
  context: HandlerContext,
  bill: (client: PoolClient) => Promise<number>,
): Promise<readonly [number, string, number]> {
  await context.transaction(async (transaction) => {
    await transaction.query('insert into bills values (1)', [])
    // @ts-expect-error: only what Postgres and MySQL have in common
    transaction.release()
  })
  await context.transaction<PoolConnection>(async (connection) => {
    await connection.execute('insert into bills values (1)')
  })
  await context.transaction(() => {})
  return [
    await context.transaction(bill),
    await context.transaction(async (client: PoolClient) => {
      const { rows } = await client.query('select 1')
      return String(rows.length)
    }),
    await context.transaction((database: Database) => database.prepare('…').run().changes),
  ]
}
