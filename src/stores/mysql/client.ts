import { RinghookError } from '../../core/errors.ts'
import { isMethod } from '../../databases/clients.ts'
import { pause } from '../../databases/pause.ts'
import { withServerTimeout } from '../../databases/server-timeout.ts'
import {
  busy,
  dirtyReads,
  isWorthRepeating,
  mysqlFailure,
  silent,
  strangeReply,
} from './failures.ts'
import { textsOf } from './replies.ts'
import { isolation } from './sql.ts'

/** What the store uses of a connection or pool of `mysql2/promise`: a query gives its result first. */
export interface MysqlQueryable {
  query(sql: string, values: unknown[]): Promise<readonly unknown[]>
}

/** A pool or connection of `mysql2/promise`, or one of `mysql2` with callbacks. */
export type MysqlClient = MysqlQueryable | { promise(): MysqlQueryable }

/** Asks the server and gives the result, without what the driver says of the columns. */
export type Ask = (sql: string) => Promise<unknown>

export interface PooledConnection extends MysqlQueryable {
  release(): void
  destroy(): void
}

export interface Pool extends MysqlQueryable {
  getConnection(): Promise<PooledConnection>
}

/** The store's name in error messages. */
export const storeName = 'mysqlStore'

/** Gives a client of `mysql2` that answers by promises, or `undefined` for anything else. */
export function queryableOf(client: unknown): MysqlQueryable | undefined {
  const promised = isMethod(client, 'promise')
    ? (client as { promise(): unknown }).promise()
    : client
  return isMethod(promised, 'query') ? (promised as MysqlQueryable) : undefined
}

/** Whether something hands out connections, and so is no transaction. */
export function isPool(client: unknown): client is Pool {
  return isMethod(client, 'getConnection')
}

/** The store's way to its server: a connection for as long as some statements take. */
export class MysqlSessions {
  readonly #client: MysqlQueryable
  /** Sessions that were looked at, by the connection that a pool wraps anew each time. */
  readonly #known = new WeakSet<object>()

  constructor(client: MysqlQueryable) {
    this.#client = client
  }

  /**
   * Lets `work` ask the server, through one connection where the client is a pool. After 10 s
   * without an end it rejects. A connection that went silent is closed then: a pool would keep it,
   * and run out of connections.
   *
   * @throws {RinghookError} every StoreCode
   */
  use<Result>(work: (ask: Ask) => Promise<Result>): Promise<Result> {
    const client = this.#client
    if (!isPool(client)) {
      const running = this.#checked(client, (sql) => askRepeatedly(client, sql), work)
      return withServerTimeout(running, silent)
    }
    const lent: Loan = { connection: undefined, isOver: false }
    const borrowed = borrow(client, lent, (connection, ask) => this.#checked(connection, ask, work))
    return withServerTimeout(borrowed, () => {
      lent.isOver = true
      lent.connection?.destroy()
      return lent.connection === undefined ? busy() : silent()
    })
  }

  /**
   * Looks at the isolation level of a session before its first work: one that shows what others
   * have not committed would answer `duplicate` for a mark that is rolled back.
   */
  async #checked<Result>(
    connection: MysqlQueryable,
    ask: Ask,
    work: (ask: Ask) => Promise<Result>,
  ): Promise<Result> {
    const { connection: session = connection } = connection as { readonly connection?: object }
    if (!this.#known.has(session)) {
      const levels = textsOf((await ask(isolation)) ?? [])
      if (levels.some(([, level]) => level === 'READ-UNCOMMITTED')) throw dirtyReads()
      this.#known.add(session)
    }
    return await work(ask)
  }
}

interface Loan {
  connection: PooledConnection | undefined
  isOver: boolean
}

/**
 * After a failover the old connections lead to a server that only reads. One in a transaction that
 * somebody left open would keep our locks in it, and refuse the next work too.
 */
const unfit: readonly string[] = ['RINGHOOK_STORE_READ_ONLY', 'RINGHOOK_STORE_INVALID']

async function borrow<Result>(
  pool: Pool,
  lent: Loan,
  work: (connection: MysqlQueryable, ask: Ask) => Promise<Result>,
): Promise<Result> {
  const connection = await connectionOf(pool)
  if (lent.isOver) {
    // The caller has given up, and a claim made now would only block others.
    connection.release()
    throw busy()
  }
  lent.connection = connection
  let isFit = true
  try {
    return await work(connection, (sql) => askRepeatedly(connection, sql))
  } catch (error) {
    isFit = !(error instanceof RinghookError && unfit.includes(error.code))
    throw error
  } finally {
    if (!lent.isOver) {
      if (isFit) connection.release()
      else connection.destroy()
    }
  }
}

/** @throws {RinghookError} every StoreCode */
export async function connectionOf(pool: Pool): Promise<PooledConnection> {
  try {
    return await pool.getConnection()
  } catch (error) {
    throw mysqlFailure(error)
  }
}

/** Asks again, a few times, where the server chose the statement to end a deadlock. */
async function askRepeatedly(client: MysqlQueryable, sql: string): Promise<unknown> {
  for (let tries = 1; ; tries++) {
    try {
      return await askOnce(client, sql)
    } catch (error) {
      if (tries === 5 || !isWorthRepeating(error)) throw mysqlFailure(error)
      await pause(Math.random() * 10 * tries)
    }
  }
}

/** Asks once. Errors are the driver's own. */
export async function askOnce(client: MysqlQueryable, sql: string): Promise<unknown> {
  // The values stand in the text. An empty list keeps `namedPlaceholders` from reading it.
  const reply: unknown = await client.query(sql, [])
  if (Array.isArray(reply)) return reply[0]
  throw strangeReply()
}
