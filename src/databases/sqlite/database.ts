import { RinghookError, type StoreCode } from '../../core/errors.ts'
import { type ClientKind, clientKindOf, isMethod, whatWasGiven } from '../clients.ts'
import { codeOf, ended, storeFailure } from '../failures.ts'

/** What is bound to a statement's parameters. */
export type SqliteValue = string | number

/** A prepared statement of better-sqlite3 or `node:sqlite`. */
export interface SqliteStatement {
  run(...values: SqliteValue[]): { readonly changes: number | bigint }
  get(...values: SqliteValue[]): unknown
  all(...values: SqliteValue[]): unknown[]
}

/** A database of better-sqlite3 or `node:sqlite`: one connection to a file. */
export interface SqliteDatabase {
  prepare(sql: string): SqliteStatement
  exec(sql: string): unknown
  /** Whether a transaction is open, as better-sqlite3 calls it. */
  readonly inTransaction?: boolean
  /** The same, as `node:sqlite` calls it. Its first versions have neither. */
  readonly isTransaction?: boolean
}

/** Whether something is a database, as far as can be seen. */
export function isDatabase(value: unknown): value is SqliteDatabase {
  return isMethod(value, 'prepare') && isMethod(value, 'exec')
}

/**
 * Refuses what is not a database of better-sqlite3, `node:sqlite` or one like them, among them those
 * whose answers come by callbacks or promises.
 *
 * @throws {RinghookError} `code`
 */
export function checkDatabase(
  database: unknown,
  factory: string,
  code: 'RINGHOOK_STORE_INVALID' | 'RINGHOOK_INBOX_INVALID',
): void {
  const kind = clientKindOf(database)
  if (isDatabase(database) && (kind === undefined || ownKinds.includes(kind))) return
  throw new RinghookError(
    code,
    `${factory}() was given ${whatWasGiven(database)} Give it new Database(file) of better-sqlite3, or new DatabaseSync(file) of node:sqlite.`,
  )
}

const ownKinds: readonly ClientKind[] = ['betterSqlite3', 'sqlite']

/** The values of a row in the order of its columns: drivers can be told to give objects or arrays. */
export function columnsOf(row: unknown): unknown[] {
  return Object.values(row ?? {})
}

/** Whether a transaction is open on a connection, or `undefined` where it does not say. */
export function isInTransaction(database: SqliteDatabase): boolean | undefined {
  return database.inTransaction ?? database.isTransaction
}

/** Whether a transaction is open on a connection, also where it does not say. */
export function hasOpenTransaction(database: SqliteDatabase): boolean {
  const isOpen = isInTransaction(database)
  if (isOpen !== undefined) return isOpen
  // SQLite itself refuses a second transaction inside the first.
  try {
    database.exec('BEGIN')
  } catch {
    return true
  }
  database.exec('ROLLBACK')
  return false
}

/** What the primary result codes of SQLite mean for a store, by number and by name. */
const meanings: readonly (readonly [number, string, StoreCode])[] = [
  // Our SQL does not change: the table it is about has no such column, or is not there.
  [1, 'ERROR', 'RINGHOOK_STORE_NOT_MIGRATED'],
  [3, 'PERM', 'RINGHOOK_STORE_ACCESS_DENIED'],
  [5, 'BUSY', 'RINGHOOK_STORE_BUSY'],
  [6, 'LOCKED', 'RINGHOOK_STORE_BUSY'],
  [8, 'READONLY', 'RINGHOOK_STORE_READ_ONLY'],
  [13, 'FULL', 'RINGHOOK_STORE_FULL'],
  [14, 'CANTOPEN', 'RINGHOOK_STORE_ACCESS_DENIED'],
  [15, 'PROTOCOL', 'RINGHOOK_STORE_BUSY'],
  // The table has a column, a check or a trigger that is not ours.
  [19, 'CONSTRAINT', 'RINGHOOK_STORE_NOT_MIGRATED'],
  [20, 'MISMATCH', 'RINGHOOK_STORE_NOT_MIGRATED'],
  [23, 'AUTH', 'RINGHOOK_STORE_ACCESS_DENIED'],
]

/**
 * What arrives without a result code: another transaction or query on the connection, a closed
 * database, and whatever `exec()` of Deno's `node:sqlite` throws, which has SQLite's message alone.
 */
const sayings: readonly (readonly [RegExp, StoreCode])[] = [
  [/within a transaction|connection is busy/, 'RINGHOOK_STORE_BUSY'],
  [/^database (?:table )?is locked/, 'RINGHOOK_STORE_BUSY'],
  [/^no such (?:table|column)/, 'RINGHOOK_STORE_NOT_MIGRATED'],
  [/^attempt to write a readonly database/, 'RINGHOOK_STORE_READ_ONLY'],
  [/^database or disk is full/, 'RINGHOOK_STORE_FULL'],
  [/database (?:connection )?is not open|has been finalized/, 'RINGHOOK_STORE_UNREACHABLE'],
  [/^Database has closed|^Cannot use a closed database/, 'RINGHOOK_STORE_UNREACHABLE'],
]

/** The failure of the store or inbox that an error of better-sqlite3 or `node:sqlite` stands for. */
export function failureOf(error: unknown, factory: string): RinghookError {
  if (error instanceof RinghookError) return error
  const { errcode, message } = (error ?? {}) as { readonly errcode?: unknown; message?: unknown }
  if (isMoved(errcode, codeOf(error))) {
    return storeFailure(factory, 'RINGHOOK_STORE_FILE_REPLACED', error)
  }
  const said = sayings.find(([pattern]) => pattern.test(String(message)))?.[1]
  const [, name] = /^SQLITE_([A-Z]+)/.exec(codeOf(error) ?? '') ?? []
  // An extended code has its primary one in its last byte.
  const number = typeof errcode === 'number' ? errcode & 0xff : undefined
  const meant = meanings.find((row) => row[0] === number || row[1] === name)?.[2]
  const explanation = said === 'RINGHOOK_STORE_UNREACHABLE' ? ended : undefined
  return storeFailure(factory, said ?? meant ?? 'RINGHOOK_STORE_FAILED', error, explanation)
}

/** SQLite's own word for a file that is not at its path, which it has with a rollback journal only. */
function isMoved(errcode: unknown, code: string | undefined): boolean {
  return errcode === 1032 || code === 'SQLITE_READONLY_DBMOVED'
}
