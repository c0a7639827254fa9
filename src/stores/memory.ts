import { checkOptions, wholeNumber } from '../core/checks.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { RinghookError } from '../core/errors.ts'
import { type Logger, safeLogger } from '../core/log.ts'
import { checkDuration, checkFingerprint, checkText } from './checks.ts'
import { keptMs } from './limits.ts'
import { completed, Entries, none, released, running, type State } from './memory/entries.ts'
import type {
  Claim,
  ClaimOptions,
  CompleteOptions,
  Forgotten,
  HeldClaim,
  IdempotencyStore,
  KeyStatus,
} from './store.ts'

/** Options of {@link memoryStore}. */
export interface MemoryStoreOptions {
  /** How many events are remembered. Default: 100 000, about 23 MB. From 1. */
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
  checkOptions('memoryStore()', options, optionNames)
  return new MemoryStore(options)
}

const optionNames = ['maxEntries', 'clock', 'logger']

class MemoryStore implements IdempotencyStore {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #maxEntries: number
  readonly #entries = new Entries()
  #warnedOfEviction = false

  constructor({ maxEntries, clock = systemClock, logger }: MemoryStoreOptions) {
    this.#clock = clock
    this.#logger = safeLogger(logger)
    this.#maxEntries = wholeNumber('maxEntries', maxEntries, { default: 100_000, min: 1 })
    if (process.env['NODE_ENV'] === 'production') {
      this.#logger.warn(
        'ringhook: memoryStore() remembers finished events in this process only. After a restart, or on another instance, a repeat runs its handler again.',
      )
    }
  }

  claim(key: string, options: ClaimOptions): Promise<Claim> | Claim {
    try {
      return this.#claim(key, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #claim(key: string, { owner, leaseMs, fingerprint }: ClaimOptions): Claim {
    checkText(key)
    checkText(owner)
    checkFingerprint(fingerprint)
    checkDuration('leaseMs', leaseMs)
    const now = this.#clock.now()
    const entries = this.#entries
    const entry = entries.find(key)
    let fence = 1
    if (entry !== none) {
      const state = entries.states[entry]
      const leftMs = (entries.endsAt[entry] as number) - now
      if (state === running && entries.owners[entry] === owner) {
        entries.endsAt[entry] = now + leaseMs
        return claimOf(key, owner, entries.fences[entry] as number)
      }
      if (state === running && leftMs > 0) return { state: 'in_flight', retryAfterMs: leftMs }
      if (state === completed && leftMs > 0) {
        return { state: 'completed', fingerprint: entries.fingerprints[entry] as string }
      }
      fence = (entries.fences[entry] as number) + 1
      entries.remove(entry)
    }
    entries.add(key, owner, fence, fingerprint, now + leaseMs)
    this.#makeRoom(now)
    return claimOf(key, owner, fence)
  }

  async extend(claim: HeldClaim, { leaseMs }: { readonly leaseMs: number }): Promise<boolean> {
    checkDuration('leaseMs', leaseMs)
    const entry = this.#heldBy(claim, running)
    if (entry === none) return false
    this.#entries.endsAt[entry] = this.#clock.now() + leaseMs
    return true
  }

  complete(claim: HeldClaim, options: CompleteOptions): Promise<boolean> | boolean {
    try {
      return this.#complete(claim, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #complete(claim: HeldClaim, { retentionMs, transaction }: CompleteOptions): boolean {
    if (transaction !== undefined) {
      throw new RinghookError(
        'RINGHOOK_STORE_NOT_TRANSACTIONAL',
        'memoryStore() cannot mark an event inside a database transaction. Return from the handler instead: the event is marked then.',
      )
    }
    checkDuration('retentionMs', retentionMs)
    const entry = this.#heldBy(claim, running)
    const now = this.#clock.now()
    if (entry === none) {
      // A completion whose reply was lost may be repeated by the one who made it.
      const before = this.#heldBy(claim, completed)
      return before !== none && (this.#entries.endsAt[before] as number) > now
    }
    this.#entries.settle(entry, completed, now + retentionMs)
    return true
  }

  async release(claim: HeldClaim): Promise<boolean> {
    const entry = this.#heldBy(claim, running)
    if (entry === none) return false
    this.#entries.settle(entry, released, this.#clock.now() + keptMs)
    return true
  }

  async forget(key: string): Promise<Forgotten> {
    checkText(key)
    const entries = this.#entries
    const entry = entries.find(key)
    if (entry === none) return 'unknown'
    const now = this.#clock.now()
    const isOver = (entries.endsAt[entry] as number) <= now
    if (entries.states[entry] === running) {
      if (!isOver) return 'in_flight'
      entries.settle(entry, released, now + keptMs)
      return 'forgotten'
    }
    if (isOver || entries.states[entry] === released) return 'unknown'
    entries.states[entry] = released
    return 'forgotten'
  }

  async status(key: string): Promise<KeyStatus> {
    checkText(key)
    const entry = this.#entries.find(key)
    if (entry === none || (this.#entries.endsAt[entry] as number) <= this.#clock.now()) {
      return 'unknown'
    }
    if (this.#entries.states[entry] === running) return 'in_flight'
    return this.#entries.states[entry] === completed ? 'completed' : 'unknown'
  }

  #heldBy({ key, owner, fence }: HeldClaim, state: State): number {
    checkText(key)
    checkText(owner)
    const { states, owners, fences } = this.#entries
    const entry = this.#entries.find(key)
    const isIts = states[entry] === state && owners[entry] === owner && fences[entry] === fence
    return isIts ? entry : none
  }

  /** Forgets what is past its retention, one at every claim, and what is over the bound. */
  #makeRoom(now: number): void {
    const entries = this.#entries
    if (entries.oldest !== none && (entries.endsAt[entries.oldest] as number) <= now) {
      entries.remove(entries.oldest)
    }
    while (entries.size > this.#maxEntries && entries.oldest !== none) {
      const { oldest } = entries
      const isKept =
        entries.states[oldest] === completed && (entries.endsAt[oldest] as number) > now
      if (isKept) this.#warnOfEviction()
      entries.remove(oldest)
    }
  }

  #warnOfEviction(): void {
    if (this.#warnedOfEviction) return
    this.#warnedOfEviction = true
    this.#logger.warn(
      `ringhook: memoryStore() is full at ${this.#maxEntries} events and forgets finished ones before their retention is over, so a late repeat may run again. Raise maxEntries.`,
    )
  }
}

/** Every claim of a key raises its fence by one, so that the fence counts the attempts too. */
function claimOf(key: string, owner: string, fence: number): HeldClaim {
  return { state: 'claimed', key, owner, fence, attempt: fence }
}
