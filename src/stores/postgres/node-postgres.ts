import { RinghookError } from '../../core/errors.ts'
import { isIdle, isInTransaction, isPgPool } from '../../databases/node-postgres.ts'
import { serverTimeoutMs } from '../../databases/server-timeout.ts'
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
  /** After this long the statement fails, and a Pool closes its connection. */
  readonly query_timeout: number
  /** Overrides parsers that the user set on the client or for the whole process. */
  readonly types: typeof asText
}

/** Keeps every value as the text that the server sent. */
export const asText = { getTypeParser: () => String }

/** Sends a statement. On a Pool, it holds a connection for just as long as that takes. */
export async function askNodePostgres(
  client: NodePostgres,
  query: NodePostgresQuery,
  isOver: () => boolean,
): ReturnType<NodePostgres['query']> {
  if (!isPool(client)) return await askConnection(client, query, isOver)
  const connection = await connect(client)
  // If the caller has given up, nothing is sent, and the connection can be used again.
  let isFit = isOver()
  try {
    const result = await askConnection(connection, query, isOver)
    isFit = true
    return result
  } catch (error) {
    isFit ||= isOfServer(error) && isIdle(connection)
    throw error
  } finally {
    connection.removeListener('error', ignoreError)
    // The Pool would hand out a connection that is silent, or in another program's transaction.
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
 * Returns a connection of a Pool. If the user set no limit for connecting, an attempt that hangs is
 * given up: it would keep its place in the Pool. The Pool reads its options before it returns, so
 * the user's setting is back before anything else can see it.
 */
export function connect(pool: NodePostgresPool): Promise<PooledConnection> {
  const { options } = pool
  if (options === undefined || options.connectionTimeoutMillis) return heardConnection(pool)
  const { connectionTimeoutMillis } = options
  options.connectionTimeoutMillis = serverTimeoutMs
  try {
    return heardConnection(pool)
  } finally {
    options.connectionTimeoutMillis = connectionTimeoutMillis
  }
}

/**
 * Returns a connection whose error events are handled: its query fails too, and an unhandled event
 * would end the process. It takes a callback, because a Pool stops listening before its promise
 * settles, and a server that shuts down at that moment says so in the same packet.
 */
function heardConnection(pool: NodePostgresPool): Promise<PooledConnection> {
  return new Promise((resolve, reject) => {
    pool.connect((error, connection) => {
      if (error) return reject(error)
      connection.on('error', ignoreError)
      resolve(connection)
    })
  })
}

/** Whether a client is a Pool of `pg`, or looks like one. */
export function isPool(client: object): client is NodePostgresPool {
  return isPgPool(client)
}

/** Whether a client is a Pool or Client of `pg`. Only those take a name and a limit for a statement. */
export function isNodePostgres(client: object): client is NodePostgres {
  return isPool(client) || 'connectionParameters' in client
}

/** Ignores an error event: the statement that was running gets the error too. */
export function ignoreError(): void {
  // Without a listener it would end the process.
}

/** The error for a connection that entered the store's hands with a transaction open. */
export function strangeTransaction(): RinghookError {
  return new RinghookError(
    'RINGHOOK_STORE_INVALID',
    'A connection of postgresStore() has a transaction open, so what the store writes would not be kept. It was returned to the pool between BEGIN and COMMIT: look for a release() without a ROLLBACK before it.',
  )
}
