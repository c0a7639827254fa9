import type { IdempotencyStore } from '../../stores/store.ts'
import { isThenable } from '../thenable.ts'
import type { Execution } from './execution.ts'
import { listedPromises, reasonNotRun } from './handler-result.ts'
import { claimLost } from './lost-leases.ts'
import { checkFlag } from './store-checks.ts'
import { notTransactional, transactionInvalid } from './transaction-errors.ts'

/** What a handler does in its transaction, which is of the type that the user says. */
export type Work<Result> = (transaction: unknown) => Result | Promise<Result>

/** What completing an event in a transaction needs. */
export interface TransactionSettings {
  readonly store: IdempotencyStore
  readonly retentionMs: number
}

/**
 * `context.complete()`. Not an async function: in a synchronous transaction a failure must be thrown
 * at once, or the transaction would be committed before it is known.
 */
export function completeIn(
  settings: TransactionSettings,
  execution: Execution,
  transaction: unknown,
): Promise<void> {
  if (transaction === undefined || transaction === null) throw transactionInvalid('missing')
  if (execution.isTransacting) throw transactionInvalid('marksItself')
  // Until the store has said so again: an earlier call's transaction may have been rolled back.
  execution.isCompleted = false
  const completing = complete(settings, execution, transaction)
  if (isThenable(completing)) return completeLater(execution, completing)
  execution.isCompleted = true
  return Promise.resolve()
}

async function completeLater(execution: Execution, completing: Promise<void>): Promise<void> {
  execution.completing++
  try {
    await completing
    execution.isCompleted = true
  } finally {
    execution.completing--
  }
}

/** `context.transaction()`. */
export function runInTransaction<Result>(
  settings: TransactionSettings,
  execution: Execution,
  work: Work<Result>,
): Promise<Result> {
  const transacting = transact(settings, execution, work)
  // A handler that doesn't wait for it fails all the same. The process must not end for that.
  transacting.catch(() => {})
  return transacting
}

async function transact<Result>(
  settings: TransactionSettings,
  execution: Execution,
  work: Work<Result>,
): Promise<Result> {
  const { store } = settings
  if (typeof work !== 'function') throw transactionInvalid('noFunction')
  if (execution.completes) throw transactionInvalid('repeated')
  if (typeof store.transaction !== 'function') throw notTransactional()
  execution.isTransacting = true
  const run = (transaction: unknown) => workAndComplete(settings, execution, transaction, work)
  try {
    // Still an async function if it was one: stores with a synchronous driver refuse those unrun.
    const result = await store.transaction(
      isAsync(work) ? async (transaction) => await run(transaction) : run,
    )
    execution.isCompleted = true
    execution.isCommitted = true
    return result
  } finally {
    execution.isTransacting = false
  }
}

/** Returns no promise if nothing has to be awaited: SQLite's transactions are synchronous. */
function workAndComplete<Result>(
  settings: TransactionSettings,
  execution: Execution,
  transaction: unknown,
  work: Work<Result>,
): Result | Promise<Result> {
  const result = work(transaction)
  const listed = listedPromises(result)
  if (isThenable(result) || listed !== undefined) {
    return awaitAndComplete(settings, execution, transaction, result, listed)
  }
  if (reasonNotRun(result) !== undefined) throw transactionInvalid('notStarted')
  const completing = complete(settings, execution, transaction)
  return isThenable(completing) ? completing.then(() => result) : result
}

async function awaitAndComplete<Result>(
  settings: TransactionSettings,
  execution: Execution,
  transaction: unknown,
  result: Result | Promise<Result>,
  listed: Promise<void> | undefined,
): Promise<Result> {
  const value = await result
  await (listed ?? listedPromises(value))
  if (reasonNotRun(value) !== undefined) throw transactionInvalid('notStarted')
  // The store did not wait: what is open on the client by now is another transaction.
  if (!execution.isTransacting) throw transactionInvalid('over')
  await complete(settings, execution, transaction)
  return value
}

/** Completes the event in a transaction, and the delivery in the inbox. */
function complete(
  { store, retentionMs }: TransactionSettings,
  { claim, delivery: { job } }: Execution,
  transaction: unknown,
): Promise<void> | undefined {
  const completing = store.complete(claim, { retentionMs, transaction })
  if (isThenable(completing)) {
    return completing.then(async (isCompleted) => {
      expectCompleted(isCompleted)
      expectEnded(await job?.complete?.(transaction))
    })
  }
  expectCompleted(completing)
  const ending = job?.complete?.(transaction)
  if (isThenable(ending)) return ending.then(expectEnded)
  expectEnded(ending)
  return undefined
}

function expectCompleted(isCompleted: boolean): void {
  if (!checkFlag(isCompleted, 'complete')) throw claimLost()
}

/** `undefined`: the inbox has no part in the transaction. */
function expectEnded(hasEnded: boolean | undefined): void {
  if (hasEnded === false) throw claimLost()
}

function isAsync(work: object): boolean {
  return Object.prototype.toString.call(work) === '[object AsyncFunction]'
}
