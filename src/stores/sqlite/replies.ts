import type { RinghookError } from '../../core/errors.ts'
import { storeFailure } from '../../databases/failures.ts'
import type { Claim, KeyStatus } from '../store.ts'

/** What a row that could not be claimed says of it. */
export function claimElsewhere(row: unknown[] | undefined, now: number): Claim {
  const [state, endsAt, fingerprint] = row ?? []
  if (Number(state) === 1 && typeof fingerprint === 'string') {
    return { state: 'completed', fingerprint }
  }
  const retryAfterMs = Number(endsAt) - now
  if (Number(state) !== 0 || !(retryAfterMs > 0)) throw nonsense()
  return { state: 'in_flight', retryAfterMs }
}

/** How a key stands whose row this is, by its state and its end. */
export function statusOf(row: unknown[] | undefined, now: number): KeyStatus {
  const [state, endsAt] = row ?? []
  if (row === undefined || !(Number(endsAt) > now)) return 'unknown'
  switch (Number(state)) {
    case 0:
      return 'in_flight'
    case 1:
      return 'completed'
    case 2:
      return 'unknown'
    default:
      throw nonsense()
  }
}

/** The error for a row that the store cannot have written. */
export function nonsense(): RinghookError {
  return storeFailure('sqliteStore', 'RINGHOOK_STORE_FAILED', new Error('a row makes no sense'))
}
