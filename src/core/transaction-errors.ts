import { RinghookError } from './errors.ts'

const mistakes = {
  missing:
    'context.complete() was called without a transaction. Give it the open transaction that your write belongs to.',
  marksItself:
    'context.complete() was called inside context.transaction(), which marks the event itself. Leave complete() out.',
  repeated:
    'context.transaction() was called again, inside itself or after the event was marked. Make all writes of a handler in one call.',
  noFunction:
    'context.transaction() was not given a function. Give it one that makes your writes through the transaction that it is given.',
  notStarted:
    'The function that context.transaction() was given returned work that nothing has started, such as an iterator or a function. Do the work in the function itself, and await it.',
  over: 'The function that context.transaction() was given went on after its transaction was over.',
} as const

/** The error for a mistake in how a handler uses its context for transactions. */
export function transactionInvalid(mistake: keyof typeof mistakes): RinghookError {
  return new RinghookError('RINGHOOK_TRANSACTION_INVALID', mistakes[mistake])
}

/** The error for a store that opens no transactions. */
export function notTransactional(): RinghookError {
  return new RinghookError(
    'RINGHOOK_STORE_NOT_TRANSACTIONAL',
    'The store, or the client that it was given, cannot open a transaction. Use postgresStore() with a Pool of pg, mysqlStore() with a pool or sqliteStore(), or return from the handler instead.',
  )
}

/** Why an event whose handler returned has not finished. */
export function notCommitted(): RinghookError {
  return new RinghookError(
    'RINGHOOK_TRANSACTION_NOT_COMMITTED',
    'The handler called context.complete(transaction) or context.transaction() and returned, but the transaction is not committed. Throw where it is rolled back, and wait for its commit before you return.',
  )
}
