import type { KeyObject } from 'node:crypto'
import type { Provider } from '../providers/provider.ts'
import type { IdempotencyStore } from '../stores/store.ts'
import { RinghookError } from './errors.ts'
import type { DeliveryRequest } from './http.ts'
import type { CommonOptions, SecretFunction } from './options.ts'
import { nearest } from './routing.ts'
import { ipRule, type SenderRule, urlTokenRule } from './sender.ts'
import { signingKey } from './signature.ts'

/** The options as the checks see them: whatever was passed, by name. */
export type UncheckedOptions = Partial<
  CommonOptions<Provider, Record<never, never>> & { secret: unknown; allowUnsigned: unknown }
>

/** Gives the keys for a request: at once, or from the user's function. */
export type KeySource = (
  request: DeliveryRequest,
) => readonly KeyObject[] | Promise<readonly KeyObject[]>

const optionNames = [
  'secret',
  'on',
  'events',
  'store',
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
  'clock',
]

const minute = 60_000
const day = 24 * 60 * minute
/** The longest wait that a timer can hold: 2^31 - 1 ms. */
const longestTimer = 2_147_483_647

/** The numbers and choices of the options, with their defaults and bounds. */
export interface Limits {
  readonly maxBodyBytes: number
  readonly bodyTimeoutMs: number
  readonly ackDeadlineMs: number
  readonly leaseMs: number
  readonly retentionMs: number
  readonly clockToleranceMs: number
}

/** Refuses options that do not exist: a misspelt `allowedIPs` must not mean "no rule". */
export function checkOptionNames(options: UncheckedOptions): void {
  for (const name of Object.keys(options)) {
    if (optionNames.includes(name)) continue
    const near = nearest(name, optionNames)
    const hint = near === undefined ? '' : ` Did you mean "${near}"?`
    throw optionInvalid(`There is no option "${name}".${hint}`, `Options: ${optionNames.join(', ')}.`)
  }
}

