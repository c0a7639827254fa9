import type { RinghookError } from '../../core/errors.ts'
import { storeFailure } from '../../databases/failures.ts'
import { messageOf, redisCodeOf } from '../../databases/redis-failures.ts'

const notConnected =
  'was given a client of node-redis that is not open. Call client.connect() before migrate() and the first delivery, and client.close() after the last.'

/**
 * Gives the error for whatever an operation was rejected with. `connectionError` is what went wrong
 * with the client's connection before, if anything did.
 */
export function redisFailure(error: unknown, connectionError?: unknown): RinghookError {
  const code = redisCodeOf(error)
  const explanation = messageOf(error) === 'The client is closed' ? notConnected : undefined
  return (
    (code === 'RINGHOOK_STORE_UNREACHABLE' ? connectionFailure(connectionError) : undefined) ??
    storeFailure('redisStore', code, error, explanation)
  )
}

/** Gives the error for an operation that was not answered in time. */
export function redisSilence(connectionError: unknown): RinghookError {
  return connectionFailure(connectionError) ?? storeFailure('redisStore', 'RINGHOOK_STORE_TIMEOUT')
}

function connectionFailure(error: unknown): RinghookError | undefined {
  const code = redisCodeOf(error)
  return code === 'RINGHOOK_STORE_FAILED' ? undefined : storeFailure('redisStore', code, error)
}

/** Whether the server has not seen this script since it started, or since its scripts were flushed. */
export function isMissingScript(error: unknown): boolean {
  return messageOf(error).startsWith('NOSCRIPT')
}
