import type { Claim, Forgotten, KeyStatus } from '../../stores/store.ts'
import { RinghookError } from '../errors.ts'

/**
 * Refuses a claim in an unknown state, or one for another key or owner: a store's mistake must not
 * decide whether a handler runs.
 *
 * @throws {RinghookError} RINGHOOK_STORE_INVALID
 */
export function checkClaim(claim: Claim, key: string, owner: string): Claim {
  switch (claim?.state) {
    case 'claimed':
      if (claim.key !== key || claim.owner !== owner) break
      if (isCount(claim.fence) && isCount(claim.attempt)) return claim
      break
    case 'in_flight':
      if (Number.isFinite(claim.retryAfterMs)) return claim
      break
    case 'completed':
      if (typeof claim.fingerprint === 'string') return claim
  }
  throw strangeAnswer('claim')
}

/** Refuses a result of `extend`, `complete` or `release` that is not a boolean: `undefined` doesn't mean "no". */
export function checkFlag(flag: unknown, operation: string): boolean {
  if (typeof flag === 'boolean') return flag
  throw strangeAnswer(operation)
}

/** Refuses an unknown result of `forget`. */
export function checkForgotten(answer: Forgotten): Forgotten {
  if (['forgotten', 'in_flight', 'unknown'].includes(answer)) return answer
  throw strangeAnswer('forget')
}

/** Refuses an unknown result of `status`. */
export function checkStatus(answer: KeyStatus): KeyStatus {
  if (['completed', 'in_flight', 'unknown'].includes(answer)) return answer
  throw strangeAnswer('status')
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1
}

function strangeAnswer(operation: string): RinghookError {
  return new RinghookError(
    'RINGHOOK_STORE_INVALID',
    `The store returned something from ${operation}() that its contract does not allow. Test it with storeContract of ringhook/conformance.`,
  )
}
