import { types } from 'node:util'
import type { Provider } from '../providers/provider.ts'
import type { IdempotencyStore } from '../stores/store.ts'
import { longestTimer } from './clock.ts'
import { RinghookError } from './errors.ts'
import { isOfRequest } from './mismatch.ts'
import type { CommonOptions } from './options.ts'
import { isGeneratorFunction } from './returned.ts'
import { nearest } from './routing.ts'

/** The options as the checks see them: whatever was passed, by name. */
export type UncheckedOptions = Partial<
  CommonOptions<Provider, Record<never, never>> & { secret: unknown; allowUnsigned: unknown }
>

const optionNames = [
  'secret',
  'on',
  'events',
  'store',
  'inbox',
  'retry',
  'orderingKey',
  'maxHoldMs',
  'namespace',
  'allowedIps',
  'trustedProxies',
  'urlToken',
  'allowUnsigned',
  'maxBodyBytes',
  'bodyTimeoutMs',
  'ackDeadlineMs',
  'leaseMs',
  'retentionMs',
  'clockToleranceMs',
  'onStoreError',
  'invalidEvents',
  'eventId',
  'onOutcome',
  'logger',
  'logErrors',
  'clock',
]

const minute = 60_000
const day = 24 * 60 * minute

/** The numbers and choices of the options, with their defaults and bounds. */
export interface Limits {
  readonly maxBodyBytes: number
  readonly bodyTimeoutMs: number
  readonly ackDeadlineMs: number
  readonly leaseMs: number
  readonly retentionMs: number
  readonly clockToleranceMs: number
  readonly maxHoldMs: number
}

/** Refuses what `defineProvider` has not made, such as the definition itself. */
export function checkProvider(provider: Provider): void {
  if (types.isMap(provider?.canonicalNames)) return
  throw new RinghookError(
    'RINGHOOK_PROVIDER_INVALID',
    'This is no provider. Give krosai, odis or callkaro, or what defineProvider returned.',
  )
}

/** Refuses options that do not exist: a misspelt `allowedIPs` must not mean "no rule". */
export function checkOptionNames(options: UncheckedOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw optionInvalid('There are no options.', 'Give an object with the secret and the handlers.')
  }
  if (isOfRequest(options)) {
    throw optionInvalid(
      'The options are a request: was krosaiWebhooks itself mounted?',
      'Mount what it returns: krosaiWebhooks(options).',
    )
  }
  for (const name of Object.keys(options)) {
    if (optionNames.includes(name)) continue
    const near = nearest(name, optionNames)
    const hint = near === undefined ? '' : ` Did you mean "${near}"?`
    throw optionInvalid(
      `There is no option "${name}".${hint}`,
      `Options: ${optionNames.join(', ')}.`,
    )
  }
}

/** Fills in the defaults and checks the bounds of everything that is a number. */
export function checkLimits(provider: Provider, options: UncheckedOptions): Limits {
  const { defaults } = provider
  const ackDeadlineMs = whole(
    options,
    'ackDeadlineMs',
    defaults.ackDeadlineMs ?? 10_000,
    10,
    longestTimer,
  )
  return {
    maxBodyBytes: whole(options, 'maxBodyBytes', 1024 * 1024, 1, 64 * 1024 * 1024),
    bodyTimeoutMs: Math.min(
      whole(options, 'bodyTimeoutMs', 10_000, 10, longestTimer),
      ackDeadlineMs,
    ),
    ackDeadlineMs,
    leaseMs: whole(options, 'leaseMs', 30_000, 100, longestTimer),
    retentionMs: whole(
      options,
      'retentionMs',
      defaults.retentionMs ?? 7 * day,
      minute,
      3_650 * day,
    ),
    clockToleranceMs: whole(options, 'clockToleranceMs', 5 * minute, 0, day),
    maxHoldMs: whole(options, 'maxHoldMs', 5 * minute, 0, longestTimer),
  }
}

/** Checks that an option is one of a few words. */
export function checkChoice<Choice extends string>(
  options: UncheckedOptions,
  name: 'onStoreError' | 'invalidEvents',
  choices: readonly Choice[],
  preset: Choice,
): Choice {
  const value = options[name] ?? preset
  const choice = choices.find((candidate) => candidate === value)
  if (choice !== undefined) return choice
  throw optionInvalid(
    `${name} is none of its values.`,
    `Use ${choices.map((c) => `'${c}'`).join(' or ')}.`,
  )
}

