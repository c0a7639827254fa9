import type { HeldClaim } from '../../stores/store.ts'
import type { Delivery } from '../delivery.ts'
import type { RinghookError } from '../errors.ts'
import { TimeoutEntry } from '../timeout-queue.ts'

/** One handler that runs, under a claim. It is the entry of the queue of lease renewals itself. */
export class Execution extends TimeoutEntry {
  readonly delivery: Delivery
  readonly claim: HeldClaim
  /** When the lease certainly ends, by this process's clock, unless it is renewed. */
  leaseEndsAtMs: number
  isRenewing = false
  /** When to stop renewing it, once the handler has ended. */
  stopAtMs: number | undefined = undefined
  /** Wakes the repeats that wait for its end. */
  waiters: Set<() => void> | undefined = undefined

  /** How many calls of `context.complete()` are waiting for the store. */
  completing = 0
  /** Whether the handler has completed the event itself. */
  isCompleted = false
  /** Whether `context.transaction()` is running. */
  isTransacting = false
  /** Whether the completion is known to be committed. */
  isCommitted = false

  #controller: AbortController | undefined = undefined
  #abortReason: RinghookError | undefined = undefined

  constructor(delivery: Delivery, claim: HeldClaim, leaseEndsAtMs: number) {
    super()
    this.delivery = delivery
    this.claim = claim
    this.leaseEndsAtMs = leaseEndsAtMs
  }

  /** Whether the handler has completed the event itself, or has begun to without waiting for it. */
  get completes(): boolean {
    return this.isCompleted || this.completing > 0 || this.isTransacting
  }

  /** Costs as much as an HMAC, so it is created for handlers that ask for it. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason)
    }
    return this.#controller.signal
  }

  /** Tells the handler, if it listens, that it doesn't run alone any more, or not for long. */
  abort(reason: RinghookError): void {
    this.#abortReason ??= reason
    this.#controller?.abort(reason)
  }
}
