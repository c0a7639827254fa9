import { RinghookError } from '../../core/errors.ts'
import { storeFailure } from '../../databases/failures.ts'
import { messageOf, redisCodeOf } from '../../databases/redis-failures.ts'

const notConnected =
  'was given a client of node-redis that is not open. Call client.connect() before migrate() and the first delivery, and client.close() after the last.'
const closed =
  'was given a client whose connection was closed for good: by quit() or disconnect(), or because its retryStrategy gave up. Close it after receiver.close(), and let it connect again.'
/** By what the clients say. */
const explanations: ReadonlyMap<string, string> = new Map([
  ['The client is closed', notConnected],
  ['Connection is closed.', closed],
])
const callbacks =
  'was given a client whose commands return no promises. Give it a client of ioredis or of redis (node-redis) 5 or later.'

/**
 * Gives the error for whatever an operation was rejected with. `connectionError` is what went wrong
 * with the client's connection before, if anything did.
 */
export function redisFailure(error: unknown, connectionError?: unknown): RinghookError {
  if (error instanceof RinghookError) return error
  const code = redisCodeOf(error)
  const explanation = explanations.get(messageOf(error))
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

/** The error for a client that answers by callbacks, as those of redis 3, and so never. */
export function noPromises(): RinghookError {
  return new RinghookError('RINGHOOK_STORE_INVALID', `redisStore() ${callbacks}`)
}

/** Whether the server has not seen this script since it started, or since its scripts were flushed. */
export function isMissingScript(error: unknown): boolean {
  return messageOf(error).startsWith('NOSCRIPT')
}
