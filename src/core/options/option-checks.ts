import { types } from 'node:util'
import type { Provider } from '../../providers/provider.ts'
import type { IdempotencyStore } from '../../stores/store.ts'
import {
  checkOptional,
  checkOptions,
  isObject,
  missingMethod,
  optionInvalid,
  wholeNumber,
} from '../checks.ts'
import { longestTimer } from '../clock.ts'
import { RinghookError } from '../errors.ts'
import { isGeneratorFunction } from '../execution/handler-result.ts'
import { isFrameworkArgument } from '../request/framework-arguments.ts'
import type { InboxOptions } from './options.ts'

/** The options before they are checked. */
export type UncheckedOptions = Partial<
  InboxOptions<Provider, Record<never, never>> & { secret: unknown; allowUnsigned: unknown }
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

/** Refuses anything that `defineProvider` didn't return, such as the definition itself. */
export function checkProvider(provider: Provider): void {
  if (types.isMap(provider?.canonicalNames)) return
  throw new RinghookError(
    'RINGHOOK_PROVIDER_INVALID',
    'The provider must be krosai, odis, callkaro, or what defineProvider() returned.',
  )
}

/** Refuses anything but known options: a misspelt `allowedIPs` must not mean "no rule". */
export function checkOptionNames(options: UncheckedOptions): void {
  if (isFrameworkArgument(options)) {
    throw optionInvalid(
      'The options are a request: was krosaiWebhooks itself mounted?',
      'Mount what it returns: krosaiWebhooks(options).',
    )
  }
  checkOptions('A receiver', options, optionNames)
}

/** Checks every option that is a number, and fills in the defaults. */
export function checkLimits(provider: Provider, options: UncheckedOptions): Limits {
  const { defaults } = provider
  const limit = (name: keyof Limits, preset: number, min: number, max: number) =>
    wholeNumber(name, options[name], { default: preset, min, max })
  const ackDeadlineMs = limit('ackDeadlineMs', defaults.ackDeadlineMs ?? 10_000, 10, longestTimer)
  const bodyTimeoutMs = limit('bodyTimeoutMs', 10_000, 10, longestTimer)
  return {
    maxBodyBytes: limit('maxBodyBytes', 1024 * 1024, 1, 64 * 1024 * 1024),
    bodyTimeoutMs: Math.min(bodyTimeoutMs, ackDeadlineMs),
    ackDeadlineMs,
    leaseMs: limit('leaseMs', 30_000, 100, longestTimer),
    retentionMs: limit('retentionMs', defaults.retentionMs ?? 7 * day, minute, 3_650 * day),
    clockToleranceMs: limit('clockToleranceMs', 5 * minute, 0, day),
    maxHoldMs: limit('maxHoldMs', 5 * minute, 0, longestTimer),
  }
}

/** Returns an option that is one of a few words, or its default. */
export function checkChoice<Choice extends string>(
  options: UncheckedOptions,
  name: 'onStoreError' | 'invalidEvents',
  choices: readonly Choice[],
  preset: Choice,
): Choice {
  const value = options[name] ?? preset
  const choice = choices.find((candidate) => candidate === value)
  if (choice !== undefined) return choice
  throw optionInvalid(`${name} must be ${choices.map((word) => `'${word}'`).join(' or ')}.`)
}

/** Checks the options that must be functions, objects or strings. */
export function checkShapes(options: UncheckedOptions): void {
  for (const name of ['secret', 'eventId', 'orderingKey', 'onOutcome'] as const) {
    if (!isGeneratorFunction(options[name])) continue
    throw optionInvalid(
      `${name} is a generator function, and calling one runs none of its code.`,
      'Give a function without the asterisk.',
    )
  }
  checkOptional('eventId', options.eventId, 'function')
  checkOptional('onOutcome', options.onOutcome, 'function')
  checkOptional('namespace', options.namespace, 'string')
  for (const name of ['on', 'events'] as const) {
    const table: unknown = options[name]
    if (table === undefined || isPlainObject(table)) continue
    throw optionInvalid(`${name} must be an object with event names as its keys.`)
  }
  const { clock } = options
  if (clock !== undefined) {
    const missing = missingMethod(clock, ['now', 'setTimeout', 'clearTimeout'])
    if (missing !== undefined) {
      throw optionInvalid(
        `clock has no method "${missing}".`,
        'Give manualClock() in tests, or leave it out.',
      )
    }
  }
  checkLogger(options)
}

function checkLogger({ logger, logErrors }: UncheckedOptions): void {
  checkOptional('logErrors', logErrors, 'boolean')
  if (logger === undefined || logger === false) return
  const missing = missingMethod(logger, ['debug', 'info', 'warn', 'error'])
  if (missing === undefined) return
  throw optionInvalid(
    `logger has no method "${missing}".`,
    'Give console, pino or the like, or false.',
  )
}

/** Refuses a store that lacks one of its operations. */
export function checkStore(store: IdempotencyStore): IdempotencyStore {
  const missing = missingMethod(store, operations)
  if (missing === undefined) return store
  throw new RinghookError(
    'RINGHOOK_STORE_INVALID',
    `store has no method "${missing}". Give what memoryStore() or another store factory returned, not the client itself.`,
  )
}

const operations = ['claim', 'extend', 'complete', 'release', 'forget', 'status'] as const

/** Refuses a Map, an array or an instance of a class: `Object.entries` doesn't return their entries. */
function isPlainObject(value: unknown): boolean {
  if (!isObject(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  // Not compared with Object.prototype: Jest's sandbox has another one.
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
