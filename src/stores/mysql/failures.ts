import { RinghookError, type StoreCode } from '../../core/errors.ts'
import {
  codeOf,
  ended,
  type Meaning,
  socketFailureOf,
  storeFailure,
} from '../../databases/failures.ts'

/** The server's error numbers, by what they mean for the store. */
const meanings: readonly (readonly [StoreCode, readonly number[], string?])[] = [
  // A shutdown; a connection that was killed or timed out; a cluster's node that has no quorum.
  ['RINGHOOK_STORE_UNREACHABLE', [1047, 1053, 1077, 1152, 1158, 1159, 1160, 1161, 1927, 4031]],
  [
    'RINGHOOK_STORE_ACCESS_DENIED',
    [1045, 1130, 1227, 1251, 1275, 1370, 1698, 1820, 1862, 3118, 4151],
  ],
  [
    'RINGHOOK_STORE_ACCESS_DENIED',
    [1044, 1142, 1143],
    'lacks a permission on its database or table. Grant its user what docs/stores/mysql.md lists.',
  ],
  [
    'RINGHOOK_STORE_ACCESS_DENIED',
    [1046],
    'is in no database: its client names none. Put one into the URL, as in mysql://app@127.0.0.1:3306/app, or give the client the option database.',
  ],
  [
    'RINGHOOK_STORE_ACCESS_DENIED',
    [1049],
    'does not find its database: the server has none of the name that its client was given. Create it, or check the name in the URL.',
  ],
  // No such table; no such column; a column more, which has no default.
  ['RINGHOOK_STORE_NOT_MIGRATED', [1054, 1136, 1146, 1364]],
  ['RINGHOOK_STORE_READ_ONLY', [1290, 1792, 1836]],
  ['RINGHOOK_STORE_FULL', [1021, 1037, 1038, 1041, 1114]],
  [
    'RINGHOOK_STORE_BUSY',
    [1040, 1129, 1203, 1226],
    'gets no connection: the server or the user has as many as it may, or the host is blocked after failures. Lower the number of connections in your pools, or raise max_connections.',
  ],
  [
    'RINGHOOK_STORE_BUSY',
    [1205, 3572],
    'waited for a lock for longer than innodb_lock_wait_timeout. Look for transactions that were left open, and for migrations that lock the table.',
  ],
  [
    'RINGHOOK_STORE_BUSY',
    [1020, 1213],
    'lost to other transactions each time that it tried. Keep transactions short.',
  ],
  [
    'RINGHOOK_STORE_BUSY',
    [1317],
    'had a statement stopped by an administrator. Look for tools that kill statements.',
  ],
  [
    'RINGHOOK_STORE_TIMEOUT',
    [1969, 3024],
    'had a statement stopped by its server: it ran for longer than max_statement_time or max_execution_time. Look for locks on the table and for the load of the server; or raise the limit for this user.',
  ],
]
const byNumber = new Map<number, Meaning>(
  meanings.flatMap(([code, numbers, explanation]) =>
    numbers.map((number) => [number, meaning(code, explanation)] as const),
  ),
)

/** The driver's own words for failures that have no code of the server or the socket. */
const driverCodes: ReadonlyMap<string, Meaning> = new Map([
  ['PROTOCOL_CONNECTION_LOST', meaning('RINGHOOK_STORE_UNREACHABLE')],
  [
    'PROTOCOL_SEQUENCE_TIMEOUT',
    meaning(
      'RINGHOOK_STORE_TIMEOUT',
      'got no answer within the timeout of its client. Look for locks on the table and for the load of the server.',
    ),
  ],
  ['AUTH_SWITCH_PLUGIN_ERROR', meaning('RINGHOOK_STORE_ACCESS_DENIED')],
])
const poolIsFull = meaning(
  'RINGHOOK_STORE_BUSY',
  'got no connection from its pool: all are taken, and its queue is full (queueLimit, waitForConnections). Give the pool more connections than handlers run at once, or the store a pool of its own.',
)
const driverMessages: ReadonlyMap<string, Meaning> = new Map([
  ['Queue limit reached.', poolIsFull],
  ['No connections available.', poolIsFull],
  ['Pool is closed.', meaning('RINGHOOK_STORE_UNREACHABLE', ended)],
  [
    "Can't add new command when connection is in closed state",
    meaning(
      'RINGHOOK_STORE_UNREACHABLE',
      'has a connection that is closed. A transaction on it is rolled back. A pool connects again; a single connection makes no new one. Give it a pool, or close the connection after receiver.close().',
    ),
  ],
])

