import { type Clock, systemClock } from '../core/clock.ts'
import { RinghookError } from '../core/errors.ts'
import { storeFailure } from './failures.ts'
import { SqliteConnection } from './sqlite/connection.ts'
import {
  columnsOf,
  failureOf,
  hasMethod,
  hasOpenTransaction,
  isDatabase,
  type SqliteDatabase,
  type SqliteValue,
} from './sqlite/database.ts'
import { presetTable, sqliteMigration, statementsFor } from './sqlite/table.ts'
import type {
  Claim,
  ClaimOptions,
  CompleteOptions,
  Forgotten,
  HeldClaim,
  PersistentStore,
} from './store.ts'
import { checkFingerprint, checkPruneLimit, storedForm } from './stored-form.ts'

export type { SqliteDatabase, SqliteStatement, SqliteValue } from './sqlite/database.ts'
export { sqliteMigration } from './sqlite/table.ts'

/** Options of {@link sqliteStore}. */
export interface SqliteStoreOptions {
  /** The name of its table. Default: `ringhook_events`. */
  readonly table?: string
  /** Default: the machine's clock, which all processes on a file share. */
  readonly clock?: Clock
}

/**
 * A transaction of a library that runs SQLite behind a promise, as an adapter of one line: it runs
 * a statement with `?` for its values, and gives the rows.
 */
export interface SqliteTransactionAdapter {
  query(text: string, values: SqliteValue[]): unknown
}

/**
 * Gives an idempotency store in a SQLite file: it outlives the process, and the processes of one
 * machine share it. `database` is one of better-sqlite3 or `node:sqlite`, best with no other use.
 *
 * What waits in the same turn of the event loop is one transaction. Where another connection holds
 * the lock, the store waits for up to 5 s, and the event loop goes on; then it rejects
 * RINGHOOK_STORE_BUSY.
 *
 * `complete` with a `transaction` takes the database on which your transaction is open, and has
 * marked when it returns; or a {@link SqliteTransactionAdapter}.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID, RINGHOOK_STORE_INVALID
 * @example
 * ```ts
 * import Database from 'better-sqlite3'
 * import { sqliteStore } from 'ringhook/stores/sqlite'
 *
 * export const store = sqliteStore(new Database(':memory:'))
 * await store.migrate()
 * ```
 */
export function sqliteStore(
  database: SqliteDatabase,
  options: SqliteStoreOptions = {},
): PersistentStore {
  return new SqliteStore(database, options)
}

/** How long a released key keeps its fence: longer than any provider's retries. */
const releasedMs = 24 * 60 * 60_000
/** How many rows one transaction deletes, and how long others may then write before the next. */
const pruneSize = 500
const prunePauseMs = 10

class SqliteStore implements PersistentStore {
  readonly #connection: SqliteConnection
  readonly #database: SqliteDatabase
  readonly #clock: Clock
  readonly #migration: string
  readonly #sql: ReturnType<typeof statementsFor>

  constructor(
    database: SqliteDatabase,
    { table = presetTable, clock = systemClock }: SqliteStoreOptions,
  ) {
    if (!isDatabase(database)) {
      throw new RinghookError(
        'RINGHOOK_STORE_INVALID',
        'sqliteStore() was given no database: prepare() or exec() is missing. Give it new Database(file) of better-sqlite3, or new DatabaseSync(file) of node:sqlite.',
      )
    }
    this.#migration = sqliteMigration({ table })
    this.#connection = new SqliteConnection(database)
    this.#database = database
    this.#clock = clock
    this.#sql = statementsFor(table)
  }

