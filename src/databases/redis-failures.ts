import type { StoreCode } from '../core/errors.ts'
import { socketFailureOf } from './failures.ts'

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

/** What an error of a client of Redis means. */
export function redisCodeOf(error: unknown): StoreCode {
  // ioredis says of a cluster only that every node failed; the last one's reason is beside it.
  const lastOfCluster: unknown = (error as { readonly lastNodeError?: unknown } | undefined)
    ?.lastNodeError
  if (lastOfCluster instanceof Error) return redisCodeOf(lastOfCluster)
  const message = messageOf(error)
  const meaning = meanings.find(([pattern]) => pattern.test(message))
  return socketFailureOf(error) ?? meaning?.[1] ?? 'RINGHOOK_STORE_FAILED'
}

/** The message of whatever was thrown, or none. */
export function messageOf(error: unknown): string {
  const message: unknown = (error as { readonly message?: unknown } | null | undefined)?.message
  return typeof message === 'string' ? message : ''
}
