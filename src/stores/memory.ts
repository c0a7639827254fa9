import { type Clock, systemClock } from '../core/clock.ts'
import { RinghookError } from '../core/errors.ts'
import { type Logger, safeLogger } from '../core/log.ts'
import type { Claim, ClaimOptions, CompleteOptions, HeldClaim, IdempotencyStore } from './store.ts'

/** Options of {@link memoryStore}. */
export interface MemoryStoreOptions {
  /** How many events are remembered. Default: 100 000, about 25 MB. From 1. */
  readonly maxEntries?: number
  /** Default: the machine's clock. */
  readonly clock?: Clock
  /** Where its warnings go. Default: `console`. `false`: silence. */
  readonly logger?: Logger | false
}

/**
 * Gives an idempotency store that lives in this process: it forgets when the process ends, and
 * other instances do not see it. For tests, and for one instance that may forget.
 *
 * When it is full, the events that finished first are forgotten first, and running ones never; the
 * first time that one goes before its retention is over it says so.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 * @example
 * ```ts
 * import { memoryStore } from 'ringhook'
 *
 * export const store = memoryStore({ maxEntries: 10_000 })
 * ```
 */
export function memoryStore(options: MemoryStoreOptions = {}): IdempotencyStore {
  return new MemoryStore(options)
}

interface Running {
  readonly claim: HeldClaim
  readonly fingerprint: string
  leaseEndsAt: number
}

/** A key that nobody holds: completed, or released and kept for its fence. */
interface Settled {
  readonly claim: HeldClaim
  readonly fingerprint: string
  readonly completed: boolean
  readonly forgetAt: number
}

/** How long a released key keeps its fence and attempt: longer than any provider's retries. */
const releasedMs = 24 * 60 * 60_000

class MemoryStore implements IdempotencyStore {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #maxEntries: number
  readonly #running = new Map<string, Running>()
  /** In the order in which they settled, so that the oldest come first. */
  readonly #settled = new Map<string, Settled>()
  /** Kept between calls: a fresh iterator would walk over every entry deleted before it. */
  #oldestFirst = this.#settled.values()
  #oldest: Settled | undefined
  #warnedOfEviction = false

  constructor({ maxEntries = 100_000, clock = systemClock, logger }: MemoryStoreOptions) {
    if (!Number.isInteger(maxEntries) || maxEntries < 1) {
      throw new RinghookError(
        'RINGHOOK_OPTION_INVALID',
        'maxEntries is not a whole number from 1. The default is 100000.',
      )
    }
    this.#clock = clock
    this.#logger = safeLogger(logger)
    this.#maxEntries = maxEntries
    if (process.env['NODE_ENV'] === 'production') {
      this.#logger.warn(
        'ringhook: memoryStore() remembers finished events in this process only. After a restart, or on another instance, a repeat runs its handler again.',
      )
    }
  }

  async claim(key: string, { owner, leaseMs, fingerprint }: ClaimOptions): Promise<Claim> {
    const now = this.#clock.now()
    const running = this.#running.get(key)
    if (running !== undefined) {
      if (running.claim.owner === owner) {
        running.leaseEndsAt = now + leaseMs
        return running.claim
      }
      const leftMs = running.leaseEndsAt - now
      if (leftMs > 0) return { state: 'in_flight', retryAfterMs: leftMs }
      return this.#hold(key, owner, now + leaseMs, fingerprint, running.claim)
    }
    const settled = this.#settled.get(key)
    if (settled !== undefined) {
      if (settled.completed && settled.forgetAt > now) {
        return { state: 'completed', fingerprint: settled.fingerprint }
      }
      this.#settled.delete(key)
    }
    return this.#hold(key, owner, now + leaseMs, fingerprint, settled?.claim)
  }

  async extend(claim: HeldClaim, { leaseMs }: { readonly leaseMs: number }): Promise<boolean> {
    const running = this.#holder(claim)
    if (running === undefined) return false
    running.leaseEndsAt = this.#clock.now() + leaseMs
    return true
  }

  async complete(claim: HeldClaim, { retentionMs, transaction }: CompleteOptions): Promise<boolean> {
    if (transaction !== undefined) {
      throw new RinghookError(
        'RINGHOOK_STORE_NOT_TRANSACTIONAL',
        'memoryStore() cannot mark an event inside a database transaction. Return from the handler instead: the event is marked then.',
      )
    }
    const running = this.#holder(claim)
    if (running === undefined) return this.#isCompletedBy(claim)
    this.#settle(running, true, retentionMs)
    return true
  }

  async release(claim: HeldClaim): Promise<boolean> {
    const running = this.#holder(claim)
    if (running === undefined) return false
    this.#settle(running, false, releasedMs)
    return true
  }

  #hold(
    key: string,
    owner: string,
    leaseEndsAt: number,
    fingerprint: string,
    before: HeldClaim | undefined,
  ): HeldClaim {
    const claim: HeldClaim = {
      state: 'claimed',
      key,
      owner,
      fence: (before?.fence ?? 0) + 1,
      attempt: (before?.attempt ?? 0) + 1,
    }
    this.#running.set(key, { claim, fingerprint, leaseEndsAt })
    this.#makeRoom()
    return claim
  }

  #holder(claim: HeldClaim): Running | undefined {
    const running = this.#running.get(claim.key)
    const isHeld = running?.claim.owner === claim.owner && running.claim.fence === claim.fence
    return isHeld ? running : undefined
  }

  /** A completion whose reply was lost may be repeated by the one who made it. */
  #isCompletedBy(claim: HeldClaim): boolean {
    const settled = this.#settled.get(claim.key)
    return (
      settled?.completed === true &&
      settled.forgetAt > this.#clock.now() &&
      settled.claim.owner === claim.owner &&
      settled.claim.fence === claim.fence
    )
  }

  #settle({ claim, fingerprint }: Running, completed: boolean, keepMs: number): void {
    const forgetAt = this.#clock.now() + keepMs
    this.#running.delete(claim.key)
    this.#settled.set(claim.key, { claim, fingerprint, completed, forgetAt })
  }

  /** Forgets what is past its retention, a little at every claim, and what is over the bound. */
  #makeRoom(): void {
    const now = this.#clock.now()
    for (let oldest = this.#peekOldest(); oldest !== undefined; oldest = this.#peekOldest()) {
      const isOver = this.#running.size + this.#settled.size > this.#maxEntries
      if (!isOver && oldest.forgetAt > now) return
      if (oldest.completed && oldest.forgetAt > now) this.#warnOfEviction()
      this.#settled.delete(oldest.claim.key)
      if (!isOver) return
    }
  }

  #peekOldest(): Settled | undefined {
    // An entry that was claimed again, or settled anew since, is no longer the oldest.
    while (this.#oldest === undefined || this.#settled.get(this.#oldest.claim.key) !== this.#oldest) {
      const next = this.#oldestFirst.next()
      if (next.done === true) {
        this.#oldest = undefined
        if (this.#settled.size > 0) {
          // An iterator that came to its end stays there: entries added since need a new one.
          this.#oldestFirst = this.#settled.values()
          continue
        }
        return undefined
      }
      this.#oldest = next.value
    }
    return this.#oldest
  }

  #warnOfEviction(): void {
    if (this.#warnedOfEviction) return
    this.#warnedOfEviction = true
    this.#logger.warn(
      `ringhook: memoryStore() is full at ${this.#maxEntries} events and forgets finished ones before their retention is over, so a late repeat may run again. Raise maxEntries.`,
    )
  }
}
