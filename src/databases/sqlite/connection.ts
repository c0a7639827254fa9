import { detached } from '../../core/async-context.ts'
import { inNextTurn } from '../../core/clock.ts'
import type { RinghookError } from '../../core/errors.ts'
import { isMethod } from '../clients.ts'
import { storeFailure } from '../failures.ts'
import { pause } from '../pause.ts'
import {
  columnsOf,
  failureOf,
  isInTransaction,
  type SqliteDatabase,
  type SqliteStatement,
} from './database.ts'
import { SqliteFile } from './file.ts'

interface Job {
  /** Does the work. Gives what is to be done once it is committed. */
  carryOut(): () => void
  reject(error: RinghookError): void
  readonly giveUpAt: number
}

/** How long work waits for the locks of other connections, and for transactions on its own. */
const patienceMs = 5_000
const longestPauseMs = 10
/** The most work in one transaction, which nobody else can write beside: some milliseconds of it. */
const maxJobs = 500

/**
 * Writes through a connection that is the user's. What waits in the same turn of the event loop is
 * one transaction: a commit waits for the disk, and it is one wait for all of them. Where somebody
 * else is writing it comes again later, while the event loop goes on.
 */
export class SqliteConnection {
  readonly #database: SqliteDatabase
  readonly #name: string
  readonly #isDurable: boolean
  readonly #file: SqliteFile
  readonly #statements = new WeakMap<SqliteDatabase, Map<string, SqliteStatement>>()
  #waiting: Job[] = []
  #isScheduled = false
  #refusals = 0
  /** The work that made its transaction fail, if it was its own fault. */
  #failedAlone: Job | undefined

  /**
   * @param name - Of the store or inbox, as in `sqliteStore`.
   * @param isDurable - Whether a commit must be on the disk when it returns. It is for the user to
   * say unless this is set.
   */
  constructor(database: SqliteDatabase, name: string, { isDurable = false } = {}) {
    this.#database = database
    this.#name = name
    this.#isDurable = isDurable
    this.#file = new SqliteFile(database, name)
  }

