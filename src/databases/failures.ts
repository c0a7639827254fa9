import { RinghookError, type StoreCode } from '../core/errors.ts'

/** Cause and remedy of each failure of a store or inbox, in the words of docs/errors.md. */
const explanations: Readonly<Record<StoreCode, string>> = {
  RINGHOOK_STORE_UNREACHABLE:
    'cannot reach its server. Check that the server runs, and the host and port that the client was given.',
  RINGHOOK_STORE_ACCESS_DENIED:
    'is not let in, or not to its table. Check user, password, database and grants, or who may open the file.',
  RINGHOOK_STORE_NOT_MIGRATED:
    'does not find its table, or the table has other columns. Call migrate() when the process starts, or run the SQL of its migration, and check the option table.',
  RINGHOOK_STORE_READ_ONLY:
    'cannot write: the server is a read-only replica, or the file is read-only. Give it a client of the primary.',
  RINGHOOK_STORE_FILE_REPLACED:
    'has a file open that is not at its path any more: it, or the -wal or -shm file beside it, was deleted, moved or replaced. What is written to it would be lost, so nothing is accepted. Restart the process, and stop it before you touch its files.',
  RINGHOOK_STORE_FULL:
    'has no room left to write: the disk or the memory of the server is full. Make room.',
  RINGHOOK_STORE_BUSY:
    'was kept waiting: by locks that others hold, or because all connections are taken. Keep transactions short, and look for those that were left open.',
  RINGHOOK_STORE_TIMEOUT:
    'got no answer from its server in 10 s. Check the network, and set time-outs on the client, so that it gives up connections that went silent.',
  RINGHOOK_STORE_FAILED:
    'failed in a way that it does not know. The error of its driver is the cause.',
}

/** What an error of a driver means, and cause and remedy where more is known than the code says. */
export interface Meaning {
  readonly code: StoreCode
  readonly explanation?: string
}

/** For a pool, client or database that its program has closed. */
export const ended =
  'was given a pool, client or database that has been closed. Close it after receiver.close(), and do not use the store or inbox after that.'

/**
 * Gives the error for a failure of a store or inbox: `store` is its name, as in `postgresStore`. The driver's
 * error is kept as the cause. Its message is not quoted: it may hold a user's name, or a value.
 *
 * @param explanation - Cause and remedy, where more is known than the code says.
 */
export function storeFailure(
  store: string,
  code: StoreCode,
  cause?: unknown,
  explanation = explanations[code] + (code === 'RINGHOOK_STORE_FULL' ? waysToMakeRoom(store) : ''),
): RinghookError {
  const driverCode = codeOf(cause)
  const hint = driverCode === undefined ? '' : ` The driver says ${driverCode}.`
  return new RinghookError(
    code,
    `${store}() ${explanation}${hint}`,
    cause === undefined ? undefined : { cause },
  )
}

/** What takes up the room: only a store with a table has rows that it does not need any more. */
function waysToMakeRoom(store: string): string {
  if (store.endsWith('Inbox')) return ' Deliveries that wait and dead letters take it up.'
  if (store === 'redisStore') return ' A shorter retentionMs takes less.'
  return ' Call prune() more often, or set pruneEveryMs.'
}

/** The driver's own code for an error, if it has one that is fit to print, as in `ECONNREFUSED`. */
export function codeOf(error: unknown): string | undefined {
  const code: unknown = (error as { readonly code?: unknown } | null | undefined)?.code
  return typeof code === 'string' && /^[A-Za-z0-9_]{1,40}$/.test(code) ? code : undefined
}

/** Codes of Node's sockets that mean that there is no server, or none any more. */
const unreachable = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EPIPE',
  'ENOENT',
])

/** What every driver passes on from the socket: the failure of a connection, if it is one. */
export function socketFailureOf(error: unknown): StoreCode | undefined {
  const code = codeOf(error)
  if (code === 'ETIMEDOUT') return 'RINGHOOK_STORE_TIMEOUT'
  if (code !== undefined && unreachable.has(code)) return 'RINGHOOK_STORE_UNREACHABLE'
  return undefined
}
