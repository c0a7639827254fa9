import type { Attempt } from '../inboxes/inbox.ts'
import type { CompleteOptions, HeldClaim, IdempotencyStore } from '../stores/store.ts'
import { RinghookError } from './errors.ts'
import type { HandlerContext } from './event.ts'
import type { RequestHeaders } from './http.ts'
import { checkFlag } from './store-answers.ts'

/** What a run of a handler is about. */
export interface RunFacts {
  readonly claim: HeldClaim
  readonly rawBody: Uint8Array
  readonly headers: RequestHeaders
  readonly receivedAtMs: number
  readonly deadlineMs: number
  /** The attempt of the inbox's worker, where the delivery came out of an inbox. */
  readonly job: Attempt | undefined
}

/**
 * The handler's context. A class with getters, so that what costs something (an AbortController,
 * two Dates) is made only for handlers that ask for it, and so that printing the context shows
 * neither the body nor the headers.
 */
export class RunContext implements HandlerContext {
  readonly #facts: RunFacts
  readonly #store: IdempotencyStore
  readonly #retentionMs: number
  #controller: AbortController | undefined
  #abortReason: RinghookError | undefined
  #completed = false
  #completing = 0

  constructor(facts: RunFacts, store: IdempotencyStore, retentionMs: number) {
    this.#facts = facts
    this.#store = store
    this.#retentionMs = retentionMs
  }

  get idempotencyKey(): string {
    return this.#facts.claim.key
  }

  get attempt(): number {
    return this.#facts.job?.number ?? this.#facts.claim.attempt
  }

  get fence(): number {
    return this.#facts.claim.fence
  }

  get rawBody(): Uint8Array {
    return this.#facts.rawBody
  }

  get headers(): RequestHeaders {
    return this.#facts.headers
  }

  get receivedAt(): Date {
    return new Date(this.#facts.receivedAtMs)
  }

  get deadline(): Date | undefined {
    const { job, deadlineMs } = this.#facts
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
    const options: CompleteOptions = { retentionMs: this.#retentionMs, transaction }
    const { claim, job } = this.#facts
    const marking = this.#store.complete(claim, options)
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
