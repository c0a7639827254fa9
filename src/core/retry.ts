import { optionInvalid, wholeNumber } from './checks.ts'
import { longestTimer } from './clock.ts'
import { nearest } from './routing.ts'

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
  const { on = {}, ...own } = objectAt('retry', retry)
  const common = policyAt('retry', own, preset)
  const byKey = new Map<string, RetryPolicy>()
  for (const [key, override] of Object.entries(objectAt('retry.on', on))) {
    if (!keys.includes(key)) throw keyUnknown(key, keys)
    const name = `retry.on["${key}"]`
    byKey.set(key, policyAt(name, objectAt(name, override), common))
  }
  return { common, byKey }
}

/**
 * Gives the wait before the next attempt: doubled each time, and shortened by chance by up to a
 * half, so that what failed together does not come again together.
 */
export function delayAfter({ initialDelayMs, maxDelayMs }: RetryPolicy, attempt: number): number {
  const full = Math.min(maxDelayMs, initialDelayMs * 2 ** Math.min(attempt - 1, 40))
  return Math.round(full * (0.5 + Math.random() / 2))
}

/**
 * Checks one policy, and fills in from another what it leaves out.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function policyAt(
  where: string,
  given: Readonly<Record<string, unknown>>,
  inherited: RetryPolicy,
): RetryPolicy {
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue
    throw optionInvalid(`${where} has no "${name}".`, `It takes ${names.join(', ')}.`)
  }
  const whole = (name: keyof RetryPolicy, least: number, most: number) =>
    wholeNumber(`${where}.${name}`, given[name], inherited[name], least, most)
  return {
    maxAttempts: whole('maxAttempts', 1, mostAttempts),
    initialDelayMs: whole('initialDelayMs', 0, longestTimer),
    maxDelayMs: whole('maxDelayMs', 0, longestTimer),
  }
}

/** Refuses what is no object. */
export function objectAt(where: string, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>
  }
  throw optionInvalid(`${where} is no object.`, 'Give an object such as { maxAttempts: 5 }.')
}

function keyUnknown(key: string, keys: readonly string[]): Error {
  const near = nearest(key, keys)
  const hint = near === undefined ? '' : ` Did you mean "${near}"?`
  return optionInvalid(
    `retry.on holds "${key}", which is no key of on.${hint}`,
    'Use the key under which the handler stands in on.',
  )
}
