import { RinghookError } from '../../core/errors.ts'
import { codeOf } from '../../databases/failures.ts'
import { isIdle, isPgPool } from '../../databases/node-postgres.ts'
import { failureOf } from './failures.ts'
import type { Claimed } from './job-data.ts'
import type { PgBossStatements } from './pg-boss-types.ts'
import type { Queue } from './queue.ts'
import { complete } from './settle.ts'

/**
 * Marks a delivery as done in a transaction of the user's. `undefined`: it cannot carry a statement
 * of pg-boss, so it is none of its database.
 *
 * @throws {RinghookError} RINGHOOK_TRANSACTION_INVALID
 */
export function completeWithin(
  queue: Queue,
  claimed: Claimed,
  transaction: unknown,
): Promise<boolean> | undefined {
  const db = statementsOf(transaction)
  return db === undefined ? undefined : completeOn(db, queue, claimed, transaction)
}

async function completeOn(
  db: PgBossStatements,
  queue: Queue,
  claimed: Claimed,
  transaction: unknown,
): Promise<boolean> {
  if (isPgPool(transaction) || queue.isOn(transaction) || isIdle(transaction)) throw noTransaction()
  claimed.isCompleting = true
  try {
    return await complete(queue.on(db), claimed)
  } catch (error) {
    const cause = error instanceof RinghookError ? error.cause : error
    throw codeOf(cause) === '25P02' ? noTransaction(cause) : failureOf(error)
  }
}

/** A client of `pg` after BEGIN, or an adapter of pg-boss, such as `fromDrizzle` gives. */
function statementsOf(transaction: unknown): PgBossStatements | undefined {
  if (typeof transaction !== 'object' || transaction === null) return undefined
  const { executeSql, query } = transaction as Readonly<Record<string, unknown>>
  if (typeof executeSql === 'function') return transaction as PgBossStatements
  if (typeof query !== 'function') return undefined
  return { executeSql: (text, values) => query.call(transaction, text, values) }
}

function noTransaction(cause?: unknown): RinghookError {
  return new RinghookError(
    'RINGHOOK_TRANSACTION_INVALID',
    'What pgBossInbox() was given is no open transaction, or one that has failed. Give the client that ran BEGIN, and on which your write is made.',
    cause === undefined ? undefined : { cause },
  )
}
