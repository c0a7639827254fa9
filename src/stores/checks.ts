import { type Bounds, milliseconds, optionInvalid, wholeNumber } from '../core/checks.ts'
import { longestMs } from './limits.ts'

/**
 * Returns a time from now that every server can add to its clock. One that a server can't read would
 * fail everything in the same batch.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkDuration(name: string, ms: number): number {
  return milliseconds(name, ms, storable)
}

const storable: Bounds = { min: 0, max: longestMs }

/**
 * Refuses a key or an owner that isn't a string.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkText(text: string): void {
  if (typeof text !== 'string')
    throw optionInvalid('The key and the owner of a claim must be strings.')
}

/**
 * Refuses a fingerprint that a database might give back changed.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkFingerprint(fingerprint: string): string {
  const isPlain = typeof fingerprint === 'string' && /^[\x20-\x7e]{0,128}$/.test(fingerprint)
  if (isPlain) return fingerprint
  throw optionInvalid(
    'The fingerprint of a claim must be at most 128 printable ASCII characters.',
    'Give a checksum in hex or digits.',
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
  return wholeNumber('limit', limit, { min: 1, max: Number.MAX_SAFE_INTEGER })
}
