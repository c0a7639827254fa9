import { didYouMean } from './did-you-mean.ts'
import { RinghookError } from './errors.ts'

/** The bounds of a number, and the default that a message names. */
export interface Bounds {
  readonly min: number
  /** Default: no upper bound. */
  readonly max?: number
  readonly default?: number
}

/** Returns whether a value is an object or an array. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

/** Returns whether a value is an object as JSON knows it: neither `null` nor an array. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return isObject(value) && !Array.isArray(value)
}

/** Creates the error for a mistake in an option that has no code of its own. */
export function optionInvalid(cause: string, remedy?: string): RinghookError {
  const message = remedy === undefined ? cause : `${cause} ${remedy}`
  return new RinghookError('RINGHOOK_OPTION_INVALID', message)
}

/**
 * Returns options that are an object with known names. A misspelt `concurrency` would silently be
 * the default.
 *
 * @param where - What takes the options, as in `receiver.start()`.
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkOptions(
  where: string,
  given: unknown,
  names: readonly string[],
): Readonly<Record<string, unknown>> {
  const options = `Options: ${names.join(', ')}.`
  if (!isRecord(given)) throw optionInvalid(`${where} needs an object of options.`, options)
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue
    throw optionInvalid(`${where} has no option "${name}".${didYouMean(name, names)}`, options)
  }
  return given
}

/**
 * Returns a whole number within bounds, or the default if it is missing.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function wholeNumber(name: string, given: unknown, bounds: Bounds): number {
  const value = given === undefined ? bounds.default : given
  if (Number.isInteger(value) && isWithin(value, bounds)) return value
  throw outOfBounds(name, 'whole number', bounds)
}

/**
 * Returns a number of milliseconds within bounds, whole or not, or the default if it is missing.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function milliseconds(name: string, given: unknown, bounds: Bounds): number {
  const value = given === undefined ? bounds.default : given
  if (isWithin(value, bounds)) return value
  throw outOfBounds(name, 'number of milliseconds', bounds)
}

/**
 * Refuses a value of another type. Missing is fine.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkOptional(
  name: string,
  value: unknown,
  type: 'boolean' | 'function' | 'string',
): void {
  if (value === undefined || typeof value === type) return
  throw optionInvalid(`${name} must be a ${type}.`, 'Leave it out for the default.')
}

/** Returns the first of the names under which a value has no method. */
export function missingMethod<Name extends string>(
  value: unknown,
  names: readonly Name[],
): Name | undefined {
  const methods = value as Readonly<Record<string, unknown>> | null | undefined
  return names.find((name) => typeof methods?.[name] !== 'function')
}

function isWithin(
  value: unknown,
  { min, max = Number.POSITIVE_INFINITY }: Bounds,
): value is number {
  return typeof value === 'number' && value >= min && value <= max
}

function outOfBounds(name: string, what: string, bounds: Bounds): RinghookError {
  const { default: preset } = bounds
  return optionInvalid(
    `${name} must be a ${inWords(what, bounds)}.`,
    preset === undefined ? undefined : `The default is ${preset}.`,
  )
}

function inWords(what: string, { min, max }: Bounds): string {
  if (max !== undefined) return `${what} from ${min} to ${max}`
  return min === 0 ? `non-negative ${what}` : `${what}, at least ${min}`
}
