import type { HeldClaim, IdempotencyStore } from '../../stores/store.ts'
import { type Clock, type TimeoutHandle, TimeoutQueue } from '../clock.ts'
import type { RunContext } from './context.ts'
import { claimLost, leaseRanOut } from './lost-leases.ts'
import { checkFlag } from './store-checks.ts'

/** The lease of a claim, and what is under way to renew it. */
export interface Lease {
  readonly claim: HeldClaim
  readonly context: RunContext
  /** When it ends for certain, by this process's clock, unless it is renewed. */
  endsAt: number
  renewal: TimeoutHandle | undefined
  isRenewing: boolean
  /** From when on it is renewed no longer, once the handler has ended. */
  stopAt: number | undefined
}

/** What a {@link LeaseKeeper} needs. */
export interface LeaseSettings {
  readonly store: IdempotencyStore
  readonly clock: Clock
  readonly leaseMs: number
  /** Told of every renewal that failed. */
  onRenewalFailed(error: unknown): void
}

/** Renews the leases of handlers that run, and tells a handler when its lease is lost. */
export class LeaseKeeper<Held extends Lease> {
  readonly #settings: LeaseSettings
  readonly #renewals: TimeoutQueue
  readonly #onStopped: (lease: Held) => void

  constructor(settings: LeaseSettings, onStopped: (lease: Held) => void) {
    this.#settings = settings
    this.#onStopped = onStopped
    this.#renewals = new TimeoutQueue(settings.clock, Math.floor(settings.leaseMs / 3))
  }

  /** Renews a lease three times in its length, until it is dropped, lost or to stop. */
  keep(lease: Held, askedAtMs: number, now: number): void {
    // The store took its time to answer the claim: the first renewal is due already.
    if (now - askedAtMs >= this.#settings.leaseMs / 3) this.#renew(lease)
    else this.#renewLater(lease, now)
  }

  /** Renews a lease no longer. */
  drop(lease: Held): void {
    lease.renewal?.cancel()
    lease.renewal = undefined
  }

  #renewLater(lease: Held, now: number): void {
    lease.renewal = this.#renewals.add(now, () => this.#renew(lease))
  }

  #renew(lease: Held): void {
    const { store, clock, leaseMs } = this.#settings
    const now = clock.now()
    lease.renewal = undefined
    if (lease.stopAt !== undefined && now >= lease.stopAt) {
      this.#onStopped(lease)
      return
    }
    this.#renewLater(lease, now)
    if (lease.isRenewing) {
      // The store has not answered the last time. By the end of the lease it is asked again: what
      // was asked on a connection that went silent may never be answered.
      if (now < lease.endsAt) return
      this.#warn(lease)
    }
    // Also when the lease is over, as after a long halt of the event loop: the claim holds for as
    // long as nobody took over, and the store knows.
    lease.isRenewing = true
    Promise.resolve()
      .then(() => store.extend(lease.claim, { leaseMs }))
      .then((isHeld) => {
        if (checkFlag(isHeld, 'extend')) lease.endsAt = Math.max(lease.endsAt, now + leaseMs)
        else this.#lose(lease)
      })
      .catch((error: unknown) => {
        // The store is away: the next renewal may get through before the lease runs out.
        this.#settings.onRenewalFailed(error)
        if (clock.now() >= lease.endsAt) this.#warn(lease)
      })
      .finally(() => {
        lease.isRenewing = false
      })
  }

  /** Tells the handler; the store may come back before somebody else takes over, and is still asked. */
  #warn(lease: Held): void {
    if (lease.renewal !== undefined) lease.context.abort(leaseRanOut())
  }

  #lose(lease: Held): void {
    // The answer may come after the handler's end, to a claim that was completed meanwhile.
    if (lease.renewal === undefined) return
    this.drop(lease)
    // The handler has ended: what took the lease away may be the mark that is on its way back.
    if (lease.stopAt !== undefined) this.#onStopped(lease)
    // The handler may have completed it itself, in its own transaction.
    else if (!lease.context.completes) {
      lease.context.abort(claimLost(this.#settings.clock.now() < lease.endsAt))
    }
  }
}
