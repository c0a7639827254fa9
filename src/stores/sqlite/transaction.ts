import { RinghookError } from '../../core/errors.ts'
import { isMethod } from '../../databases/clients.ts'
import {
  failureOf,
  type SqliteDatabase,
  type SqliteValue,
} from '../../databases/sqlite/database.ts'

/**
 * A transaction of a library that runs SQLite behind a promise, as an adapter of one line: it runs
 * a statement with `?` for its values, and gives the rows.
 */
export interface SqliteTransactionAdapter {
  query(text: string, values: SqliteValue[]): unknown
}

/**
 * Marks in the transaction behind an adapter, and waits for it only where it gives a promise.
 *
 * @throws {RinghookError} RINGHOOK_TRANSACTION_INVALID; every StoreCode
 */
export function completeThrough(
  transaction: unknown,
  sql: string,
  values: SqliteValue[],
): Promise<boolean> | boolean {
  if (!isAdapter(transaction)) throw invalidTransaction(noTransaction)
  try {
    const rows = transaction.query(sql, values)
    if (!isMethod(rows, 'then')) return isMarkedBy(rows)
    return Promise.resolve(rows).then(isMarkedBy, (error: unknown) => {
      throw failureOf(error, 'sqliteStore')
    })
  } catch (error) {
    throw failureOf(error, 'sqliteStore')
  }
}

/**
 * Runs work in a transaction, and refuses work that waits: until its promise is settled, other
 * statements on the connection would become part of the transaction. An async function is not even
 * begun, for what it does after its first await would not be rolled back.
 *
 * @throws {RinghookError} RINGHOOK_TRANSACTION_INVALID
 */
export function runAtOnce<Result>(
  work: (database: SqliteDatabase) => Result | Promise<Result>,
  database: SqliteDatabase,
): Result {
  if (Object.prototype.toString.call(work) === '[object AsyncFunction]') {
    throw invalidTransaction(asynchronous)
  }
  const result = work(database)
  if (!isPromise(result)) return result
  Promise.resolve(result).catch(() => {
    // What it has done is rolled back, and it fails for that.
  })
  throw invalidTransaction(asynchronous)
}

/** The error for a database on which no transaction is open. */
export function noOpenTransaction(): RinghookError {
  return invalidTransaction(noneOpen)
}

const noTransaction =
  'What complete() was given is neither a database of better-sqlite3 or node:sqlite, nor an object with query(text, values). Give it the database on which your transaction is open.'
const noneOpen =
  'No transaction is open on the database that complete() was given. Call it between BEGIN and COMMIT, or in the function that better-sqlite3 was given for a transaction.'
const asynchronous =
  'The function that context.transaction() was given is async or returned a promise. SQLite runs a transaction in one go: give it a function without async and await. It was rolled back.'
const noRows =
  'The query(text, values) that complete() was given came back without rows. Let it give the rows that RETURNING asks for, as an array or as { rows }.'

function invalidTransaction(message: string): RinghookError {
  return new RinghookError('RINGHOOK_TRANSACTION_INVALID', message)
}

function isPromise<Result>(result: Result | Promise<Result>): result is Promise<Result> {
  return isMethod(result, 'then')
}

function isAdapter(value: unknown): value is SqliteTransactionAdapter {
  return isMethod(value, 'query')
}

function isMarkedBy(result: unknown): boolean {
  const rows = Array.isArray(result) ? result : (result as { readonly rows?: unknown } | null)?.rows
  if (!Array.isArray(rows)) throw invalidTransaction(noRows)
  return rows.length > 0
}
