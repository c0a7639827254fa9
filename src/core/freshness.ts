import type { DeliveryCode } from './errors.ts'

/** How old and how far in the future a signed timestamp may be. */
export interface FreshnessRule {
  readonly maxAgeMs: number
  readonly clockToleranceMs: number
}

/** A timestamp that was refused. */
export interface StaleTimestamp {
  readonly code: DeliveryCode
  /** Negative for a timestamp in the future; absent for one that cannot be read. */
  readonly ageMs?: number
}

/**
 * Reads a timestamp: a `Date`, or a string in the form of RFC 3339 with its zone. A string without
 * a zone would mean another moment on every server.
 */
export function parseTimestamp(timestamp: unknown): Date | undefined {
  if (timestamp instanceof Date) return Number.isNaN(timestamp.getTime()) ? undefined : timestamp
  if (typeof timestamp !== 'string' || timestamp.length > 64) return undefined
  if (!rfc3339.test(timestamp)) return undefined
  const date = new Date(timestamp)
  return Number.isNaN(date.getTime()) || !isInItsMonth(timestamp) ? undefined : date
}

/** `Date` takes the 31st of November for the 1st of December. */
function isInItsMonth(timestamp: string): boolean {
  // Most days are in every month: a look at four digits, and no text is cut out.
  const day = twoDigits(timestamp, 8)
  if (day <= 28 || (day <= 30 && twoDigits(timestamp, 5) !== 2)) return true
  const [year, month] = [Number(timestamp.slice(0, 4)), twoDigits(timestamp, 5)]
  return day <= new Date(Date.UTC(year, month, 0)).getUTCDate()
}

function twoDigits(text: string, at: number): number {
  return 10 * (text.charCodeAt(at) - digitZero) + text.charCodeAt(at + 1) - digitZero
}

const digitZero = 0x30
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/

/**
 * Refuses a signed timestamp that is missing, malformed, older than events are remembered, or too
 * far ahead. With it, a signed body that was captured can be replayed only while its event is
 * still remembered, and is then a duplicate.
 */
export function checkFreshness(
  sent: unknown,
  timestamp: Date | undefined,
  now: number,
  rule: FreshnessRule,
): StaleTimestamp | undefined {
  if (timestamp === undefined) {
    const missing = sent === undefined || sent === null
    return { code: missing ? 'RINGHOOK_TIMESTAMP_MISSING' : 'RINGHOOK_TIMESTAMP_INVALID' }
  }
  const ageMs = now - timestamp.getTime()
  if (ageMs > rule.maxAgeMs) return { code: 'RINGHOOK_TIMESTAMP_TOO_OLD', ageMs }
  if (-ageMs > rule.clockToleranceMs) return { code: 'RINGHOOK_TIMESTAMP_IN_FUTURE', ageMs }
  return undefined
}
