import assert from 'node:assert/strict'
import type { Claim, HeldClaim, IdempotencyStore } from '../../stores/store.ts'
import type { ManualClock } from '../../testing/manual-clock.ts'

/** One rule of the contract: a test with a store, and a key of its own. */
export type Rule = (name: string, run: (harness: Harness) => Promise<void>) => void

/** What a rule is tried on, and short ways to say what it does. */
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
  /** Makes time pass for the store. */
  pass(ms: number): Promise<void>
}

/** The lease of claims that say nothing else, in ms. */
export const lease = 30_000
/** How long before an end it is looked at: longer than a slow server takes, in ms. */
export const margin = 5_000
export const day = 24 * 60 * 60_000
export const month = 30 * day

let keys = 0

/** Gives a text that is unlike any other, in this process and in others. */
function uniqueName(): string {
  return `contract-${process.pid}-${Date.now()}-${keys++}`
}

/** Sets up a harness around a store. */
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

/** The claim, which must have been won. */
export function held(claim: Claim | undefined): HeldClaim {
  if (claim?.state === 'claimed') return claim
  return assert.fail(`the claim was not won: ${claim?.state}`)
}

/** The claims of a crowd that were won. */
export function wonOf(claims: readonly Claim[]): HeldClaim[] {
  return claims.filter((claim) => claim.state === 'claimed')
}

/** Refuses an answer that is not `in_flight` with a time that the lease can have left. */
export function assertInFlight(claim: Claim, leaseMs = lease): void {
  if (claim.state !== 'in_flight') {
    assert.fail(`the claim was answered ${claim.state}, and should be in_flight`)
  }
  assertBetween(claim.retryAfterMs, 1, leaseMs)
}

export function assertBetween(value: number, least: number, most: number): void {
  assert.ok(value >= least && value <= most, `${value} is not between ${least} and ${most}`)
}