  /**
   * Carries out synchronous work in a transaction, together with whatever else waits. Work that
   * throws is rejected alone, if the database kept the transaction, and nothing of it stays. It may
   * be carried out more than once.
   */
  transact<Result>(work: () => Result): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        carryOut() {
          const result = work()
          return () => resolve(result)
        },
        reject,
        giveUpAt: performance.now() + patienceMs,
      })
      this.#schedule()
    })
  }

  /**
   * Carries out synchronous work of the user in a transaction of its own, once. What it throws is
   * thrown again after a rollback, unchanged.
   */
  async transactAlone<Result>(work: () => Result): Promise<Result> {
    const concluded = await this.outsideTransactions(() => {
      if (this.#isDurable) requireDurability(this.#database)
      this.#file.refresh()
      this.#database.exec('BEGIN IMMEDIATE')
      return this.#conclude(work)
    })
    if ('error' in concluded) throw concluded.error
    return concluded.value
  }

  /** Carries out synchronous work that cannot be in a transaction. */
  async outsideTransactions<Result>(work: () => Result): Promise<Result> {
    const giveUpAt = performance.now() + patienceMs
    for (let refusals = 1; ; refusals++) {
      try {
        this.#expectNoTransaction()
        const result = withoutBlocking(this.#database, this.#name, work)
        this.#file.check()
        return result
      } catch (error) {
        const failure = this.#file.explain(failureOf(error, this.#name))
        if (!isBusy(failure)) this.forgetStatements()
        if (!isBusy(failure) || performance.now() >= giveUpAt) throw failure
      }
      await pause(pauseAfter(refusals))
    }
  }

  /** A statement for this connection, or for another one. Prepared once for each. */
  prepare(sql: string, database = this.#database): SqliteStatement {
    let statements = this.#statements.get(database)
    if (statements === undefined) {
      statements = new Map()
      this.#statements.set(database, statements)
    }
    let statement = statements.get(sql)
    if (statement === undefined) {
      statement = database.prepare(sql)
      statements.set(sql, statement)
    }
    return statement
  }

  /** After an error: the database may have been closed and opened again, which ends its statements. */
  forgetStatements(database = this.#database): void {
    this.#statements.delete(database)
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0) return
    this.#isScheduled = true
    const run = () => {
      this.#isScheduled = false
      this.#runNext()
      this.#schedule()
    }
    // A transaction has work of several requests, and runs in the async context of none of them.
    detached(() => {
      if (this.#refusals === 0) inNextTurn(run)
      else setTimeout(run, pauseAfter(this.#refusals))
    })
  }

  #runNext(): void {
    const batch = this.#waiting.splice(0, maxJobs)
    try {
      this.#expectNoTransaction()
      if (this.#isDurable) requireDurability(this.#database)
      this.#file.refresh()
      const settle = withoutBlocking(this.#database, this.#name, () => this.#transactAll(batch))
      this.#file.check()
      this.#refusals = 0
      for (const tell of settle) tell()
    } catch (error) {
      this.#refuse(batch, this.#file.explain(failureOf(error, this.#name)))
    }
  }

  /**
   * Work that found the database busy comes again, unless it has for long; and so does what was
   * only rolled back with other work that failed.
   */
  #refuse(batch: readonly Job[], failure: RinghookError): void {
    const failedAlone = this.#failedAlone
    this.#failedAlone = undefined
    if (!isBusy(failure)) this.forgetStatements()
    this.#refusals = isBusy(failure) ? this.#refusals + 1 : 0
    const now = performance.now()
    const comesAgain = (job: Job) =>
      failedAlone === undefined ? isBusy(failure) && job.giveUpAt > now : job !== failedAlone
    this.#waiting = [...batch.filter(comesAgain), ...this.#waiting]
    for (const job of batch) if (!comesAgain(job)) job.reject(failure)
  }

  #transactAll(batch: readonly Job[]): (() => void)[] {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      const settle = batch.map((job) => this.#carryOut(job))
      this.#commit()
      return settle
    } catch (error) {
      this.#rollBack()
      throw error
    }
  }

  #carryOut(job: Job): () => void {
    try {
      return job.carryOut()
    } catch (error) {
      const failure = failureOf(error, this.#name)
      // Some errors, as of the disk, end the transaction, and with it everything in it.
      const isKept = isInTransaction(this.#database) === true
      if (isKept && !isBusy(failure)) this.#failedAlone = job
      throw failure
    }
  }

  /** Does not throw: what the user's code throws must not be taken for an error of the database. */
  #conclude<Result>(work: () => Result): { readonly value: Result } | { readonly error: unknown } {
    try {
      const value = work()
      this.#commit()
      return { value }
    } catch (error) {
      this.#rollBack()
      return { error }
    }
  }

  #commit(): void {
    try {
      this.#database.exec('COMMIT')
    } catch (error) {
      throw failureOf(error, this.#name)
    }
  }

  #rollBack(): void {
    try {
      this.#database.exec('ROLLBACK')
    } catch {
      // The error that led here has ended the transaction, or the connection.
    }
  }

  /** Else what is committed here would be rolled back with a transaction that is not ours. */
  #expectNoTransaction(): void {
    if (isInTransaction(this.#database) !== true) return
    throw storeFailure(
      this.#name,
      'RINGHOOK_STORE_BUSY',
      new Error(transactionInTheWay(this.#name)),
    )
  }
}

function transactionInTheWay(name: string): string {
  return `Somebody else has a transaction open on the connection of ${name}(). Give it a connection of its own.`
}

/**
 * Does work that fails at once where somebody else has the lock: SQLite's own waiting stops the
 * event loop. The user's setting is back before anybody can see it.
 */
function withoutBlocking<Result>(
  database: SqliteDatabase,
  name: string,
  work: () => Result,
): Result {
  const statement = database.prepare('PRAGMA busy_timeout')
  const [timeoutMs] = isMethod(statement, 'get') ? columnsOf(statement.get()) : []
  if (!Number.isFinite(Number(timeoutMs))) {
    throw storeFailure(name, 'RINGHOOK_STORE_FAILED', undefined, strangeDatabase)
  }
  if (Number(timeoutMs) === 0) return work()
  database.exec('PRAGMA busy_timeout = 0')
  try {
    return work()
  } finally {
    database.exec(`PRAGMA busy_timeout = ${Number(timeoutMs)}`)
  }
}

const strangeDatabase =
  'was given a database that does not answer as better-sqlite3 and node:sqlite do: with the row itself, and neither by a callback nor by a promise. Give it a database of one of those.'

/** The levels of `synchronous` are OFF, NORMAL, FULL and EXTRA. */
const full = 2

/**
 * Makes commits wait for the disk. Before each transaction, in microseconds: the setting is the
 * connection's, and it has other users.
 */
function requireDurability(database: SqliteDatabase): void {
  const [level] = columnsOf(database.prepare('PRAGMA synchronous').get())
  if (Number(level) < full) database.exec('PRAGMA synchronous = FULL')
}

/** Longer each time, and by chance: processes that wait for each other must not keep in step. */
function pauseAfter(refusals: number): number {
  return Math.min(1 + refusals / 8, longestPauseMs) * (0.5 + Math.random())
}

function isBusy({ code }: RinghookError): boolean {
  return code === 'RINGHOOK_STORE_BUSY'
}
