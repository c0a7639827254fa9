import { checkOptions, isRecord, optionInvalid, wholeNumber } from '../checks.ts'
import { longestTimer } from '../clock.ts'
import { didYouMean } from '../did-you-mean.ts'

/** How a failed attempt of an inbox's worker is repeated. What is left out comes from the receiver's. */
export interface RetryOptions {
  /** How often a delivery is tried before it becomes a dead letter, counted when it is claimed. Default: 15. From 1 to 100. */
  readonly maxAttempts?: number
  /** The wait after the first failure, in ms; it doubles with every other. Default: 1 000. From 0. */
  readonly initialDelayMs?: number
  /** The longest wait, in ms. Default: 3 600 000. */
  readonly maxDelayMs?: number
}

/** The same with nothing left out. */
export type RetryPolicy = Required<RetryOptions>

/** In all one and a half to three hours, as chance shortens the waits: an outage that people are woken for is over by then. */
const preset: RetryPolicy = { maxAttempts: 15, initialDelayMs: 1_000, maxDelayMs: 3_600_000 }
const names = Object.keys(preset)
/** The most attempts that can be asked for. */
export const mostAttempts = 100

/** What the `retry` option comes to: the receiver's policy, and those of single keys of `on`. */
export interface RetryPolicies {
  readonly common: RetryPolicy
  readonly byKey: ReadonlyMap<string, RetryPolicy>
}

/**
 * Checks the `retry` option.
 *
 * @param keys - The keys of `on`.
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkRetry(retry: unknown, keys: readonly string[]): RetryPolicies {
  if (retry === undefined) return { common: preset, byKey: new Map() }
  const { on = {}, ...own } = checkOptions('retry', retry, [...names, 'on'])
  if (!isRecord(on)) throw optionInvalid('retry.on must be an object.', 'Its keys are those of on.')
  const common = policyAt('retry', own, preset)
  const byKey = new Map<string, RetryPolicy>()
  for (const [key, override] of Object.entries(on)) {
    if (!keys.includes(key)) throw keyUnknown(key, keys)
    byKey.set(key, policyAt(`retry.on["${key}"]`, override, common))
  }
  return { common, byKey }
}

/**
 * Returns the wait before the next attempt: doubled each time, and shortened at random by up to a
 * half, so that deliveries that failed together don't return together.
 */
export function delayAfter({ initialDelayMs, maxDelayMs }: RetryPolicy, attempt: number): number {
  const full = Math.min(maxDelayMs, initialDelayMs * 2 ** Math.min(attempt - 1, 40))
  return Math.round(full * (0.5 + Math.random() / 2))
}

/**
 * Checks one policy, and fills in missing values from another.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function policyAt(where: string, given: unknown, inherited: RetryPolicy): RetryPolicy {
  const options = checkOptions(where, given, names)
  const whole = (name: keyof RetryPolicy, min: number, max: number) =>
    wholeNumber(`${where}.${name}`, options[name], { default: inherited[name], min, max })
  return {
    maxAttempts: whole('maxAttempts', 1, mostAttempts),
    initialDelayMs: whole('initialDelayMs', 0, longestTimer),
    maxDelayMs: whole('maxDelayMs', 0, longestTimer),
  }
}

function keyUnknown(key: string, keys: readonly string[]): Error {
  return optionInvalid(
    `retry.on has "${key}", which is not a key of on.${didYouMean(key, keys)}`,
    'Use the same key as in on.',
  )
}
