import type { IdempotencyStore } from '../../stores/store.ts'
import type { Clock } from '../clock.ts'
import { TimeoutQueue } from '../timeout-queue.ts'
import type { Execution } from './execution.ts'
import { claimLost, leaseRanOut } from './lost-leases.ts'
import { checkFlag } from './store-checks.ts'

/** What a {@link LeaseKeeper} needs. */
export interface LeaseSettings {
  readonly store: IdempotencyStore
  readonly clock: Clock
  readonly leaseMs: number
  /** Told of every renewal that failed. */
  onRenewalFailed(error: unknown): void
}

/** Renews the leases of handlers that run, and tells a handler when its lease is lost. */
export class LeaseKeeper {
  readonly #settings: LeaseSettings
  readonly #renewals: TimeoutQueue<Execution>
  readonly #onStopped: (execution: Execution) => void

  /** @param onStopped - Called when a lease isn't renewed any more although its execution isn't settled. */
  constructor(settings: LeaseSettings, onStopped: (execution: Execution) => void) {
    const intervalMs = Math.floor(settings.leaseMs / 3)
    this.#settings = settings
    this.#onStopped = onStopped
    this.#renewals = new TimeoutQueue(settings.clock, intervalMs, (due) => this.#renew(due))
  }

  /** Renews a lease every third of its length, until it is dropped, lost or to stop. */
  keep(execution: Execution, now: number): void {
    // The store took its time to answer the claim: the first renewal is due already.
    const isDue = now - execution.delivery.claimAskedAtMs >= this.#settings.leaseMs / 3
    if (isDue) this.#renew(execution)
    else this.#renewals.enter(execution, now)
  }

  /** Stops renewing a lease. */
  drop(execution: Execution): void {
    this.#renewals.leave(execution)
  }

  #renew(execution: Execution): void {
    const { store, clock, leaseMs } = this.#settings
    const now = clock.now()
    if (execution.stopAtMs !== undefined && now >= execution.stopAtMs) {
      this.#onStopped(execution)
      return
    }
    this.#renewals.enter(execution, now)
    if (execution.isRenewing) {
      // The store hasn't answered the last time. When the lease ends it is asked again: a connection
      // that went silent may never answer.
      if (now < execution.leaseEndsAtMs) return
      this.#warn(execution)
    }
    // Even if the lease is over, as after a long halt of the event loop: the claim holds as long as
    // no other delivery took over, and the store knows.
    execution.isRenewing = true
    Promise.resolve()
      .then(() => store.extend(execution.claim, { leaseMs }))
      .then((isHeld) => {
        if (!checkFlag(isHeld, 'extend')) this.#lose(execution)
        else execution.leaseEndsAtMs = Math.max(execution.leaseEndsAtMs, now + leaseMs)
      })
      .catch((error: unknown) => {
        // The store is away: the next renewal may get through before the lease runs out.
        this.#settings.onRenewalFailed(error)
        if (clock.now() >= execution.leaseEndsAtMs) this.#warn(execution)
      })
      .finally(() => {
        execution.isRenewing = false
      })
  }

  /** Tells the handler. The store may come back before another delivery takes over, and is still asked. */
  #warn(execution: Execution): void {
    if (execution.isQueued) execution.abort(leaseRanOut())
  }

  #lose(execution: Execution): void {
    // The answer may arrive after the handler's end, about a claim that was completed meanwhile.
    if (!execution.isQueued) return
    this.drop(execution)
    // The handler has ended: what took the lease away may be the completion that is on its way back.
    if (execution.stopAtMs !== undefined) this.#onStopped(execution)
    // The handler may have completed it itself, in its own transaction.
    else if (!execution.completes) {
      execution.abort(claimLost(this.#settings.clock.now() < execution.leaseEndsAtMs))
    }
  }
}