/** Fills in the defaults and checks the bounds of everything that is a number. */
export function checkLimits(provider: Provider, options: UncheckedOptions): Limits {
  const { defaults } = provider
  const ackDeadlineMs = whole(options, 'ackDeadlineMs', defaults.ackDeadlineMs ?? 10_000, 10, longestTimer)
  return {
    maxBodyBytes: whole(options, 'maxBodyBytes', 1024 * 1024, 1, 64 * 1024 * 1024),
    bodyTimeoutMs: Math.min(whole(options, 'bodyTimeoutMs', 10_000, 10, longestTimer), ackDeadlineMs),
    ackDeadlineMs,
    leaseMs: whole(options, 'leaseMs', 30_000, 100, longestTimer),
    retentionMs: whole(options, 'retentionMs', defaults.retentionMs ?? 7 * day, minute, 3_650 * day),
    clockToleranceMs: whole(options, 'clockToleranceMs', 5 * minute, 0, day),
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
  throw optionInvalid(`${name} is none of its values.`, `Use ${choices.map((c) => `'${c}'`).join(' or ')}.`)
}

/** Checks that options which are to be functions or a string are. */
export function checkShapes(options: UncheckedOptions): void {
  for (const name of ['eventId', 'onOutcome'] as const) {
    if (options[name] !== undefined && typeof options[name] !== 'function') {
      throw optionInvalid(`${name} is no function.`, 'Give a function, or leave it out.')
    }
  }
  for (const name of ['on', 'events'] as const) {
    const table: unknown = options[name]
    if (table !== undefined && (typeof table !== 'object' || table === null)) {
      throw optionInvalid(`${name} is no object.`, 'Give an object with event names as its keys.')
    }
  }
  if (options.namespace !== undefined && typeof options.namespace !== 'string') {
    throw optionInvalid('namespace is no string.', 'Give a string, or leave it out.')
  }
  const { logger } = options
  if (logger === undefined || logger === false) return
  for (const level of ['debug', 'info', 'warn', 'error'] as const) {
    if (typeof logger?.[level] === 'function') continue
    throw optionInvalid(`logger has no method "${level}".`, 'Give console, pino or the like, or false.')
  }
}

/** Refuses a store that lacks one of the four operations. */
export function checkStore(store: IdempotencyStore): IdempotencyStore {
  for (const operation of ['claim', 'extend', 'complete', 'release'] as const) {
    if (typeof store?.[operation] === 'function') continue
    throw new RinghookError(
      'RINGHOOK_STORE_INVALID',
      `store has no method "${operation}". Give what memoryStore() or another store factory returned, not the client itself.`,
    )
  }
  return store
}

/** Compiles who may send: the IP rule, which goes by the connection. */
export function checkAllowedIps(provider: Provider, options: UncheckedOptions): SenderRule | undefined {
  const { allowedIps, trustedProxies } = options
  if (allowedIps === undefined) {
    if (trustedProxies === undefined) return undefined
    throw ipRuleInvalid('trustedProxies has no effect without allowedIps. Set allowedIps, or leave both out.')
  }
  const addresses = allowedIps === 'documented' ? provider.delivery.addresses : allowedIps
  if (addresses === undefined) {
    throw ipRuleInvalid(`allowedIps is 'documented', but ${provider.name} documents no addresses. List them yourself.`)
  }
  if (!Array.isArray(addresses) || addresses.length === 0) {
    throw ipRuleInvalid('allowedIps lists no address and would refuse everybody. List the addresses, or leave it out.')
  }
  return ipRule(addresses, trustedProxies)
}

/** Compiles the rule for `urlToken`. */
export function checkUrlToken(options: UncheckedOptions): SenderRule | undefined {
  if (!('urlToken' in options)) return undefined
  const { urlToken } = options
  const tokens = Array.isArray(urlToken) ? urlToken : [urlToken]
  if (tokens.length > 0 && tokens.every(isStrongToken)) return urlTokenRule(tokens)
  throw new RinghookError(
    'RINGHOOK_URL_TOKEN_INVALID',
    'urlToken is missing or too weak: it takes 16 characters or more, without white space. Make one with: node -p "crypto.randomBytes(24).toString(\'base64url\')", and check that the environment variable is set.',
  )
}

/** Refuses a receiver for an unsigned provider that nothing protects, and rules that do not fit together. */
export function checkUnsigned(provider: Provider, options: UncheckedOptions): void {
  if (provider.signature !== false) {
    if (!('allowUnsigned' in options)) return
    throw optionInvalid(`allowUnsigned has no place here: ${provider.name} signs its deliveries.`, 'Leave it out and give the secret.')
  }
  if ('secret' in options) {
    throw optionInvalid(`secret has no place here: ${provider.name} signs nothing.`, 'Use urlToken or allowedIps.')
  }
  if (options.allowUnsigned !== undefined && options.allowUnsigned !== true) {
    throw optionInvalid('allowUnsigned is something else than true.', 'Set it to true, or leave it out.')
  }
  const isProtected = 'urlToken' in options || options.allowedIps !== undefined
  if (isProtected || options.allowUnsigned === true) return
  throw new RinghookError(
    'RINGHOOK_UNSIGNED_PROVIDER',
    `${provider.name} signs nothing, so anybody who knows the URL could send. Set urlToken (and add ?token=… to the URL that you give the provider) or allowedIps, or allowUnsigned: true if something in front of this server keeps others out.`,
  )
}

/** Compiles the secrets: keys made once, or a function asked per request. */
export function checkSecret(provider: Provider, secret: unknown): KeySource {
  const { signature, name } = provider
  if (signature === false) return () => []
  const keyOf = (value: unknown) => {
    checkSecretText(value, name)
    try {
      return signingKey(signature, value)
    } catch {
      throw secretInvalid(`The secret is not in the form that ${name} gives out.`)
    }
  }
  if (typeof secret === 'function') {
    return async function keysForRequest({ url, headers }) {
      const answer = await (secret as SecretFunction)({ url, headers })
      if (answer === undefined) return []
      return (typeof answer === 'string' ? [answer] : Array.from(answer)).map(keyOf)
    }
  }
  const secrets: readonly unknown[] = Array.isArray(secret) ? secret : [secret]
  if (secrets.length === 0) throw secretMissing(name)
  const keys = secrets.map(keyOf)
  return () => keys
}

function checkSecretText(value: unknown, provider: string): asserts value is string {
  if (value === undefined || value === null) throw secretMissing(provider)
  if (typeof value !== 'string') throw secretInvalid('The secret is no string.')
  const text = value.trim()
  if (text === '' || text === 'undefined' || text === 'null') throw secretMissing(provider)
  if (text !== value) throw secretInvalid('The secret has white space around it.')
}

function isStrongToken(token: unknown): token is string {
  return typeof token === 'string' && token.length >= 16 && !/\s/.test(token)
}

function whole(
  options: UncheckedOptions,
  name: keyof Limits,
  preset: number,
  least: number,
  most: number,
): number {
  const value: unknown = options[name] ?? preset
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) {
    return value as number
  }
  throw optionInvalid(`${name} is not a whole number from ${least} to ${most}.`, `The default is ${preset}.`)
}

function optionInvalid(cause: string, remedy: string): RinghookError {
  return new RinghookError('RINGHOOK_OPTION_INVALID', `${cause} ${remedy}`)
}

function ipRuleInvalid(message: string): RinghookError {
  return new RinghookError('RINGHOOK_IP_RULE_INVALID', message)
}

function secretMissing(provider: string): RinghookError {
  return new RinghookError(
    'RINGHOOK_SECRET_MISSING',
    `There is no secret for ${provider}: it is undefined or blank. Copy the signing secret from ${provider} into an environment variable, and check that the process sees it.`,
  )
}

function secretInvalid(cause: string): RinghookError {
  return new RinghookError(
    'RINGHOOK_SECRET_INVALID',
    `${cause} Give exactly the text that the provider shows, without quotes, spaces or line ends.`,
  )
}
