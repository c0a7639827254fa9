import { RinghookError } from '../core/errors.ts'
import { longestMs } from './limits.ts'

/**
 * Gives a time from now that every server can add to its clock. One that a server cannot read would
 * fail all that is in a batch with it.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkDuration(name: string, ms: number): number {
  if (typeof ms === 'number' && ms >= 0 && ms <= longestMs) return ms
  throw invalid(`${name} is no number of milliseconds from 0 to ${longestMs}.`)
}

/**
 * Refuses a key or an owner that is no text.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkText(text: string): void {
  if (typeof text !== 'string') throw invalid('The key or the owner of a claim is no text.')
}

/**
 * Refuses a fingerprint that a database might give back changed.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkFingerprint(fingerprint: string): string {
  if (typeof fingerprint === 'string' && /^[\x20-\x7e]{0,128}$/.test(fingerprint))
    return fingerprint
  throw invalid(
    'The fingerprint of a claim is no text of at most 128 printable ASCII characters. Give a checksum in hex or digits.',
  )
}

/** Whether a claim can be held under this fence. Databases would round others, or read text as numbers. */
export function isFence(fence: number): boolean {
  return Number.isSafeInteger(fence)
}

/**
 * Returns how many entries `prune` may delete: without a limit all that there are.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkPruneLimit(limit: number | undefined): number {
  if (limit === undefined) return Number.POSITIVE_INFINITY
  if (Number.isSafeInteger(limit) && limit >= 1) return limit
  throw invalid(
    'limit must be a whole number from 1. Without it prune() deletes all that is past its retention.',
  )
}

function invalid(message: string): RinghookError {
  return new RinghookError('RINGHOOK_OPTION_INVALID', message)
}
