import assert from 'node:assert/strict'
import type { Claim, HeldClaim, IdempotencyStore } from '../../stores/store.ts'
import type { ManualClock } from '../../testing/manual-clock.ts'

/** One rule of the contract: a test with a store and its own key. */
export type Rule = (name: string, run: (harness: Harness) => Promise<void>) => void

/** What a rule runs on, with shortcuts for common steps. */
export interface Harness {
  readonly store: IdempotencyStore
  readonly clock: ManualClock
  /** A key that no other rule uses, in any process. */
  readonly key: string
  claim(key: string, owner: string, fingerprint?: string): Promise<Claim>
  /** Claims a key that must be free. */
  hold(key: string, owner: string): Promise<HeldClaim>
  /** Claims a key that must be free, and completes it for 30 days. */
  completeNew(key: string, owner: string): Promise<HeldClaim>
  /** Lets time pass for the store. */
  pass(ms: number): Promise<void>
}

/** The default lease, in ms. */
export const lease = 30_000
/** How long before an end the rules look, in ms. Longer than a slow server takes. */
export const margin = 5_000
export const day = 24 * 60 * 60_000
export const month = 30 * day

let keys = 0

/** Returns a name that is unique across processes. */
function uniqueName(): string {
  return `contract-${process.pid}-${Date.now()}-${keys++}`
}

/** Returns the harness for a store. */
export function harnessFor(
  store: IdempotencyStore,
  clock: ManualClock,
  pass: (ms: number) => Promise<void>,
): Harness {
  const claim: Harness['claim'] = async (key, owner, fingerprint = 'f') =>
    store.claim(key, { owner, leaseMs: lease, fingerprint })
  const hold: Harness['hold'] = async (key, owner) => held(await claim(key, owner))
  const completeNew: Harness['completeNew'] = async (key, owner) => {
    const mine = await hold(key, owner)
    assert.equal(await store.complete(mine, { retentionMs: month }), true)
    return mine
  }
  return { store, clock, key: uniqueName(), claim, hold, completeNew, pass }
}

/** Returns the claim, or fails if it was not won. */
export function held(claim: Claim | undefined): HeldClaim {
  if (claim?.state === 'claimed') return claim
  return assert.fail(`the claim was not won: ${claim?.state}`)
}

/** Returns the claims that were won. */
export function wonOf(claims: readonly Claim[]): HeldClaim[] {
  return claims.filter((claim) => claim.state === 'claimed')
}

/** Fails unless the answer is `in_flight` with a plausible rest of the lease. */
export function assertInFlight(claim: Claim, leaseMs = lease): void {
  if (claim.state !== 'in_flight') {
    assert.fail(`the claim was answered ${claim.state}, and should be in_flight`)
  }
  assertBetween(claim.retryAfterMs, 1, leaseMs)
}

export function assertBetween(value: number, least: number, most: number): void {
  assert.ok(value >= least && value <= most, `${value} is not between ${least} and ${most}`)
}
