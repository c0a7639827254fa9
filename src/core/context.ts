import type { HeldClaim, IdempotencyStore } from '../stores/store.ts'
import type { Delivery } from './delivery.ts'
import { RinghookError } from './errors.ts'
import type { HandlerContext } from './event.ts'
import type { RequestHeaders } from './http.ts'
import { checkFlag } from './store-answers.ts'

/** The settings of a receiver that a run's context needs. */
export interface ContextSettings {
  readonly store: IdempotencyStore
  readonly retentionMs: number
}

/**
 * The handler's context. A class with getters, so that what costs something (an AbortController,
 * two Dates) is made only for handlers that ask for it, and so that printing the context shows
 * neither the body nor the headers.
 */
export class RunContext implements HandlerContext {
  readonly #settings: ContextSettings
  readonly #delivery: Delivery
  readonly #claim: HeldClaim
  readonly #rawBody: Uint8Array
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
    this.#settings = settings
    this.#delivery = delivery
    this.#claim = claim
    this.#rawBody = rawBody
  }

  get idempotencyKey(): string {
    return this.#claim.key
  }

  get attempt(): number {
    return this.#delivery.job?.number ?? this.#claim.attempt
  }

  get fence(): number {
    return this.#claim.fence
  }

  get rawBody(): Uint8Array {
    return this.#rawBody
  }

  get headers(): RequestHeaders {
    return this.#delivery.request.headers
  }

  get receivedAt(): Date {
    return new Date(this.#delivery.receivedAtMs)
  }

  get deadline(): Date | undefined {
    const { job, deadlineMs } = this.#delivery
    return job === undefined ? new Date(deadlineMs) : undefined
  }

  get signal(): AbortSignal {
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
    return this.#completed || this.#completing > 0
  }

  /** Tells the handler, if it listens, that it no longer runs alone or not for long. */
  abort(reason: RinghookError): void {
    this.#abortReason ??= reason
    this.#controller?.abort(reason)
  }

  /** A getter that binds, for handlers that take it out of the context. */
  get complete(): HandlerContext['complete'] {
    return (transaction) => this.#complete(transaction)
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
    if (!checkFlag(isMarked, 'complete')) throw leaseTaken()
  }

  /** The delivery's end in the inbox, in the same transaction. `undefined`: the inbox has no part in it. */
  #expectEnd(hasEnded: boolean | undefined): void {
    if (hasEnded === false) throw leaseTaken()
  }
}

/** Why a handler must not go on: somebody else has the event. */
export function leaseTaken(): RinghookError {
  return new RinghookError(
    'RINGHOOK_LEASE_LOST',
    'Another run of this event has taken over, because the lease ran out. Roll back and stop; raise leaseMs if the event loop is blocked for long.',
  )
}

/** Why a handler must not go on: somebody else may have the event by now. */
export function leaseRanOut(): RinghookError {
  return new RinghookError(
    'RINGHOOK_LEASE_LOST',
    'The lease ran out, because the store could not be reached to renew it, and another run may take over. Stop if running twice would do harm.',
  )
}

/** Why an event whose handler returned has not finished. */
export function notCommitted(): RinghookError {
  return new RinghookError(
    'RINGHOOK_TRANSACTION_NOT_COMMITTED',
    'The handler called context.complete(transaction) and returned, but the transaction is not committed. Throw where it is rolled back, and wait for its commit before you return.',
  )
}
