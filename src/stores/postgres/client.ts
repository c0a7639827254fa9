import { RinghookError } from '../../core/errors.ts'
import { type ClientKind, clientKindOf, isMethod, whatWasGiven } from '../../databases/clients.ts'
import { isIdle } from '../../databases/node-postgres.ts'
import { pause } from '../../databases/pause.ts'
import { serverTimeoutMs, withServerTimeout } from '../../databases/server-timeout.ts'
import {
  failureOf,
  isConflict,
  isCreatedTwice,
  isNameLost,
  isTransactionFailed,
  obstacleTo,
  silent,
  strangeRows,
} from './failures.ts'
import {
  askNodePostgres,
  asText,
  isNodePostgres,
  isPool,
  type NodePostgres,
} from './node-postgres.ts'
import { transactionsOf } from './owned-transaction.ts'
import { statementName } from './sql.ts'

/**
 * What the store needs of a client: a `Pool` or `Client` of `pg` and a `PGlite` fit as they are.
 * Every parameter is a string, and so is every value in a row.
 */
export interface PostgresClient {
  query(text: string, values?: string[]): Promise<{ readonly rows: readonly unknown[] }>
  /**
   * Runs `work` in a transaction, for `context.transaction` with clients other than a Pool of `pg`.
   * `work` is given an object with `query`. Rolls back and rejects with what `work` throws.
   */
  transaction?<Result>(work: (transaction: unknown) => Promise<Result>): Promise<Result>
}

/** A row of a result, by the names of its columns. */
export type Row = Readonly<Record<string, string>>

/** Creating an empty table takes milliseconds, unless somebody else is at it. */
const longestCreationMs = 60_000

/** Sends statements through the user's client, and makes its failures ours. */
export class PostgresServer {
  /** Runs work in a transaction of its own, if the client can. */
  readonly transact: ReturnType<typeof transactionsOf>
  readonly #client: PostgresClient
  readonly #nodePostgres: NodePostgres | undefined
  /** A lone Client of `pg`: it warns when statements queue up in it, and is to refuse them one day. */
  readonly #isAlone: boolean
  readonly #names = new Map<string, string>()
  #prepares: boolean
  #last: Promise<unknown> = Promise.resolve()

  /** @throws {RinghookError} RINGHOOK_STORE_INVALID */
  constructor(client: PostgresClient, prepare: boolean) {
    checkClient(client)
    this.#client = client
    this.transact = transactionsOf(client)
    this.#nodePostgres = isNodePostgres(client) ? client : undefined
    this.#isAlone = this.#nodePostgres !== undefined && !isPool(client)
    this.#prepares = prepare && this.#nodePostgres !== undefined
  }

  /**
   * Gives the rows of a statement. One that lost to another transaction is sent again, and none once
   * `isOver` says that nobody waits for it: a claim that is won then would be in the way.
   */
  async rows(
    text: string,
    values: string[],
    isOver: () => boolean,
    isOften = true,
  ): Promise<readonly Row[]> {
    for (let attempt = 1; ; attempt++) {
      const isNamed = this.#prepares && isOften
      try {
        return await this.#send(text, values, isNamed, isOver)
      } catch (error) {
        const isOurName = isNamed && isNameLost(error)
        if (attempt > 4 || !(isOurName || isConflict(error))) throw failureOf(error)
        if (isOurName) this.#prepares = false
        else await pause(Math.random() * 5 * 2 ** attempt)
      }
    }
  }

  /**
   * As `rows`, for what is sent seldom and without a batch: planned for the table as it is now, and
   * given up when the server is silent.
   */
  rowsInTime(text: string, values: string[]): Promise<readonly Row[]> {
    let isOver = false
    const asking = this.rows(text, values, () => isOver, false)
    return withServerTimeout(asking, () => {
      isOver = true
      return silent()
    })
  }

