import type { RinghookError, StoreCode } from '../../core/errors.ts'
import { socketFailureOf, storeFailure } from '../../databases/failures.ts'

/**
 * What the server and the clients say, and what it means. The server's words are found anywhere:
 * before Redis 7 an error inside a script comes wrapped in a sentence.
 */
const meanings: readonly (readonly [RegExp, StoreCode])[] = [
  [/\bREADONLY\b/, 'RINGHOOK_STORE_READ_ONLY'],
  [/\b(?:OOM|MISCONF)\b/, 'RINGHOOK_STORE_FULL'],
  [/\b(?:NOAUTH|WRONGPASS|NOPERM|DENIED)\b|\binvalid password\b/, 'RINGHOOK_STORE_ACCESS_DENIED'],
  [/\b(?:BUSY|TRYAGAIN)\b|\bmax number of clients\b|\bqueue is full\b/, 'RINGHOOK_STORE_BUSY'],
  [/\b(?:LOADING|MASTERDOWN|CLUSTERDOWN|NOREPLICAS)\b/, 'RINGHOOK_STORE_UNREACHABLE'],
  // ioredis: of a command, a connection that was tried for too long, a socket that went silent.
  // node-redis: the same, and a command that waited too long to be sent.
  [
    /^Command timed out|^connect ETIMEDOUT|^(?:Connection|Socket|Command) timeout/,
    'RINGHOOK_STORE_TIMEOUT',
  ],
  // ioredis.
  [
    /^Connection is closed|^Reached the max retries per request|enableOfflineQueue options is false|^Command aborted due to connection close|^Cluster is (?:ended|disconnect)|^None of startup nodes|^Failed to refresh slots cache|^Too many Cluster redirections|^All sentinels are unreachable/,
    'RINGHOOK_STORE_UNREACHABLE',
  ],
  // node-redis.
  [
    /^The client is (?:closed|offline)|^Disconnects client|^Socket closed unexpectedly|^All the root nodes are unavailable/,
    'RINGHOOK_STORE_UNREACHABLE',
  ],
]

const notConnected =
  'was given a client of node-redis that is not open. Call client.connect() before migrate() and the first delivery, and client.close() after the last.'

/**
 * Gives the error for whatever an operation was rejected with. `connectionError` is what went wrong
 * with the client's connection before, if anything did.
 */
export function redisFailure(error: unknown, connectionError?: unknown): RinghookError {
  const code = codeFor(error)
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
  const code = codeFor(error)
  return code === 'RINGHOOK_STORE_FAILED' ? undefined : storeFailure('redisStore', code, error)
}

/** Whether the server has not seen this script since it started, or since its scripts were flushed. */
export function isMissingScript(error: unknown): boolean {
  return messageOf(error).startsWith('NOSCRIPT')
}

function codeFor(error: unknown): StoreCode {
  // ioredis says of a cluster only that every node failed; the last one's reason is beside it.
  const lastOfCluster: unknown = (error as { readonly lastNodeError?: unknown } | undefined)
    ?.lastNodeError
  if (lastOfCluster instanceof Error) return codeFor(lastOfCluster)
  const message = messageOf(error)
  const meaning = meanings.find(([pattern]) => pattern.test(message))
  return socketFailureOf(error) ?? meaning?.[1] ?? 'RINGHOOK_STORE_FAILED'
}

function messageOf(error: unknown): string {
  const message: unknown = (error as { readonly message?: unknown } | null | undefined)?.message
  return typeof message === 'string' ? message : ''
}
