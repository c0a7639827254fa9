import { RinghookError } from '../../core/errors.ts'
import { codeOf, storeFailure } from '../../databases/failures.ts'
import { obstacleOf, postgresFailureOf } from '../../databases/postgres-failures.ts'

const noTable =
  'does not find its table, or the table has other columns. Call migrate() when the process starts, or run the SQL of postgresMigration(), and check the options table and schema.'
const noSchema =
  'cannot create its table: the schema is not there. Run CREATE SCHEMA, or check the option schema and the search_path.'
const otherColumns =
  'found a table of its name with other columns, and leaves it alone. Give it another one with the options table and schema.'

const changedRows =
  'was answered with rows that its statements cannot have: no list, columns of other names, or values that are not text. Give it a client whose options change no results (parsers, rowMode, transform), or correct query(text, values) of the adapter: it resolves to { rows }, and every row is an object of texts.'

/** Gives the error of the store for one of its driver's. Its own errors stay as they are. */
export function failureOf(error: unknown): RinghookError {
  if (error instanceof RinghookError) return error
  const { code, explanation } = postgresFailureOf(error)
  if (code !== 'RINGHOOK_STORE_NOT_MIGRATED') {
    return storeFailure('postgresStore', code, error, explanation)
  }
  return storeFailure('postgresStore', code, error, isSchemaMissing(error) ? noSchema : noTable)
}

/** The error where the client cannot send anything, if it says so. */
export function obstacleTo(client: object): RinghookError | undefined {
  const obstacle = obstacleOf(client)
  if (obstacle === undefined) return undefined
  return storeFailure('postgresStore', obstacle.code, undefined, obstacle.explanation)
}

/** The error of a client whose rows are not what the statements of the store give. */
export function strangeRows(): RinghookError {
  return storeFailure('postgresStore', 'RINGHOOK_STORE_FAILED', undefined, changedRows)
}

function isSchemaMissing(error: unknown): boolean {
  return codeOf(error) === '3F000'
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
