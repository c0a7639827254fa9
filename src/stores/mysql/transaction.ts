import { RinghookError } from '../../core/errors.ts'
import { askOnce, type MysqlQueryable } from './client.ts'
import { mysqlFailure } from './failures.ts'
import { affectedBy, isCommitted, rowsOf } from './replies.ts'
import { type Change, completed, type Statements } from './sql.ts'

/** What an event is given that was marked without a transaction, and runs again: its lease is renewed soon. */
const reopenedMs = 30_000

/**
 * Marks a claim as completed in a transaction of the user: alone, and without repeating what failed,
 * since a deadlock has ended the whole transaction.
 *
 * @throws {RinghookError} RINGHOOK_TRANSACTION_INVALID; every StoreCode
 */
export async function completeIn(
  transaction: MysqlQueryable,
  sql: Statements,
  change: Change,
): Promise<boolean> {
  try {
    const reply = await askOnce(transaction, sql.complete(change))
    const hasChanged = affectedBy(reply) > 0
    if (isCommitted(reply)) {
      if (hasChanged) await askOnce(transaction, sql.reopen({ ...change, ms: reopenedMs }))
      throw noTransaction()
    }
    if (hasChanged) return true
    const row = rowsOf(await askOnce(transaction, sql.readLatest(change.key))).get(change.key)
    // A completion may be repeated by the one who made it.
    const isIts = row?.owner === change.owner && row.fence === change.fence
    return isIts && row.state === completed && row.leftMs > 0
  } catch (error) {
    throw mysqlFailure(error)
  }
}

/** The error for what is no open transaction. */
export function noTransaction(): RinghookError {
  return new RinghookError(
    'RINGHOOK_TRANSACTION_INVALID',
    'mysqlStore() was given no open transaction. Take a connection with pool.getConnection(), call beginTransaction() on it, and give that connection to complete().',
  )
}
