import { RinghookError, type StoreCode } from '../../core/errors.ts'
import { codeOf, socketFailureOf, storeFailure } from '../../databases/failures.ts'

const noTable =
  'does not find its table, or the table has other columns. Call migrate() when the process starts, or run the SQL of postgresMigration(), and check the options table and schema.'
const noSchema =
  'cannot create its table: the schema is not there. Run CREATE SCHEMA, or check the option schema and the search_path.'
const otherColumns =
  'found a table of its name with other columns, and leaves it alone. Give it another one with the options table and schema.'

/** Gives the error of the store for one of its driver's. Its own errors stay as they are. */
export function failureOf(error: unknown): RinghookError {
  if (error instanceof RinghookError) return error
  const kind = kindOf(error)
  if (kind !== 'RINGHOOK_STORE_NOT_MIGRATED') return storeFailure('postgresStore', kind, error)
  const explanation = codeOf(error) === '3F000' ? noSchema : noTable
  return storeFailure('postgresStore', kind, error, explanation)
}

/** The error of a migration that found a table of the name with other columns. */
export function strangeTable(): RinghookError {
  return storeFailure('postgresStore', 'RINGHOOK_STORE_NOT_MIGRATED', undefined, otherColumns)
}

/** Whether a statement may be sent again as it is: it changed nothing, and lost to another one. */
export function isConflict(error: unknown): boolean {
  return ['40001', '40P01'].includes(codeOf(error) ?? '')
}

/** Whether a statement that was prepared by name met a pooler that does not keep such names. */
export function isNameLost(error: unknown): boolean {
  return ['26000', '42P05'].includes(codeOf(error) ?? '')
}

/** Whether another instance created the table or its index at the same moment. */
export function isCreatedTwice(error: unknown): boolean {
  return ['23505', '42P07', '42710'].includes(codeOf(error) ?? '')
}

/** Whether a transaction of the user's has failed before, so that nothing can be written in it. */
export function isTransactionFailed(error: unknown): boolean {
  return codeOf(error) === '25P02'
}

/** Whether the server answered with an error, and the connection is as good as before. */
export function isOfServer(error: unknown): boolean {
  const severity: unknown = (error as { readonly severity?: unknown } | null | undefined)?.severity
  return typeof severity === 'string' && !['FATAL', 'PANIC'].includes(severity)
}

/** The error of a server that did not answer in time. */
export function silent(): RinghookError {
  return storeFailure('postgresStore', 'RINGHOOK_STORE_TIMEOUT')
}

/** By SQLSTATE and by the codes of postgres.js; a class of SQLSTATEs is its first two characters. */
const kinds: Readonly<Record<string, StoreCode>> = {
  '42P01': 'RINGHOOK_STORE_NOT_MIGRATED',
  '42703': 'RINGHOOK_STORE_NOT_MIGRATED',
  '42804': 'RINGHOOK_STORE_NOT_MIGRATED',
  '42809': 'RINGHOOK_STORE_NOT_MIGRATED',
  '42883': 'RINGHOOK_STORE_NOT_MIGRATED',
  '42P10': 'RINGHOOK_STORE_NOT_MIGRATED',
  '3F000': 'RINGHOOK_STORE_NOT_MIGRATED',
  '23502': 'RINGHOOK_STORE_NOT_MIGRATED',
  '28': 'RINGHOOK_STORE_ACCESS_DENIED',
  '3D000': 'RINGHOOK_STORE_ACCESS_DENIED',
  '42501': 'RINGHOOK_STORE_ACCESS_DENIED',
  '25006': 'RINGHOOK_STORE_READ_ONLY',
  '53100': 'RINGHOOK_STORE_FULL',
  '53200': 'RINGHOOK_STORE_FULL',
  '53': 'RINGHOOK_STORE_BUSY',
  '40': 'RINGHOOK_STORE_BUSY',
  '55P03': 'RINGHOOK_STORE_BUSY',
  '57014': 'RINGHOOK_STORE_TIMEOUT',
  '57P': 'RINGHOOK_STORE_UNREACHABLE',
  '08': 'RINGHOOK_STORE_UNREACHABLE',
  '25P03': 'RINGHOOK_STORE_UNREACHABLE',
  CONNECT_TIMEOUT: 'RINGHOOK_STORE_TIMEOUT',
  CONNECTION_CLOSED: 'RINGHOOK_STORE_UNREACHABLE',
  CONNECTION_DESTROYED: 'RINGHOOK_STORE_UNREACHABLE',
  CONNECTION_ENDED: 'RINGHOOK_STORE_UNREACHABLE',
}

/** What node-postgres says in words only, in the versions 8. */
const words: readonly (readonly [RegExp, StoreCode])[] = [
  [/^timeout exceeded when trying to connect/, 'RINGHOOK_STORE_BUSY'],
  [/^Connection terminated due to connection timeout|^timeout expired/, 'RINGHOOK_STORE_TIMEOUT'],
  [/^Query read timeout/, 'RINGHOOK_STORE_TIMEOUT'],
  [/^Connection terminated|not queryable$|^PGlite is clos/, 'RINGHOOK_STORE_UNREACHABLE'],
  [/^Cannot use a pool after calling end/, 'RINGHOOK_STORE_UNREACHABLE'],
  // A password that is missing on the client's side.
  [/^SASL:|password must be a string/, 'RINGHOOK_STORE_ACCESS_DENIED'],
]

/** An ORM's error has the driver's as its cause. */
function kindOf(error: unknown): StoreCode {
  let link = error
  for (let depth = 0; depth < 4 && link instanceof Error; depth++) {
    const kind = kindOfCode(codeOf(link)) ?? socketFailureOf(link) ?? kindOfWords(link.message)
    if (kind !== undefined) return kind
    link = link.cause
  }
  return 'RINGHOOK_STORE_FAILED'
}

function kindOfCode(code: string | undefined): StoreCode | undefined {
  if (code === undefined) return undefined
  return kinds[code] ?? kinds[code.slice(0, 3)] ?? kinds[code.slice(0, 2)]
}

function kindOfWords(message: string): StoreCode | undefined {
  return words.find(([pattern]) => pattern.test(message))?.[1]
}
