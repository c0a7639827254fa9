import { RinghookError } from '../../core/errors.ts'
import { storeFailure } from '../../databases/failures.ts'
import { messageOf, redisCodeOf } from '../../databases/redis-failures.ts'

/** What BullMQ says of a job whose lock is not, or not any more, this worker's. */
const lost =
  /^(?:Missing lock for|Lock mismatch for|Missing key for|could not renew lock for) job|^Job .* is not in the active state/

/**
 * Gives the error for whatever BullMQ or its client failed with. `connectionError` is what went
 * wrong with the connection before, if anything did.
 */
export function bullmqFailure(error: unknown, connectionError?: unknown): RinghookError {
  if (error instanceof RinghookError) return error
  if (lost.test(messageOf(error))) return leaseLost(error)
  const code = redisCodeOf(error)
  return (
    (code === 'RINGHOOK_STORE_UNREACHABLE' ? connectionFailure(connectionError) : undefined) ??
    storeFailure('bullmqInbox', code, error)
  )
}

/** Gives the error for what was not answered in time. */
export function bullmqSilence(connectionError: unknown): RinghookError {
  return connectionFailure(connectionError) ?? storeFailure('bullmqInbox', 'RINGHOOK_STORE_TIMEOUT')
}

/** Gives the error for a connection that is not there. */
export function bullmqUnreachable(connectionError: unknown): RinghookError {
  return (
    connectionFailure(connectionError) ?? storeFailure('bullmqInbox', 'RINGHOOK_STORE_UNREACHABLE')
  )
}

function connectionFailure(error: unknown): RinghookError | undefined {
  const code = redisCodeOf(error)
  return code === 'RINGHOOK_STORE_FAILED' ? undefined : storeFailure('bullmqInbox', code, error)
}

function leaseLost(cause: unknown): RinghookError {
  return new RinghookError(
    'RINGHOOK_LEASE_LOST',
    'bullmqInbox() lost the lock of a delivery, which runs again: its process was halted for longer than lockDuration, or Redis was away, or somebody removed the job. What this worker decided changes nothing.',
    { cause },
  )
}
