import { RinghookError } from '../errors.ts'

const mistakes = {
  missing:
    'context.complete() was called without a transaction. Give it the open transaction that your write belongs to.',
  marksItself:
    'context.complete() was called inside context.transaction(), which marks the event itself. Leave complete() out.',
  repeated:
    'context.transaction() was called again, inside itself or after the event was marked. Make all writes of a handler in one call.',
  noFunction:
    'context.transaction() must be given a function that writes through the transaction it receives.',
  notStarted:
    'The function given to context.transaction() returned work that has not started, such as an iterator or a function. Do the work in the function itself, and await it.',
  over: 'The function given to context.transaction() used its transaction after the end of it.',
} as const

/** Creates the error for a handler that uses its context's transactions wrongly. */
export function transactionInvalid(mistake: keyof typeof mistakes): RinghookError {
  return new RinghookError('RINGHOOK_TRANSACTION_INVALID', mistakes[mistake])
}

/** Creates the error for a store that can't open transactions. */
export function notTransactional(): RinghookError {
  return new RinghookError(
    'RINGHOOK_STORE_NOT_TRANSACTIONAL',
    "The store, or the client that it was given, can't open a transaction. Use postgresStore() with a Pool of pg, mysqlStore() with a pool or sqliteStore(), or return from the handler instead.",
  )
}

/** Creates the error for a handler that returned before its transaction was committed. */
export function notCommitted(): RinghookError {
  return new RinghookError(
    'RINGHOOK_TRANSACTION_NOT_COMMITTED',
    'The handler called context.complete(transaction) or context.transaction() and returned, but the transaction is not committed. Wait for its commit before you return, and throw if it is rolled back.',
  )
}