  async claim(key: string, { owner, leaseMs, fingerprint }: ClaimOptions): Promise<Claim> {
    const storedKey = storedForm(key)
    const storedOwner = storedForm(owner)
    checkFingerprint(fingerprint)
    return await this.#connection.transact<Claim>(() => {
      const now = this.#now()
      const row = this.#get(this.#sql.claim, [
        storedKey,
        storedOwner,
        fingerprint,
        later(now, leaseMs),
        now,
      ])
      if (row === undefined) return claimElsewhere(this.#get(this.#sql.read, [storedKey]), now)
      const fence = Number(row[0])
      if (!Number.isSafeInteger(fence) || fence < 1) throw nonsense()
      return { state: 'claimed', key, owner, fence, attempt: fence }
    })
  }

  async extend(claim: HeldClaim, { leaseMs }: { readonly leaseMs: number }): Promise<boolean> {
    return await this.#connection.transact(() => {
      const now = this.#now()
      return this.#change(this.#sql.extend, [later(now, leaseMs), ...identityOf(claim)]) === 1
    })
  }

  complete(
    claim: HeldClaim,
    { retentionMs, transaction }: CompleteOptions,
  ): Promise<boolean> | boolean {
    const valuesAt = (now: number) => [later(now, retentionMs), ...identityOf(claim), now]
    if (transaction !== undefined) return this.#completeInside(transaction, valuesAt(this.#now()))
    return this.#connection.transact(
      () => this.#get(this.#sql.complete, valuesAt(this.#now())) !== undefined,
    )
  }

  async release(claim: HeldClaim): Promise<boolean> {
    return await this.#connection.transact(() => {
      const endsAt = later(this.#now(), releasedMs)
      return this.#change(this.#sql.release, [endsAt, ...identityOf(claim)]) === 1
    })
  }

  async forget(key: string): Promise<Forgotten> {
    const storedKey = storedForm(key)
    return await this.#connection.transact<Forgotten>(() => {
      const now = this.#now()
      const values = [later(now, releasedMs), storedKey, now, now]
      if (this.#change(this.#sql.forget, values) === 1) return 'forgotten'
      const [state] = this.#get(this.#sql.read, [storedKey]) ?? []
      return state !== undefined && Number(state) === 0 ? 'in_flight' : 'unknown'
    })
  }

  async migrate(): Promise<void> {
    await this.#connection.outsideTransactions(() => {
      this.#database.exec('PRAGMA journal_mode = WAL')
    })
    await this.#connection.transact(() => {
      this.#database.exec(this.#migration)
      this.#tryOut()
    })
  }

  async prune({ limit = 10_000 }: { readonly limit?: number } = {}): Promise<number> {
    checkPruneLimit(limit)
    let pruned = 0
    for (;;) {
      const size = Math.min(pruneSize, limit - pruned)
      const gone = await this.#connection.transact(() => {
        const now = this.#now()
        return this.#change(this.#sql.prune, [now, now - releasedMs, size])
      })
      pruned += gone
      if (gone < size || pruned === limit) return pruned
      await new Promise((resolve) => setTimeout(resolve, prunePauseMs))
    }
  }

  /** Whether the table is as the statements need it: a claim says so, and is taken back. */
  #tryOut(): void {
    for (const sql of Object.values(this.#sql)) this.#connection.prepare(sql)
    this.#database.exec('SAVEPOINT ringhook')
    try {
      this.#get(this.#sql.claim, ['', '', '', 0, 0])
    } finally {
      this.#database.exec('ROLLBACK TO ringhook; RELEASE ringhook')
    }
  }

  #completeInside(transaction: unknown, values: SqliteValue[]): Promise<boolean> | boolean {
    if (isDatabase(transaction)) return this.#completeOn(transaction, values)
    if (!isAdapter(transaction)) throw invalidTransaction(noTransaction)
    try {
      const rows = transaction.query(this.#sql.complete, values)
      if (!hasMethod(rows, 'then')) return isMarkedBy(rows)
      return Promise.resolve(rows).then(isMarkedBy, rethrow)
    } catch (error) {
      return rethrow(error)
    }
  }

  #completeOn(database: SqliteDatabase, values: SqliteValue[]): boolean {
    try {
      if (!hasOpenTransaction(database)) throw invalidTransaction(noOpenTransaction)
      return this.#connection.prepare(this.#sql.complete, database).get(...values) !== undefined
    } catch (error) {
      this.#connection.forgetStatements(database)
      throw failureOf(error)
    }
  }

  #get(sql: string, values: SqliteValue[]): unknown[] | undefined {
    const row = this.#connection.prepare(sql).get(...values)
    return row === undefined || row === null ? undefined : columnsOf(row)
  }

  #change(sql: string, values: SqliteValue[]): number {
    return Number(this.#connection.prepare(sql).run(...values).changes)
  }

  /** Whole, as the columns are. */
  #now(): number {
    return Math.round(this.#clock.now())
  }
}

function claimElsewhere(row: unknown[] | undefined, now: number): Claim {
  const [state, endsAt, fingerprint] = row ?? []
  if (Number(state) === 1 && typeof fingerprint === 'string') {
    return { state: 'completed', fingerprint }
  }
  const retryAfterMs = Number(endsAt) - now
  if (Number(state) !== 0 || !(retryAfterMs > 0)) throw nonsense()
  return { state: 'in_flight', retryAfterMs }
}

function nonsense(): RinghookError {
  return storeFailure('sqliteStore', 'RINGHOOK_STORE_FAILED', new Error('a row makes no sense'))
}

/** The values that say which claim is meant. */
function identityOf({ key, owner, fence }: HeldClaim): [string, string, number] {
  return [storedForm(key), storedForm(owner), fence]
}

/** A time that a column can hold, however long the retention. */
function later(now: number, ms: number): number {
  return Math.min(Math.round(now + ms), Number.MAX_SAFE_INTEGER)
}

const noTransaction =
  'What complete() was given is neither a database of better-sqlite3 or node:sqlite, nor an object with query(text, values). Give it the database on which your transaction is open.'
const noOpenTransaction =
  'No transaction is open on the database that complete() was given. Call it between BEGIN and COMMIT, or in the function that better-sqlite3 was given for a transaction.'
const noRows =
  'The query(text, values) that complete() was given came back without rows. Let it give the rows that RETURNING asks for, as an array or as { rows }.'

function invalidTransaction(message: string): RinghookError {
  return new RinghookError('RINGHOOK_TRANSACTION_INVALID', message)
}

function rethrow(error: unknown): never {
  throw failureOf(error)
}

function isAdapter(value: unknown): value is SqliteTransactionAdapter {
  return hasMethod(value, 'query')
}

function isMarkedBy(result: unknown): boolean {
  const rows = Array.isArray(result) ? result : (result as { readonly rows?: unknown } | null)?.rows
  if (!Array.isArray(rows)) throw invalidTransaction(noRows)
  return rows.length > 0
}
