/**
 * The idempotency store: who may run an event's handler, and which events are completed.
 *
 * A key is absent, then in flight (held by an owner, under a fence, until its lease runs out), then
 * completed (until its retention is over). Every operation is atomic and conditional:
 *
 * - Of any number of simultaneous claims for one key exactly one is `claimed`.
 * - A key that was released, whose lease ran out, or whose retention is over can be claimed again,
 *   with a fence that is higher by one; with fence 1 where the store has forgotten the key by then.
 * - A claim repeated by the owner that holds the key gets the same fence: the reply to its first may
 *   have been lost.
 * - `extend`, `complete` and `release` with a stale owner or fence change nothing and give `false`.
 * - A key may be any string of any length. Two keys that differ in one character are two keys.
 * - `complete` counts after the lease ran out, as long as nobody took over, and again when it is
 *   repeated by the same owner. `extend` does not revive a lease that ran out and was taken over.
 *
 * `storeContract` of `ringhook/conformance` holds a store to all of this.
 */
export interface IdempotencyStore {
  /**
   * Claims a key for `leaseMs`, or says why it cannot be claimed. At once, and not by way of a
   * promise, in a store that has nothing to wait for: that saves a delivery several turns.
   */
  claim(key: string, options: ClaimOptions): Promise<Claim> | Claim
  /** Sets the lease to end `leaseMs` from now. `false`: the claim is no longer held. */
  extend(claim: HeldClaim, options: { readonly leaseMs: number }): Promise<boolean>
  /**
   * Completes the key for `retentionMs`, even if the lease would have lasted longer.
   * `false`: the claim is no longer held.
   *
   * @param options.transaction - The caller's open database transaction: the mark commits or rolls
   * back with it. A store whose driver is synchronous has marked when it returns, and returns the
   * boolean itself, so that it can be called inside a synchronous transaction.
   * @throws {RinghookError} RINGHOOK_STORE_NOT_TRANSACTIONAL in stores that cannot;
   * RINGHOOK_TRANSACTION_INVALID for what is no open transaction.
   */
  complete(claim: HeldClaim, options: CompleteOptions): Promise<boolean> | boolean
  /** Gives the key back, so that the next claim gets it at once. `false`: the claim is no longer held. */
  release(claim: HeldClaim): Promise<boolean>
  /** Makes a completed key free to be claimed again, with the next fence. A held key stays held. */
  forget(key: string): Promise<Forgotten>
  /** Says how far a key has come, and changes nothing: no lease, no fence, no time. */
  status(key: string): Promise<KeyStatus>
  /**
   * Optional: a store that lacks it, or whose client cannot, has no `context.transaction`. Opens a transaction on the
   * store's own client, runs `work` in it and commits. What `work` throws is thrown again, after a
   * rollback. `complete` takes what `work` is given. A connection that is lost meanwhile makes this
   * reject, and nothing else.
   *
   * @returns what `work` returned, once it is committed.
   * @throws {RinghookError} every StoreCode; RINGHOOK_TRANSACTION_INVALID if `work` returns a promise
   * and the driver is synchronous.
   */
  transaction?<Result>(work: (transaction: unknown) => Result | Promise<Result>): Promise<Result>
}

/** A store in a database: it outlives the process, and several processes share it. */
export interface PersistentStore extends IdempotencyStore {
  claim(key: string, options: ClaimOptions): Promise<Claim>
  /**
   * Creates what the store needs in its database, unless it is there. For every start: also when
   * several instances start together.
   */
  migrate(): Promise<void>
  /**
   * Deletes entries that are past their retention until none is left, and returns how many they
   * were. In small batches, so that no delivery waits for it. Call it from time to time, hourly will
   * do, or let the store do so: `pruneEveryMs`.
   *
   * @param options.limit - Deletes at most so many. Default: no limit. From 1.
   */
  prune(options?: { readonly limit?: number }): Promise<number>
}

/**
 * What {@link IdempotencyStore.forget} found: `forgotten`, the next claim gets it; `in_flight`,
 * somebody holds it and nothing was changed; `unknown`, there was nothing to forget.
 */
export type Forgotten = 'forgotten' | 'in_flight' | 'unknown'

/**
 * What {@link IdempotencyStore.status} found: `completed`, within its retention; `in_flight`, held
 * under a lease that has not run out; `unknown`, everything else: the next claim gets it.
 */
export type KeyStatus = 'completed' | 'in_flight' | 'unknown'

export interface ClaimOptions {
  /** Who claims: different for every delivery, the same when one delivery repeats its claim. At most 128 characters of ASCII. */
  readonly owner: string
  readonly leaseMs: number
  /** A checksum of the delivery's bytes, kept to tell a repeat from an event that changed. At most 128 characters of ASCII. */
  readonly fingerprint: string
}

export interface CompleteOptions {
  readonly retentionMs: number
  readonly transaction?: unknown
}

/** A claim that was won. */
export interface HeldClaim {
  readonly state: 'claimed'
  readonly key: string
  readonly owner: string
  /** Higher by one for every owner that the key had: a guard against owners that lost it. */
  readonly fence: number
  /** Which claim of the key this is, from 1. */
  readonly attempt: number
}

/** The answer to a claim. */
export type Claim =
  | HeldClaim
  | {
      readonly state: 'in_flight'
      /** What is left of the holder's lease, in ms. */
      readonly retryAfterMs: number
    }
  | {
      readonly state: 'completed'
      /** The fingerprint of the delivery that completed it. */
      readonly fingerprint: string
    }
