import { type Clock, systemClock } from '../core/clock.ts'
import { RinghookError } from '../core/errors.ts'
import { type Logger, safeLogger } from '../core/log.ts'
import { checkOptions } from '../databases/options.ts'
import { checkDuration, checkFingerprint, checkText } from './checks.ts'
import { keptMs } from './limits.ts'
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
  /** How many events are remembered. Default: 100 000, about 29 MB. From 1. */
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
  checkOptions('memoryStore', options, optionNames)
  return new MemoryStore(options)
}

/**
 * A key: held by an owner, or settled and remembered for a while. One flat object, and the claims
 * that callers get are made from it: a million of them are to stay below 300 bytes each.
 */
interface Entry {
  readonly key: string
  readonly owner: string
  readonly fence: number
  readonly fingerprint: string
  /** `released` keys are kept for their fence. */
  state: 'running' | 'completed' | 'released'
  /** When the lease ends, or when a settled entry is forgotten. */
  endsAt: number
  /** The neighbours in the order in which entries settled. */
  older: Entry | undefined
  newer: Entry | undefined
}

const optionNames = ['maxEntries', 'clock', 'logger']

class MemoryStore implements IdempotencyStore {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #maxEntries: number
  readonly #entries = new Map<string, Entry>()
  #oldest: Entry | undefined
  #newest: Entry | undefined
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
    const entry = this.#entries.get(key)
    if (entry?.state === 'running') {
      if (entry.owner === owner) {
        entry.endsAt = now + leaseMs
        return claimOf(entry)
      }
      const leftMs = entry.endsAt - now
      if (leftMs > 0) return { state: 'in_flight', retryAfterMs: leftMs }
    }
    if (entry?.state === 'completed' && entry.endsAt > now) {
      return { state: 'completed', fingerprint: entry.fingerprint }
    }
    if (entry !== undefined) this.#forget(entry)
    const taken: Entry = {
      key,
      owner,
      fence: (entry?.fence ?? 0) + 1,
      fingerprint,
      state: 'running',
      endsAt: now + leaseMs,
      older: undefined,
      newer: undefined,
    }
    this.#entries.set(key, taken)
    this.#makeRoom(now)
    return claimOf(taken)
  }

  async extend(claim: HeldClaim, { leaseMs }: { readonly leaseMs: number }): Promise<boolean> {
    checkDuration('leaseMs', leaseMs)
    const entry = this.#heldBy(claim, 'running')
    if (entry === undefined) return false
    entry.endsAt = this.#clock.now() + leaseMs
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
    const entry = this.#heldBy(claim, 'running')
    if (entry === undefined) {
      // A completion whose reply was lost may be repeated by the one who made it.
      const completed = this.#heldBy(claim, 'completed')
      return completed !== undefined && completed.endsAt > this.#clock.now()
    }
    this.#settle(entry, 'completed', retentionMs)
    return true
  }

  async release(claim: HeldClaim): Promise<boolean> {
    const entry = this.#heldBy(claim, 'running')
    if (entry === undefined) return false
    this.#settle(entry, 'released', keptMs)
    return true
  }

  async forget(key: string): Promise<Forgotten> {
    checkText(key)
    const entry = this.#entries.get(key)
    const isOver = entry === undefined || entry.endsAt <= this.#clock.now()
    if (entry?.state === 'running') {
      if (!isOver) return 'in_flight'
      this.#settle(entry, 'released', keptMs)
      return 'forgotten'
    }
    if (isOver || entry.state === 'released') return 'unknown'
    entry.state = 'released'
    return 'forgotten'
  }

  async status(key: string): Promise<KeyStatus> {
    checkText(key)
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.endsAt <= this.#clock.now()) return 'unknown'
    if (entry.state === 'running') return 'in_flight'
    return entry.state === 'completed' ? 'completed' : 'unknown'
  }

  #heldBy(claim: HeldClaim, state: Entry['state']): Entry | undefined {
    checkText(claim.key)
    checkText(claim.owner)
    const entry = this.#entries.get(claim.key)
    const isIts =
      entry?.state === state && entry.owner === claim.owner && entry.fence === claim.fence
    return isIts ? entry : undefined
  }

  #settle(entry: Entry, state: 'completed' | 'released', keepMs: number): void {
    entry.state = state
    entry.endsAt = this.#clock.now() + keepMs
    entry.older = this.#newest
    if (this.#newest === undefined) this.#oldest = entry
    else this.#newest.newer = entry
    this.#newest = entry
  }

  /** Takes an entry out of the Map and, if it had settled, from among its neighbours. */
  #forget(entry: Entry): void {
    this.#entries.delete(entry.key)
    if (entry.state === 'running') return
    if (entry.older === undefined) this.#oldest = entry.newer
    else entry.older.newer = entry.newer
    if (entry.newer === undefined) this.#newest = entry.older
    else entry.newer.older = entry.older
  }

  /** Forgets what is past its retention, one at every claim, and what is over the bound. */
  #makeRoom(now: number): void {
    if (this.#oldest !== undefined && this.#oldest.endsAt <= now) this.#forget(this.#oldest)
    while (this.#entries.size > this.#maxEntries && this.#oldest !== undefined) {
      if (this.#oldest.state === 'completed' && this.#oldest.endsAt > now) this.#warnOfEviction()
      this.#forget(this.#oldest)
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
function claimOf({ key, owner, fence }: Entry): HeldClaim {
  return { state: 'claimed', key, owner, fence, attempt: fence }
}