interface DriverError {
  readonly errno?: unknown
  readonly sqlMessage?: unknown
  readonly message?: unknown
  readonly fatal?: unknown
  readonly cause?: unknown
}

/** Gives the store's error for one of the driver. What is the store's own error already stays so. */
export function mysqlFailure(error: unknown): RinghookError {
  if (error instanceof RinghookError) return error
  const { code, explanation } = meaningOf(error)
  return storeFailure('mysqlStore', code, error, explanation)
}

/** The error of sessions that see what others have not committed. */
export function dirtyReads(): RinghookError {
  return new RinghookError(
    'RINGHOOK_STORE_INVALID',
    'The sessions of mysqlStore() have the isolation level READ UNCOMMITTED: a mark that is rolled back later would count as finished, and its event would be lost. Give it a pool whose sessions have READ COMMITTED or REPEATABLE READ.',
  )
}

const strangeResults =
  'was answered with results that its statements cannot have: not [result, fields], or rows whose text was changed. Give it a client of mysql2 whose typeCast leaves text as it is, or correct query(sql, values) of the adapter: it resolves to [result].'

/** The error of a client whose results are not what the statements of the store give. */
export function strangeReply(): RinghookError {
  return storeFailure('mysqlStore', 'RINGHOOK_STORE_FAILED', undefined, strangeResults)
}

/** The error for a pool that had no free connection in time. */
export function busy(): RinghookError {
  return storeFailure('mysqlStore', 'RINGHOOK_STORE_BUSY')
}

/** The error for a server that didn't answer in time. */
export function silent(): RinghookError {
  return storeFailure('mysqlStore', 'RINGHOOK_STORE_TIMEOUT')
}

/** Whether a statement failed by what others did at the same time, and was undone as a whole. */
export function isWorthRepeating(error: unknown): boolean {
  const { errno } = driverErrorOf(error)
  // Deadlock; lock timeout; and MariaDB's word for a row that changed since the statement began.
  return errno === 1213 || errno === 1205 || errno === 1020
}

function meaningOf(error: unknown): Meaning {
  const { errno, sqlMessage, message, fatal } = driverErrorOf(error)
  const known = typeof errno === 'number' ? byNumber.get(errno) : undefined
  if (known !== undefined) return known
  // «Got error 28 from storage engine» and its like: the operating system's "no space left".
  if (typeof sqlMessage === 'string' && /\b(errno:|error) 28\b/i.test(sqlMessage)) {
    return { code: 'RINGHOOK_STORE_FULL' }
  }
  const socketCode = socketFailureOf(error)
  return (
    (socketCode && { code: socketCode }) ??
    (typeof message === 'string' ? driverMessages.get(message) : undefined) ??
    driverCodes.get(codeOf(error) ?? '') ?? {
      code: fatal === true ? 'RINGHOOK_STORE_UNREACHABLE' : 'RINGHOOK_STORE_FAILED',
    }
  )
}

function meaning(code: StoreCode, explanation?: string): Meaning {
  return explanation === undefined ? { code } : { code, explanation }
}

/** The error of the driver that an ORM may have wrapped. */
function driverErrorOf(error: unknown): DriverError {
  let inner = error as DriverError | null | undefined
  for (let depth = 0; depth < 5; depth++) {
    if (typeof inner?.errno === 'number') return inner
    inner = inner?.cause as DriverError | null | undefined
  }
  return (error ?? {}) as DriverError
}
