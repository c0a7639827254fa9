import type { HandlerContext } from '../event/event.ts'
import type { RequestHeaders } from '../request/http.ts'
import type { Execution } from './execution.ts'
import { completeIn, runInTransaction, type TransactionSettings, type Work } from './transaction.ts'

/** The property by which `console.log` and `util.inspect` print an object. */
const inspected: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never

/** One for all contexts: a getter for each of them would cost ten times as much. */
const lazySignal = {
  enumerable: true,
  configurable: true,
  get(this: ExecutionContext): AbortSignal {
    return signalOf(this)
  },
}

let signalOf: (context: ExecutionContext) => AbortSignal

/**
 * What a handler sees of its execution. The members are its own properties, so that
 * `{ ...context, db }` keeps them.
 */
export class ExecutionContext implements HandlerContext {
  static {
    signalOf = (context) => context.#execution.signal
  }

  readonly idempotencyKey: string
  readonly tenant: string | undefined
  readonly attempt: number
  readonly fence: number
  declare readonly signal: AbortSignal
  readonly deadline: Date | undefined
  readonly rawBody: Uint8Array
  readonly headers: RequestHeaders
  readonly receivedAt: Date
  readonly complete: HandlerContext['complete']
  readonly transaction: HandlerContext['transaction']
  // Enumerable too: a copy is printed without the body and the headers as well.
  readonly [inspected] = inspectContext
  /** What loggers that write JSON show: everything but the body and the headers. */
  readonly toJSON = jsonOfContext
  readonly #execution: Execution

  constructor(settings: TransactionSettings, execution: Execution) {
    const { delivery, claim } = execution
    const { job, request, receivedAtMs, deadlineMs, tenant, rawBody } = delivery
    this.#execution = execution
    this.idempotencyKey = claim.key
    this.tenant = tenant
    this.attempt = job?.number ?? claim.attempt
    this.fence = claim.fence
    Object.defineProperty(this, 'signal', lazySignal)
    this.deadline = job === undefined ? new Date(deadlineMs) : undefined
    this.rawBody = rawBody
    this.headers = request.headers
    this.receivedAt = new Date(receivedAtMs)
    this.complete = (transaction) => completeIn(settings, execution, transaction)
    this.transaction = <Transaction, Result>(
      work: (given: Transaction) => Result | Promise<Result>,
    ) => runInTransaction(settings, execution, work as Work<Result>)
  }
}

function inspectContext(
  this: object,
  _depth: number,
  options: object,
  inspect: (value: unknown, options: object) => string,
): string {
  const printed = inspect(withoutDelivery(this), options)
  return this instanceof ExecutionContext ? `HandlerContext ${printed}` : printed
}

function jsonOfContext(this: object): object {
  return withoutDelivery(this)
}

/** Returns a context, or a copy of one, as it may be printed: without what was delivered. */
function withoutDelivery(context: object): object {
  const {
    rawBody: _body,
    headers: _headers,
    toJSON: _json,
    [inspected]: _,
    ...rest
  } = context as ExecutionContext
  return rest
}
