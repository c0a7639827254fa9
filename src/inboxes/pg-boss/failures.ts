import { RinghookError } from '../../core/errors.ts'
import { storeFailure } from '../../databases/failures.ts'
import { postgresFailureOf } from '../../databases/postgres-failures.ts'

const noQueue =
  'does not find its queue, or the tables of pg-boss. Call migrate() after boss.start() when the process starts, and check the option queue and the schema of pg-boss.'
const notStarted =
  'has a pg-boss that is not started, or was stopped. Call boss.start() first, and boss.stop() after receiver.close().'

/** What pg-boss says in words only. */
const isNoQueue = /^Queue .* does not exist$/
const isNotStarted = /^Database (connection is )?not opened/

/** Gives the error of the inbox for one of pg-boss or its driver. Its own errors stay as they are. */
export function failureOf(error: unknown): RinghookError {
  if (error instanceof RinghookError) return error
  const message = error instanceof Error ? error.message : ''
  if (isNoQueue.test(message)) return noQueueFailure(error)
  if (isNotStarted.test(message)) {
    return storeFailure('pgBossInbox', 'RINGHOOK_STORE_UNREACHABLE', error, notStarted)
  }
  const { code, explanation } = postgresFailureOf(error)
  if (code === 'RINGHOOK_STORE_NOT_MIGRATED') return noQueueFailure(error)
  return storeFailure('pgBossInbox', code, error, explanation)
}

/** The error where the queue was not made, or has been deleted. */
export function noQueueFailure(cause?: unknown): RinghookError {
  return storeFailure('pgBossInbox', 'RINGHOOK_STORE_NOT_MIGRATED', cause, noQueue)
}

/** The error of a server that did not answer in time. */
export function silent(): RinghookError {
  return storeFailure('pgBossInbox', 'RINGHOOK_STORE_TIMEOUT')
}

/** The error of a pg-boss whose database cannot change two jobs at once. */
export function noTransactions(): RinghookError {
  return inboxInvalid(
    'The pg-boss that pgBossInbox() was given cannot open transactions: the adapter in its option db has no beginTransaction(). Give pg-boss a connection string, or add beginTransaction() to the adapter.',
  )
}

export function inboxInvalid(message: string): RinghookError {
  return new RinghookError('RINGHOOK_INBOX_INVALID', message)
}
