import type { HeldClaim, IdempotencyStore } from '../stores/store.ts'
import type { Delivery } from './delivery.ts'
import { RinghookError } from './errors.ts'
import type { HandlerContext } from './event.ts'
import type { RequestHeaders } from './http.ts'
import { claimLost } from './lost-claims.ts'
import { checkFlag } from './store-answers.ts'

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
  // Enumerable too: a copy is printed without the body and the headers as well.
  readonly [inspected] = inspectContext
  readonly #settings: ContextSettings
  readonly #delivery: Delivery
  readonly #claim: HeldClaim
  #controller: AbortController | undefined
  #abortReason: RinghookError | undefined
  #completed = false
  #completing = 0

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
  }

  /** For the getter of `signal`, which every copy made by spreading calls. */
  abortSignal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason)
    }
    return this.#controller.signal
  }

  /** What loggers that write JSON show: everything but the body and the headers. */
  toJSON(): object {
    return withoutDelivery(this)
  }

  /** Whether the handler has marked the event itself. */
  get completed(): boolean {
    return this.#completed
  }

  /** Whether it has, or has begun to and not waited for it. */
  get completes(): boolean {
    return this.#completed || this.#completing > 0
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
      throw new RinghookError(
        'RINGHOOK_TRANSACTION_INVALID',
        'context.complete() was called without a transaction. Give it the open transaction that your write belongs to.',
      )
    }
    // Until the store has said so again: an earlier call's transaction may have been rolled back.
    this.#completed = false
    const { store, retentionMs } = this.#settings
    const { job } = this.#delivery
    const marking = store.complete(this.#claim, { retentionMs, transaction })
    if (typeof marking === 'object') {
      return this.#completeLater(async () => {
        this.#expectMark(await marking)
        return await job?.complete?.(transaction)
      })
    }
    this.#expectMark(marking)
    const ending = job?.complete?.(transaction)
    if (typeof ending === 'object') return this.#completeLater(() => ending)
    this.#expectEnd(ending)
    this.#completed = true
    return Promise.resolve()
  }

  async #completeLater(ending: () => Promise<boolean | undefined>): Promise<void> {
    this.#completing++
    try {
      this.#expectEnd(await ending())
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

/** Why an event whose handler returned has not finished. */
export function notCommitted(): RinghookError {
  return new RinghookError(
    'RINGHOOK_TRANSACTION_NOT_COMMITTED',
    'The handler called context.complete(transaction) and returned, but the transaction is not committed. Throw where it is rolled back, and wait for its commit before you return.',
  )
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

/** A context, or a copy of one, as it may be printed: what was delivered stays out. */
function withoutDelivery(context: object): object {
  const { rawBody: _body, headers: _headers, [inspected]: _, ...rest } = context as RunContext
  return rest
}
