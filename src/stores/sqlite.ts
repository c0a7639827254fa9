import { checkOptions } from '../core/checks.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { pause } from '../databases/pause.ts'
import { SqliteConnection } from '../databases/sqlite/connection.ts'
import {
  checkDatabase,
  columnsOf,
  failureOf,
  hasOpenTransaction,
  isDatabase,
  type SqliteDatabase,
  type SqliteValue,
} from '../databases/sqlite/database.ts'
import { checkDuration, checkFingerprint, checkPruneLimit, isFence } from './checks.ts'
import { keptMs, presetTable } from './limits.ts'
import { type PruningOptions, pruneRegularly, pruningOptions } from './pruning.ts'
import { claimElsewhere, nonsense, statusOf } from './sqlite/replies.ts'
import { sqliteMigration, statementsFor } from './sqlite/table.ts'
import { completeThrough, noOpenTransaction, runAtOnce } from './sqlite/transaction.ts'
import type {
  Claim,
  ClaimOptions,
  CompleteOptions,
  Forgotten,
  HeldClaim,
  KeyStatus,
  PersistentStore,
} from './store.ts'
import { storedForm } from './stored-form.ts'

export type { SqliteDatabase, SqliteStatement, SqliteValue } from '../databases/sqlite/database.ts'
export { sqliteMigration } from './sqlite/table.ts'
export type { SqliteTransactionAdapter } from './sqlite/transaction.ts'

/** Options of {@link sqliteStore}. */
export interface SqliteStoreOptions extends PruningOptions {
  /** The name of its table. Default: `ringhook_events`. */
  readonly table?: string
  /** Default: the machine's clock, which all processes on a file share. */
  readonly clock?: Clock
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
  checkOptions('sqliteStore()', options, ['table', 'clock', ...pruningOptions])
  const store = new SqliteStore(database, options)
  pruneRegularly('sqliteStore', store, options)
  return store
}

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
    checkDatabase(database, 'sqliteStore', 'RINGHOOK_STORE_INVALID')
    this.#migration = sqliteMigration({ table })
    this.#connection = new SqliteConnection(database, 'sqliteStore')
    this.#database = database
    this.#clock = clock
    this.#sql = statementsFor(table)
  }

  async claim(key: string, { owner, leaseMs, fingerprint }: ClaimOptions): Promise<Claim> {
    const storedKey = storedForm(key)
    const storedOwner = storedForm(owner)
    checkFingerprint(fingerprint)
    checkDuration('leaseMs', leaseMs)
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
    checkDuration('leaseMs', leaseMs)
    const identity = identityOf(claim)
    if (!isFence(claim.fence)) return false
    return await this.#connection.transact(() => {
      const endsAt = later(this.#now(), leaseMs)
      return this.#change(this.#sql.extend, [endsAt, ...identity]) === 1
    })
  }

  complete(
    claim: HeldClaim,
    { retentionMs, transaction }: CompleteOptions,
  ): Promise<boolean> | boolean {
    if (transaction === undefined) return this.#completeAlone(claim, retentionMs)
    const values = this.#completion(claim, retentionMs)
    return isFence(claim.fence) && this.#completeInside(transaction, values)
  }

  async release(claim: HeldClaim): Promise<boolean> {
    const identity = identityOf(claim)
    if (!isFence(claim.fence)) return false
    return await this.#connection.transact(() => {
      const endsAt = later(this.#now(), keptMs)
      return this.#change(this.#sql.release, [endsAt, ...identity]) === 1
    })
  }

  async forget(key: string): Promise<Forgotten> {
    const storedKey = storedForm(key)
    return await this.#connection.transact<Forgotten>(() => {
      const now = this.#now()
      const values = [later(now, keptMs), storedKey, now, now]
      if (this.#change(this.#sql.forget, values) === 1) return 'forgotten'
      const [state] = this.#get(this.#sql.read, [storedKey]) ?? []
      return state !== undefined && Number(state) === 0 ? 'in_flight' : 'unknown'
    })
  }

  async status(key: string): Promise<KeyStatus> {
    const storedKey = storedForm(key)
    // A transaction of the store's begins with the lock for writing, which a look does not need.
    return await this.#connection.outsideTransactions(() =>
      statusOf(this.#get(this.#sql.read, [storedKey]), this.#now()),
    )
  }

  transaction<Result>(work: (transaction: unknown) => Result | Promise<Result>): Promise<Result> {
    return this.#connection.transactAlone(() => runAtOnce(work, this.#database))
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

  async prune({ limit }: { readonly limit?: number } = {}): Promise<number> {
    const most = checkPruneLimit(limit)
    let pruned = 0
    for (;;) {
      const size = Math.min(pruneSize, most - pruned)
      const gone = await this.#connection.transact(() => {
        const now = this.#now()
        return this.#change(this.#sql.prune, [now, now - keptMs, size])
      })
      pruned += gone
      if (gone < size || pruned === most) return pruned
      await pause(prunePauseMs)
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

  async #completeAlone(claim: HeldClaim, retentionMs: number): Promise<boolean> {
    this.#completion(claim, retentionMs)
    if (!isFence(claim.fence)) return false
    return await this.#connection.transact(
      () => this.#get(this.#sql.complete, this.#completion(claim, retentionMs)) !== undefined,
    )
  }

  /** The values of a completion that is made now. */
  #completion(claim: HeldClaim, retentionMs: number): SqliteValue[] {
    const now = this.#now()
    return [later(now, checkDuration('retentionMs', retentionMs)), ...identityOf(claim), now]
  }

  #completeInside(transaction: unknown, values: SqliteValue[]): Promise<boolean> | boolean {
    if (isDatabase(transaction)) return this.#completeOn(transaction, values)
    return completeThrough(transaction, this.#sql.complete, values)
  }

  #completeOn(database: SqliteDatabase, values: SqliteValue[]): boolean {
    try {
      if (!hasOpenTransaction(database)) throw noOpenTransaction()
      return this.#get(this.#sql.complete, values, database) !== undefined
    } catch (error) {
      this.#connection.forgetStatements(database)
      throw failureOf(error, 'sqliteStore')
    }
  }

  #get(sql: string, values: SqliteValue[], database?: SqliteDatabase): unknown[] | undefined {
    const row = this.#connection.prepare(sql, database).get(...values)
    // `bun:sqlite` says null when there is no row, the others undefined.
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

/** The values that say which claim is meant. */
function identityOf({ key, owner, fence }: HeldClaim): [string, string, number] {
  return [storedForm(key), storedForm(owner), fence]
}

/** Whole, as the columns are. */
function later(now: number, ms: number): number {
  return Math.round(now + ms)
}
