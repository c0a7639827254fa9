import type { HeldClaim, IdempotencyStore } from '../../stores/store.ts'
import type { Delivery } from '../delivery.ts'
import type { RinghookError } from '../errors.ts'
import type { HandlerContext } from '../event/event.ts'
import type { RequestHeaders } from '../request/http.ts'
import { isThenable } from '../thenable.ts'
import { listedPromises, reasonNotRun } from './handler-result.ts'
import { claimLost } from './lost-leases.ts'
import { checkFlag } from './store-checks.ts'
import { notTransactional, transactionInvalid } from './transaction-errors.ts'

/** What a handler does in its transaction, which is of the type that the user says. */
type Work<Result> = (transaction: unknown) => Result | Promise<Result>

/** The settings of a receiver that a run's context needs. */
export interface ContextSettings {
  readonly store: IdempotencyStore
  readonly retentionMs: number
}

/** What `console.log` and `util.inspect` print an object by. */
const inspected: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never

/** One for all contexts: a getter for each of them would cost ten times as much. */
const lazySignal = {
  enumerable: true,
  configurable: true,
  get(this: RunContext): AbortSignal {
    return this.abortSignal()
  },
}

/**
 * The handler's context. Its members are properties of its own, so that `{ ...context, db }` keeps
 * them. All of them are cheap but the signal, which costs as much as an HMAC and is made for
 * handlers that ask for it.
 */
export class RunContext implements HandlerContext {
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
  readonly #settings: ContextSettings
  readonly #delivery: Delivery
  readonly #claim: HeldClaim
  #controller: AbortController | undefined
  #abortReason: RinghookError | undefined
  #completed = false
  #completing = 0
  #isTransacting = false
  #committed = false

  constructor(
    settings: ContextSettings,
    delivery: Delivery,
    claim: HeldClaim,
    rawBody: Uint8Array,
  ) {
    const { job, request, receivedAtMs, deadlineMs, tenant } = delivery
    this.#settings = settings
    this.#delivery = delivery
    this.#claim = claim
    this.idempotencyKey = claim.key
    this.tenant = tenant
    this.attempt = job?.number ?? claim.attempt
    this.fence = claim.fence
    Object.defineProperty(this, 'signal', lazySignal)
    this.deadline = job === undefined ? new Date(deadlineMs) : undefined
    this.rawBody = rawBody
    this.headers = request.headers
    this.receivedAt = new Date(receivedAtMs)
    this.complete = (transaction) => this.#complete(transaction)
    this.transaction = <Transaction, Result>(
      work: (given: Transaction) => Result | Promise<Result>,
    ) => this.#transact(work as Work<Result>)
  }

