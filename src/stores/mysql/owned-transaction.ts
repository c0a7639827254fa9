import { systemClock, withTimeout } from '../../core/clock.ts'
import { storeFailure } from '../../databases/failures.ts'
import { silenceMs } from '../limits.ts'
import { askOnce, connectionOf, type Pool, type PooledConnection, storeName } from './client.ts'
import { mysqlFailure } from './failures.ts'

/** What runs in a transaction: it is given the connection that the transaction is open on. */
export type Work<Result> = (transaction: unknown) => Result | Promise<Result>

/**
 * Runs work in a transaction of its own, on a connection of the pool.
 *
 * @throws {RinghookError} every StoreCode
 */
export async function transactOn<Result>(pool: Pool, work: Work<Result>): Promise<Result> {
  const connection = await begin(pool)
  let isFit = false
  try {
    const result = await work(connection)
    await commit(connection)
    isFit = true
    return result
  } catch (error) {
    isFit = await rollBack(connection)
    throw error
  } finally {
    if (isFit) connection.release()
    else connection.destroy()
  }
}

async function begin(pool: Pool): Promise<PooledConnection> {
  const connection = await connectionInTime(pool)
  try {
    await ask(connection, 'START TRANSACTION')
    return connection
  } catch (error) {
    connection.destroy()
    throw mysqlFailure(error)
  }
}

/** A pool that is used up has no limit of its own for how long it lets others wait. */
async function connectionInTime(pool: Pool): Promise<PooledConnection> {
  const connecting = connectionOf(pool)
  let isOver = false
  connecting.then(
    (connection) => {
      if (isOver) connection.release()
    },
    () => {
      // It comes to whoever waits.
    },
  )
  return await withTimeout(systemClock, connecting, silenceMs, () => {
    isOver = true
    return storeFailure(storeName, 'RINGHOOK_STORE_BUSY')
  })
}

async function commit(connection: PooledConnection): Promise<void> {
  try {
    await ask(connection, 'COMMIT')
  } catch (error) {
    // What the server refuses to commit is about the user's rows, such as a conflict in a cluster.
    const { errno, fatal } = error as { readonly errno?: unknown; readonly fatal?: unknown }
    throw typeof errno === 'number' && fatal !== true ? error : mysqlFailure(error)
  }
}

/** Whether the connection is as good as before. It may be gone: closing it rolls back as well. */
async function rollBack(connection: PooledConnection): Promise<boolean> {
  return await ask(connection, 'ROLLBACK').then(
    () => true,
    () => false,
  )
}

function ask(connection: PooledConnection, sql: string): Promise<unknown> {
  return withTimeout(systemClock, askOnce(connection, sql), silenceMs, () =>
    storeFailure(storeName, 'RINGHOOK_STORE_TIMEOUT'),
  )
}
