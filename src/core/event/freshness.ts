import { types } from 'node:util'
import type { DeliveryCode } from '../errors.ts'

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

/** A longer text is not a time. Fractions of a second may have any number of digits below that. */
const maxLength = 1_000
const form = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/

/** `2026-11-30T23:59:59Z`, and the same with milliseconds: what nearly every sender writes. */
const plainLength = 20
const plainLengthMs = 24

/**
 * Reads a timestamp: a `Date`, or a string in the form of RFC 3339 with its zone, to the millisecond.
 * A string without a zone would mean another moment on every server.
 *
 * Not by `Date`, which takes 24:00, the 31st of November and offsets of 99 hours for other moments,
 * and refuses leap seconds. `:60` is the second that follows.
 */
export function parseTimestamp(timestamp: unknown): Date | undefined {
  // Not by `instanceof`: in Jest a Date of the sandbox is not an instance of Node's.
  if (types.isDate(timestamp)) return Number.isNaN(timestamp.getTime()) ? undefined : timestamp
  if (typeof timestamp !== 'string' || timestamp.length > maxLength) return undefined
  return parsePlain(timestamp) ?? parseAny(timestamp)
}

/**
 * Reads the usual form digit by digit. `undefined`: the text has another form, or isn't a time, or has
 * a year below 100, which `Date.UTC` reads as 19xx.
 */
function parsePlain(text: string): Date | undefined {
  const hasMs = text.length === plainLengthMs
  if (!(hasMs || text.length === plainLength) || !hasPlainMarks(text, hasMs)) return undefined
  const year = 100 * twoDigits(text, 0) + twoDigits(text, 2)
  const month = twoDigits(text, 5)
  const day = twoDigits(text, 8)
  const hour = twoDigits(text, 11)
  const minute = twoDigits(text, 14)
  const second = twoDigits(text, 17)
  const ms = hasMs ? 10 * twoDigits(text, 20) + (twoDigits(text, 21) % 10) : 0
  // Written so that what isn't a number fails every one of them.
  const isDay = year >= 100 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)
  if (!(isDay && hour <= 23 && minute <= 59 && second <= 60 && ms >= 0)) return undefined
  return new Date(Date.UTC(year, month - 1, day, hour, minute, second, ms))
}

function hasPlainMarks(text: string, hasMs: boolean): boolean {
  return (
    text[4] === '-' &&
    text[7] === '-' &&
    text[10] === 'T' &&
    text[13] === ':' &&
    text[16] === ':' &&
    (!hasMs || text[19] === '.') &&
    text.endsWith('Z')
  )
}

/** Reads any form of RFC 3339. */
function parseAny(timestamp: string): Date | undefined {
  if (!form.test(timestamp)) return undefined
  const year = 100 * twoDigits(timestamp, 0) + twoDigits(timestamp, 2)
  const month = twoDigits(timestamp, 5)
  const day = twoDigits(timestamp, 8)
  const hour = twoDigits(timestamp, 11)
  const minute = twoDigits(timestamp, 14)
  const second = twoDigits(timestamp, 17)
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined
  if (hour > 23 || minute > 59 || second > 60) return undefined
  const offset = offsetOf(timestamp)
  if (offset === undefined) return undefined
  const ms = millisecondsOf(timestamp)
  // Four centuries later and back again: Date.UTC takes the year 99 for 1999.
  const later = Date.UTC(year + 400, month - 1, day, hour, minute - offset, second, ms)
  return new Date(later - fourCenturiesMs)
}

const fourCenturiesMs = 146_097 * 24 * 60 * 60_000

function daysIn(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
}

/** The zone in minutes, or `undefined` for one that there is not. */
function offsetOf(text: string): number | undefined {
  const end = text.length
  const sign = text[end - 6]
  if (sign !== '+' && sign !== '-') return 0
  const hours = twoDigits(text, end - 5)
  const minutes = twoDigits(text, end - 2)
  if (hours > 23 || minutes > 59) return undefined
  return sign === '+' ? 60 * hours + minutes : -60 * hours - minutes
}

/** The first three digits of the fraction: the others are left out, not rounded. */
function millisecondsOf(text: string): number {
  if (text[19] !== '.') return 0
  let ms = 0
  let weight = 100
  for (let at = 20; weight >= 1 && isDigit(text.charCodeAt(at)); at++) {
    ms += weight * (text.charCodeAt(at) - digitZero)
    weight /= 10
  }
  return ms
}

function isDigit(code: number): boolean {
  return code >= digitZero && code <= digitZero + 9
}

/** NaN for anything but two digits. */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at)
  const ones = text.charCodeAt(at + 1)
  if (!(isDigit(tens) && isDigit(ones))) return Number.NaN
  return 10 * (tens - digitZero) + ones - digitZero
}

const digitZero = 0x30

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
