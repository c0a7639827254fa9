import { RinghookError } from '../../core/errors.ts'
import { silenceMs } from '../limits.ts'
import { failureOf, isOfServer } from './failures.ts'
import {
  asText,
  connect,
  isInTransaction,
  isPool,
  type NodePostgresPool,
  nothing,
  type PooledConnection,
  strangeTransaction,
} from './node-postgres.ts'

/** What runs in a transaction: it is given the client that the transaction is open on. */
export type Work<Result> = (transaction: unknown) => Result | Promise<Result>

interface Reply {
  readonly rows: readonly unknown[]
  /** What the server did: after COMMIT it may be ROLLBACK. */
  readonly command?: unknown
}

interface TransactionalClient {
  transaction<Result>(work: Work<Result>): Promise<Result>
}

/**
 * Gives a function that runs work in a transaction of its own: on a connection of a Pool of `pg`, or
 * through the client's own `transaction`, which PGlite has. `undefined` for other clients, such as a
 * single Client of `pg`: the statements of other events would become part of the transaction.
 */
export function transactionsOf(
  client: object,
): (<Result>(work: Work<Result>) => Promise<Result>) | undefined {
  if (isPool(client)) return (work) => transactOnPool(client, work)
  if (!hasTransactions(client)) return undefined
  return (work) => client.transaction(async (transaction) => await work(transaction))
}

async function transactOnPool<Result>(pool: NodePostgresPool, work: Work<Result>): Promise<Result> {
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
    giveBack(connection, isFit)
  }
}

async function begin(pool: NodePostgresPool): Promise<PooledConnection> {
  let connection: PooledConnection | undefined
  try {
    connection = await connect(pool)
    // Else BEGIN would only warn, and this commit would be that of somebody else's work.
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
    // What the server refuses to commit is about the user's rows: a constraint, a conflict.
    throw isOfServer(error) ? error : failureOf(error)
  })
  // A statement that was not waited for has failed, and the server does not call this an error.
  if (command === 'ROLLBACK') throw rolledBack()
}

/** Whether the connection is as good as before. It may be gone: closing it rolls back as well. */
async function rollBack(connection: PooledConnection): Promise<boolean> {
  return await ask(connection, 'ROLLBACK').then(
    () => !isInTransaction(connection),
    () => false,
  )
}

function giveBack(connection: PooledConnection, isFit: boolean): void {
  connection.removeListener('error', nothing)
  connection.release(!isFit)
}

function ask(connection: PooledConnection, text: string): Promise<Reply> {
  return connection.query({ text, query_timeout: silenceMs, types: asText })
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
