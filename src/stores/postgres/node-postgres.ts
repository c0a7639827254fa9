import { RinghookError } from '../../core/errors.ts'
import { silenceMs } from '../limits.ts'
import { isOfServer, obstacleTo, silent } from './failures.ts'

/** A Pool or Client of `pg` also takes a statement as an object. */
export interface NodePostgres {
  query(query: NodePostgresQuery): Promise<{ readonly rows: readonly unknown[] }>
  readonly options?: { connectionTimeoutMillis?: number | undefined }
}

export interface NodePostgresPool extends NodePostgres {
  connect(callback: (error: unknown, connection: PooledConnection) => void): unknown
}

export interface PooledConnection extends NodePostgres {
  release(destroys: boolean): void
  on(event: 'error', listener: () => void): unknown
  removeListener(event: 'error', listener: () => void): unknown
}

export interface NodePostgresQuery {
  readonly text: string
  readonly values?: string[]
  readonly name?: string
  /** After this long the statement fails, and a Pool gives its connection up. */
  readonly query_timeout: number
  /** Comes before the parsers that the user gave the client, or the whole process. */
  readonly types: typeof asText
}

/** Leaves every value the text that the server sent. */
export const asText = { getTypeParser: () => String }

/** Asks on a connection of its own for as long as it takes, where the client is a Pool. */
export async function askNodePostgres(
  client: NodePostgres,
  query: NodePostgresQuery,
  isOver: () => boolean,
): ReturnType<NodePostgres['query']> {
  if (!isPool(client)) return await askConnection(client, query, isOver)
  const connection = await connect(client)
  // Where nobody waits any more nothing is sent, and the connection is as good as before.
  let isFit = isOver()
  try {
    const result = await askConnection(connection, query, isOver)
    isFit = true
    return result
  } catch (error) {
    isFit ||= isOfServer(error) && isIdle(connection)
    throw error
  } finally {
    connection.removeListener('error', nothing)
    // Else the Pool would hand out a connection that is silent, or in somebody's transaction.
    connection.release(!isFit)
  }
}

async function askConnection(
  connection: NodePostgres,
  query: NodePostgresQuery,
  isOver: () => boolean,
): ReturnType<NodePostgres['query']> {
  if (isOver()) throw silent()
  const obstacle = obstacleTo(connection)
  if (obstacle !== undefined) throw obstacle
  const result = await connection.query(query)
  if (isInTransaction(connection)) throw strangeTransaction()
  return result
}

/**
 * Gives a connection of a Pool, and gives up one that cannot be made, where the user set no limit
 * for that: it would keep its place in the Pool. The Pool looks at its options before it returns, so
 * that the user's setting is back before anybody can see it.
 */
export function connect(pool: NodePostgresPool): Promise<PooledConnection> {
  const { options } = pool
  if (options === undefined || options.connectionTimeoutMillis) return heardConnection(pool)
  const { connectionTimeoutMillis } = options
  options.connectionTimeoutMillis = silenceMs
  try {
    return heardConnection(pool)
  } finally {
    options.connectionTimeoutMillis = connectionTimeoutMillis
  }
}

/**
 * Gives a connection that is listened to. Its query fails too; an error event that nobody listens
 * to would end the process. A Pool that is asked for a promise lets go of the connection before the
 * promise is heard of, and a server that ends in that moment has told so in the same packet.
 */
function heardConnection(pool: NodePostgresPool): Promise<PooledConnection> {
  return new Promise((resolve, reject) => {
    pool.connect((error, connection) => {
      if (error) return reject(error)
      connection.on('error', nothing)
      resolve(connection)
    })
  })
}

/** A Pool of `pg`, or something like it: what is asked of it may go to any connection. */
export function isPool(value: object): value is NodePostgresPool {
  return 'totalCount' in value && 'connect' in value
}

/** A Pool or Client of `pg`: only those take a name and a limit for a statement. */
export function isNodePostgres(client: object): client is NodePostgres {
  return isPool(client) || 'connectionParameters' in client
}

/** Whether a Client of `pg` knows that it is in no transaction. Older ones do not know. */
export function isIdle(client: object): boolean {
  return transactionStatusOf(client) === 'I'
}

/** Whether it knows that it is in one, or in one that has failed. */
export function isInTransaction(client: object): boolean {
  return ['T', 'E'].includes(String(transactionStatusOf(client)))
}

function transactionStatusOf(client: object): unknown {
  const { getTransactionStatus } = client as { readonly getTransactionStatus?: unknown }
  return typeof getTransactionStatus === 'function' ? getTransactionStatus.call(client) : undefined
}

export function nothing(): void {
  // The error comes to the statement that was under way.
}

export function strangeTransaction(): RinghookError {
  return new RinghookError(
    'RINGHOOK_STORE_INVALID',
    'A connection of postgresStore() has a transaction open, so that what the store writes is not kept. Somebody gave it back to the pool between BEGIN and COMMIT: look for a release() without a ROLLBACK before it.',
  )
}
