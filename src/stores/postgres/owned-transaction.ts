import { RinghookError } from '../../core/errors.ts'
import { isInTransaction } from '../../databases/node-postgres.ts'
import { serverTimeoutMs } from '../../databases/server-timeout.ts'
import { type TransactionDriver, transact, type Work } from '../owned-transaction.ts'
import { failureOf, isOfServer } from './failures.ts'
import {
  asText,
  connect,
  ignoreError,
  isPool,
  type NodePostgresPool,
  type PooledConnection,
  strangeTransaction,
} from './node-postgres.ts'

interface Reply {
  readonly rows: readonly unknown[]
  /** What the server did: after COMMIT it may be ROLLBACK. */
  readonly command?: unknown
}

interface TransactionalClient {
  transaction<Result>(work: Work<Result>): Promise<Result>
}

/**
 * Returns a function that runs work in a transaction: on a connection of a Pool of `pg`, or through
 * the client's own `transaction`, which PGlite has. `undefined` for other clients, such as a single
 * Client of `pg`: the statements of other events would become part of the transaction.
 */
export function transactionsOf(
  client: object,
): (<Result>(work: Work<Result>) => Promise<Result>) | undefined {
  if (isPool(client)) {
    const driver = driverFor(client)
    return (work) => transact(driver, work)
  }
  if (!hasTransactions(client)) return undefined
  return (work) => client.transaction(async (transaction) => await work(transaction))
}

function driverFor(pool: NodePostgresPool): TransactionDriver<PooledConnection> {
  return { begin: () => begin(pool), commit, rollBack, giveBack }
}

async function begin(pool: NodePostgresPool): Promise<PooledConnection> {
  let connection: PooledConnection | undefined
  try {
    connection = await connect(pool)
    // BEGIN would only warn, and this commit would be that of another program's work.
    if (isInTransaction(connection)) throw strangeTransaction()
    await ask(connection, 'BEGIN')
    return connection
  } catch (error) {
    if (connection !== undefined) giveBack(connection, false)
    throw failureOf(error)
  }
}

async function commit(connection: PooledConnection): Promise<void> {
  const { command } = await ask(connection, 'COMMIT').catch((error: unknown) => {
    // A commit that the server refuses is about the user's rows: a constraint, a conflict.
    throw isOfServer(error) ? error : failureOf(error)
  })
  // A statement that wasn't awaited has failed, which the server doesn't report as an error.
  if (command === 'ROLLBACK') throw rolledBack()
}

async function rollBack(connection: PooledConnection): Promise<boolean> {
  return await ask(connection, 'ROLLBACK').then(
    () => !isInTransaction(connection),
    () => false,
  )
}

function giveBack(connection: PooledConnection, isFit: boolean): void {
  connection.removeListener('error', ignoreError)
  connection.release(!isFit)
}

function ask(connection: PooledConnection, text: string): Promise<Reply> {
  return connection.query({ text, query_timeout: serverTimeoutMs, types: asText })
}

function hasTransactions(client: object): client is TransactionalClient {
  return typeof (client as { readonly transaction?: unknown }).transaction === 'function'
}

function rolledBack(): RinghookError {
  return new RinghookError(
    'RINGHOOK_TRANSACTION_NOT_COMMITTED',
    'A statement of the transaction failed, and the server rolled it back. Wait for every statement in the function that context.transaction() was given.',
  )
}
