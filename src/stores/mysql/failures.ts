import { RinghookError, type StoreCode } from '../../core/errors.ts'
import { codeOf, socketFailureOf, storeFailure } from '../../databases/failures.ts'

/** The server's error numbers, by what they mean for the store. */
const meanings: readonly (readonly [StoreCode, readonly number[]])[] = [
  // A shutdown; a connection that was killed or timed out; a cluster's node that has no quorum.
  ['RINGHOOK_STORE_UNREACHABLE', [1047, 1053, 1077, 1152, 1158, 1159, 1160, 1161, 1927, 4031]],
  [
    'RINGHOOK_STORE_ACCESS_DENIED',
    [
      1044, 1045, 1046, 1049, 1130, 1142, 1143, 1227, 1251, 1275, 1370, 1698, 1820, 1862, 3118,
      4151,
    ],
  ],
  // No such table; no such column; a column more, which has no default.
  ['RINGHOOK_STORE_NOT_MIGRATED', [1054, 1136, 1146, 1364]],
  ['RINGHOOK_STORE_READ_ONLY', [1290, 1792, 1836]],
  ['RINGHOOK_STORE_FULL', [1021, 1037, 1038, 1041, 1114]],
  // No connection left; lock timeout and deadlock; a statement that ran too long.
  ['RINGHOOK_STORE_BUSY', [1020, 1040, 1129, 1203, 1205, 1213, 1226, 1317, 1969, 3024, 3572]],
]
const codes = new Map(
  meanings.flatMap(([code, numbers]) => numbers.map((number) => [number, code])),
)

/** The driver's own words for failures that have no code of the server or the socket. */
const driverCodes: ReadonlyMap<string, StoreCode> = new Map([
  ['PROTOCOL_CONNECTION_LOST', 'RINGHOOK_STORE_UNREACHABLE'],
  ['PROTOCOL_SEQUENCE_TIMEOUT', 'RINGHOOK_STORE_TIMEOUT'],
  ['AUTH_SWITCH_PLUGIN_ERROR', 'RINGHOOK_STORE_ACCESS_DENIED'],
])
const driverMessages: ReadonlyMap<string, StoreCode> = new Map([
  ['Queue limit reached.', 'RINGHOOK_STORE_BUSY'],
  ['No connections available.', 'RINGHOOK_STORE_BUSY'],
  ['Pool is closed.', 'RINGHOOK_STORE_UNREACHABLE'],
])

interface DriverError {
  readonly errno?: unknown
  readonly sqlMessage?: unknown
  readonly message?: unknown
  readonly fatal?: unknown
  readonly cause?: unknown
}

const noDatabase =
  'is in no database: its client names none. Put one into the URL, as in mysql://app@127.0.0.1:3306/app, or give the client the option database.'

/** Gives the store's error for one of the driver. What is the store's own error already stays so. */
export function mysqlFailure(error: unknown): RinghookError {
  if (error instanceof RinghookError) return error
  const explanation = driverErrorOf(error).errno === 1046 ? noDatabase : undefined
  return storeFailure('mysqlStore', meaningOf(error), error, explanation)
}

/** Whether a statement failed by what others did at the same time, and was undone as a whole. */
export function isWorthRepeating(error: unknown): boolean {
  const { errno } = driverErrorOf(error)
  // Deadlock; lock timeout; and MariaDB's word for a row that changed since the statement began.
  return errno === 1213 || errno === 1205 || errno === 1020
}

function meaningOf(error: unknown): StoreCode {
  const { errno, sqlMessage, message, fatal } = driverErrorOf(error)
  const code = typeof errno === 'number' ? codes.get(errno) : undefined
  if (code !== undefined) return code
  // «Got error 28 from storage engine» and its like: the operating system's "no space left".
  if (typeof sqlMessage === 'string' && /\b(errno:|error) 28\b/i.test(sqlMessage)) {
    return 'RINGHOOK_STORE_FULL'
  }
  return (
    socketFailureOf(error) ??
    driverCodes.get(codeOf(error) ?? '') ??
    (typeof message === 'string' ? driverMessages.get(message) : undefined) ??
    (fatal === true ? 'RINGHOOK_STORE_UNREACHABLE' : 'RINGHOOK_STORE_FAILED')
  )
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