/** Checks that options which are to be functions or a string are. */
export function checkShapes(options: UncheckedOptions): void {
  for (const name of ['secret', 'eventId', 'orderingKey', 'onOutcome'] as const) {
    if (!isGeneratorFunction(options[name])) continue
    throw optionInvalid(
      `${name} is a generator function, and calling one runs nothing of it.`,
      'Give a function without the asterisk.',
    )
  }
  for (const name of ['eventId', 'onOutcome'] as const) {
    if (options[name] !== undefined && typeof options[name] !== 'function') {
      throw optionInvalid(`${name} is no function.`, 'Give a function, or leave it out.')
    }
  }
  for (const name of ['on', 'events'] as const) {
    const table: unknown = options[name]
    if (table !== undefined && !isPlainObject(table)) {
      throw optionInvalid(`${name} is no object.`, 'Give an object with event names as its keys.')
    }
  }
  if (options.namespace !== undefined && typeof options.namespace !== 'string') {
    throw optionInvalid('namespace is no string.', 'Give a string, or leave it out.')
  }
  const { clock } = options
  for (const method of ['now', 'setTimeout', 'clearTimeout'] as const) {
    if (clock === undefined || typeof clock?.[method] === 'function') continue
    throw optionInvalid(
      `clock has no method "${method}".`,
      'Give manualClock() in tests, or leave it out.',
    )
  }
  checkLogger(options)
}

function checkLogger({ logger, logErrors }: UncheckedOptions): void {
  if (logErrors !== undefined && typeof logErrors !== 'boolean') {
    throw optionInvalid('logErrors must be true or false.', 'The default is true.')
  }
  if (logger === undefined || logger === false) return
  for (const level of ['debug', 'info', 'warn', 'error'] as const) {
    if (typeof logger?.[level] === 'function') continue
    throw optionInvalid(
      `logger has no method "${level}".`,
      'Give console, pino or the like, or false.',
    )
  }
}

/** What a store can do. */
const operations = ['claim', 'extend', 'complete', 'release', 'forget', 'status'] as const

/** Refuses a store that lacks one of its operations. */
export function checkStore(store: IdempotencyStore): IdempotencyStore {
  for (const operation of operations) {
    if (typeof store?.[operation] === 'function') continue
    throw new RinghookError(
      'RINGHOOK_STORE_INVALID',
      `store has no method "${operation}". Give what memoryStore() or another store factory returned, not the client itself.`,
    )
  }
  return store
}

/** Not a Map, an array or an instance of a class: their entries are not what `Object.entries` gives. */
function isPlainObject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  // Not compared with Object.prototype: in Jest the sandbox has another one.
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function whole(
  options: UncheckedOptions,
  name: keyof Limits,
  preset: number,
  least: number,
  most: number,
): number {
  return wholeNumber(name, options[name], preset, least, most)
}

/** Gives a whole number within bounds, or what is preset where there is none. */
export function wholeNumber(
  name: string,
  given: unknown,
  preset: number,
  least: number,
  most: number,
): number {
  const value = given ?? preset
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) {
    return value as number
  }
  throw optionInvalid(
    `${name} is not a whole number from ${least} to ${most}.`,
    `The default is ${preset}.`,
  )
}

/**
 * Refuses what are no options, or have one that does not exist: a misspelt `concurrency` would be
 * the default.
 */
export function checkArguments(where: string, given: unknown, names: readonly string[]): void {
  const known = `It takes ${names.join(', ')}.`
  if (typeof given !== 'object' || given === null) {
    throw optionInvalid(`${where} was given something that is no object.`, known)
  }
  for (const name of Object.keys(given)) {
    if (!names.includes(name)) throw optionInvalid(`${where} has no option "${name}".`, known)
  }
}

/** A mistake in an option that has no code of its own. */
export function optionInvalid(cause: string, remedy: string): RinghookError {
  return new RinghookError('RINGHOOK_OPTION_INVALID', `${cause} ${remedy}`)
}
