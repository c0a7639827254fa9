import { withServerTimeout } from '../../databases/server-timeout.ts'
import { type TransactionDriver, transact, type Work } from '../owned-transaction.ts'
import { askOnce, connectionOf, type Pool, type PooledConnection } from './client.ts'
import { busy, mysqlFailure, silent } from './failures.ts'

/** Runs work in a transaction on a connection of the pool. */
export function transactOn<Result>(pool: Pool, work: Work<Result>): Promise<Result> {
  return transact(driverFor(pool), work)
}

function driverFor(pool: Pool): TransactionDriver<PooledConnection> {
  return {
    begin: () => begin(pool),
    commit,
    rollBack,
    giveBack(connection, isFit) {
      if (isFit) connection.release()
      else connection.destroy()
    },
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

/** A pool without a free connection has no limit of its own for how long callers wait. */
async function connectionInTime(pool: Pool): Promise<PooledConnection> {
  const connecting = connectionOf(pool)
  let isOver = false
  connecting.then(
    (connection) => {
      if (isOver) connection.release()
    },
    () => {
      // The caller gets the error.
    },
  )
  return await withServerTimeout(connecting, () => {
    isOver = true
    return busy()
  })
}

async function commit(connection: PooledConnection): Promise<void> {
  try {
    await ask(connection, 'COMMIT')
  } catch (error) {
    // A commit that the server refuses is about the user's rows, such as a conflict in a cluster.
    const { errno, fatal } = error as { readonly errno?: unknown; readonly fatal?: unknown }
    throw typeof errno === 'number' && fatal !== true ? error : mysqlFailure(error)
  }
}

async function rollBack(connection: PooledConnection): Promise<boolean> {
  return await ask(connection, 'ROLLBACK').then(
    () => true,
    () => false,
  )
}

function ask(connection: PooledConnection, sql: string): Promise<unknown> {
  return withServerTimeout(askOnce(connection, sql), silent)
}