  /** For the getter of `signal`, which every copy made by spreading calls. */
  abortSignal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason)
    }
    return this.#controller.signal
  }

  /** Whether the handler has marked the event itself. */
  get completed(): boolean {
    return this.#completed
  }

  /** Whether it has, or has begun to and not waited for it. */
  get completes(): boolean {
    return this.#completed || this.#completing > 0 || this.#isTransacting
  }

  /** Whether the mark is known to be committed. */
  get committed(): boolean {
    return this.#committed
  }

  /** Tells the handler, if it listens, that it no longer runs alone or not for long. */
  abort(reason: RinghookError): void {
    this.#abortReason ??= reason
    this.#controller?.abort(reason)
  }

  /**
   * Not an async function: in a synchronous transaction a failure must be thrown at once, or the
   * transaction would be committed before it is known.
   */
  #complete(transaction: unknown): Promise<void> {
    if (transaction === undefined || transaction === null) {
      throw transactionInvalid('missing')
    }
    if (this.#isTransacting) throw transactionInvalid('marksItself')
    // Until the store has said so again: an earlier call's transaction may have been rolled back.
    this.#completed = false
    const marking = this.#mark(transaction)
    if (isThenable(marking)) return this.#completeLater(marking)
    this.#completed = true
    return Promise.resolve()
  }

  #transact<Result>(work: Work<Result>): Promise<Result> {
    const transacting = this.#runTransaction(work)
    // A handler that does not wait for it fails all the same. The process must not end for that.
    transacting.catch(() => {})
    return transacting
  }

  async #runTransaction<Result>(work: Work<Result>): Promise<Result> {
    const { store } = this.#settings
    if (typeof work !== 'function') throw transactionInvalid('noFunction')
    if (this.completes) throw transactionInvalid('repeated')
    if (typeof store.transaction !== 'function') throw notTransactional()
    this.#isTransacting = true
    try {
      // Still an async function if it was one: stores with a synchronous driver refuse those unrun.
      const result = await store.transaction(
        isAsync(work)
          ? async (transaction) => await this.#runAndMark(transaction, work)
          : (transaction) => this.#runAndMark(transaction, work),
      )
      this.#completed = true
      this.#committed = true
      return result
    } finally {
      this.#isTransacting = false
    }
  }

  /** Gives no promise where nothing has to be waited for: SQLite's transactions are synchronous. */
  #runAndMark<Result>(transaction: unknown, work: Work<Result>): Result | Promise<Result> {
    const result = work(transaction)
    const listed = listedPromises(result)
    if (isThenable(result) || listed !== undefined) {
      return this.#markLater(transaction, result, listed)
    }
    if (reasonNotRun(result) !== undefined) throw transactionInvalid('notStarted')
    const marking = this.#mark(transaction)
    return isThenable(marking) ? marking.then(() => result) : result
  }

  async #markLater<Result>(
    transaction: unknown,
    result: Result | Promise<Result>,
    listed: Promise<void> | undefined,
  ): Promise<Result> {
    const value = await result
    await (listed ?? listedPromises(value))
    if (reasonNotRun(value) !== undefined) throw transactionInvalid('notStarted')
    // The store did not wait: what is open on the client by now is another transaction.
    if (!this.#isTransacting) throw transactionInvalid('over')
    await this.#mark(transaction)
    return value
  }

  /** Marks the event in a transaction, and the delivery's end in the inbox. */
  #mark(transaction: unknown): Promise<void> | undefined {
    const { store, retentionMs } = this.#settings
    const { job } = this.#delivery
    const marking = store.complete(this.#claim, { retentionMs, transaction })
    if (isThenable(marking)) {
      return marking.then(async (isMarked) => {
        this.#expectMark(isMarked)
        this.#expectEnd(await job?.complete?.(transaction))
      })
    }
    this.#expectMark(marking)
    const ending = job?.complete?.(transaction)
    if (isThenable(ending)) return ending.then((hasEnded) => this.#expectEnd(hasEnded))
    this.#expectEnd(ending)
    return undefined
  }

  async #completeLater(marking: Promise<void>): Promise<void> {
    this.#completing++
    try {
      await marking
      this.#completed = true
    } finally {
      this.#completing--
    }
  }

  #expectMark(isMarked: boolean): void {
    if (!checkFlag(isMarked, 'complete')) throw claimLost()
  }

  /** The delivery's end in the inbox, in the same transaction. `undefined`: the inbox has no part in it. */
  #expectEnd(hasEnded: boolean | undefined): void {
    if (hasEnded === false) throw claimLost()
  }
}

function isAsync(work: object): boolean {
  return Object.prototype.toString.call(work) === '[object AsyncFunction]'
}

function inspectContext(
  this: object,
  _depth: number,
  options: object,
  inspect: (value: unknown, options: object) => string,
): string {
  const printed = inspect(withoutDelivery(this), options)
  return this instanceof RunContext ? `HandlerContext ${printed}` : printed
}

function jsonOfContext(this: object): object {
  return withoutDelivery(this)
}

/** A context, or a copy of one, as it may be printed: what was delivered stays out. */
function withoutDelivery(context: object): object {
  const {
    rawBody: _body,
    headers: _headers,
    toJSON: _json,
    [inspected]: _,
    ...rest
  } = context as RunContext
  return rest
}
