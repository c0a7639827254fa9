import type { HeldClaim, IdempotencyStore } from '../stores/store.ts'
import { type Clock, DelayQueue, type DelayTicket } from './clock.ts'
import { leaseRanOut, leaseTaken, type RunContext } from './context.ts'
import type { RinghookError } from './errors.ts'

/** The lease of a claim, and what is under way to renew it. */
export interface Lease {
  readonly claim: HeldClaim
  readonly context: RunContext
  /** When it ends for certain, by this process's clock, unless it is renewed. */
  endsAt: number
  renewal: DelayTicket | undefined
  isRenewing: boolean
}

/** What a {@link LeaseKeeper} needs. */
export interface LeaseSettings {
  readonly store: IdempotencyStore
  readonly clock: Clock
  readonly leaseMs: number
}

/** Renews the leases of handlers that run, and tells a handler when its lease is lost. */
export class LeaseKeeper {
  readonly #settings: LeaseSettings
  readonly #renewals: DelayQueue

  constructor(settings: LeaseSettings) {
    this.#settings = settings
    this.#renewals = new DelayQueue(settings.clock, Math.floor(settings.leaseMs / 3))
  }

  /** Renews a lease three times in its length from `now` on, until it is dropped or lost. */
  keep(lease: Lease, now: number): void {
    lease.renewal = this.#renewals.add(now, () => this.#renew(lease))
  }

  /** Renews a lease no longer. */
  drop(lease: Lease): void {
    lease.renewal?.cancel()
    lease.renewal = undefined
  }

  #renew(lease: Lease): void {
    const { store, clock, leaseMs } = this.#settings
    const now = clock.now()
    this.keep(lease, now)
    if (lease.isRenewing) {
      // The store has not answered the last time.
      if (now >= lease.endsAt) this.#lose(lease, leaseRanOut())
      return
    }
    // Also when the lease is over, as after a long halt of the event loop: the claim holds for as
    // long as nobody took over, and the store knows.
    lease.isRenewing = true
    Promise.resolve()
      .then(() => store.extend(lease.claim, { leaseMs }))
      .then((isHeld) => {
        if (isHeld) lease.endsAt = now + leaseMs
        else this.#lose(lease, leaseTaken())
      })
      .catch(() => {
        // The store is away: the next renewal may get through before the lease runs out.
        if (clock.now() >= lease.endsAt) this.#lose(lease, leaseRanOut())
      })
      .finally(() => {
        lease.isRenewing = false
      })
  }

  #lose(lease: Lease, reason: RinghookError): void {
    // The answer may come after the handler's end, to a claim that was completed meanwhile.
    if (lease.renewal === undefined) return
    this.drop(lease)
    lease.context.abort(reason)
  }
}