  /** Creates something, unless somebody else does at the same moment. */
  async create(text: string): Promise<void> {
    try {
      const query = { text, query_timeout: longestCreationMs, types: asText }
      if (this.#nodePostgres === undefined) await this.#client.query(text)
      else await askNodePostgres(this.#nodePostgres, query, () => false)
    } catch (error) {
      if (!isCreatedTwice(error)) throw failureOf(error)
    }
  }

  /**
   * Gives the rows of a statement in a transaction of the user's.
   *
   * @throws {RinghookError} RINGHOOK_TRANSACTION_INVALID
   */
  async rowsWithin(transaction: unknown, text: string, values: string[]): Promise<readonly Row[]> {
    if (!canQuery(transaction) || transaction === this.#client || isPool(transaction)) {
      throw noTransaction()
    }
    if (isIdle(transaction)) throw noTransaction()
    const obstacle = obstacleTo(transaction)
    if (obstacle !== undefined) throw obstacle
    try {
      return rowsOf(await transaction.query(text, values))
    } catch (error) {
      throw isTransactionFailed(error) ? noTransaction(error) : failureOf(error)
    }
  }

  #send(
    text: string,
    values: string[],
    isNamed: boolean,
    isOver: () => boolean,
  ): Promise<readonly Row[]> {
    if (!this.#isAlone) return this.#sendNow(text, values, isNamed, isOver)
    const sent = this.#last.then(() => this.#sendNow(text, values, isNamed, isOver))
    this.#last = sent.catch(() => {})
    return sent
  }

  async #sendNow(
    text: string,
    values: string[],
    isNamed: boolean,
    isOver: () => boolean,
  ): Promise<readonly Row[]> {
    if (this.#nodePostgres === undefined) {
      if (isOver()) throw silent()
      return rowsOf(await this.#client.query(text, values))
    }
    const query = { text, values, query_timeout: serverTimeoutMs, types: asText }
    const named = isNamed ? { ...query, name: this.#nameOf(text) } : query
    return rowsOf(await askNodePostgres(this.#nodePostgres, named, isOver))
  }

  #nameOf(text: string): string {
    const known = this.#names.get(text)
    if (known !== undefined) return known
    const name = statementName(text)
    this.#names.set(text, name)
    return name
  }
}

/**
 * Clients of another database, and libraries whose `query` answers in another way, are told apart
 * here: what has none of their marks is taken for an adapter.
 *
 * @throws {RinghookError} RINGHOOK_STORE_INVALID
 */
function checkClient(client: unknown): void {
  const kind = clientKindOf(client)
  const isOne = kind === undefined ? isMethod(client, 'query') : ownKinds.includes(kind)
  if (isOne) return
  throw new RinghookError(
    'RINGHOOK_STORE_INVALID',
    `postgresStore() was given ${whatWasGiven(client)} Give it a Pool of pg, a PGlite, or an object with query(text, values) that resolves to { rows }.`,
  )
}

const ownKinds: readonly ClientKind[] = ['pg', 'pgClient', 'pglite']

/** Takes nothing on trust that is no list of rows with text in them. */
function rowsOf(result: unknown): readonly Row[] {
  const rows = (result as { readonly rows?: unknown } | null | undefined)?.rows
  if (Array.isArray(rows) && rows.every(isRow)) return rows
  throw strangeRows()
}

function isRow(row: unknown): row is Row {
  return (
    typeof row === 'object' &&
    row !== null &&
    Object.values(row).every((value) => typeof value === 'string')
  )
}

function canQuery(value: unknown): value is PostgresClient {
  return isMethod(value, 'query')
}

function noTransaction(cause?: unknown): RinghookError {
  return new RinghookError(
    'RINGHOOK_TRANSACTION_INVALID',
    'What postgresStore() was given is no open transaction of its database, or one that has failed. Give the client that ran BEGIN, and on which your write is made.',
    cause === undefined ? undefined : { cause },
  )
}
