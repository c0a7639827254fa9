import type { KeyObject } from 'node:crypto'
import type { Provider } from '../../providers/provider.ts'
import { optionInvalid } from '../checks.ts'
import { RinghookError } from '../errors.ts'
import type { UncheckedOptions } from '../options/option-checks.ts'
import type { SecretFunction } from '../options/options.ts'
import type { CheckedRequest } from '../request/request.ts'
import { type IpAllowlist, ipAllowlist } from './ip-allowlist.ts'
import { type Keyring, keyringOf, noKeys } from './keyring.ts'
import { flawIn, secretKeyMaker, secretMissing } from './secrets.ts'
import type { SignatureVerifier, Verification } from './signature.ts'
import { type UrlTokenRule, urlTokenRule } from './url-token.ts'

/** Returns the keys for a request: at once, or from the user's function. */
export type KeySource = (request: CheckedRequest) => Keyring | Promise<Keyring>

/** Compiles the rule for `allowedIps`, which goes by the connection. */
export function checkAllowedIps(
  provider: Provider,
  options: UncheckedOptions,
): IpAllowlist | undefined {
  const { allowedIps, trustedProxies } = options
  if (allowedIps === undefined) {
    if (trustedProxies === undefined) return undefined
    throw ipRuleInvalid(
      'trustedProxies has no effect without allowedIps. Set allowedIps, or leave both out.',
    )
  }
  const addresses = allowedIps === 'documented' ? provider.delivery.addresses : allowedIps
  if (addresses === undefined) {
    throw ipRuleInvalid(
      `allowedIps is 'documented', but ${provider.name} documents no addresses. List them yourself.`,
    )
  }
  if (!Array.isArray(addresses)) {
    throw ipRuleInvalid(`allowedIps is no array. Write it as ['203.0.113.7'], or 'documented'.`)
  }
  if (addresses.length === 0) {
    throw ipRuleInvalid(
      'allowedIps lists no address and would refuse everybody. List the addresses, or leave it out.',
    )
  }
  return ipAllowlist(addresses, trustedProxies)
}

/** Compiles the rule for `urlToken`. */
export function checkUrlToken(options: UncheckedOptions): UrlTokenRule | undefined {
  if (!('urlToken' in options)) return undefined
  const { urlToken } = options
  const tokens: readonly unknown[] = Array.isArray(urlToken) ? urlToken : [urlToken]
  if (tokens.length === 0) throw tokenInvalid('is an empty list')
  for (const token of tokens) {
    const flaw = flawInToken(token)
    if (flaw !== undefined) throw tokenInvalid(flaw)
  }
  return urlTokenRule(tokens as readonly string[])
}

function flawInToken(token: unknown): string | undefined {
  if (!token) return 'is undefined or blank: is the environment variable set?'
  if (typeof token !== 'string') return 'is not a string'
  if (token.length < 16) return 'is too short: it takes 16 characters or more'
  return /\s/.test(token) ? 'has white space in it' : flawIn(token)
}

function tokenInvalid(cause: string): RinghookError {
  return new RinghookError(
    'RINGHOOK_URL_TOKEN_INVALID',
    `urlToken ${cause}${cause.endsWith('?') ? '' : '.'} Make one with: node -p "crypto.randomBytes(24).toString('base64url')".`,
  )
}

/** Refuses a receiver for an unsigned provider that nothing protects, and rules that do not fit together. */
export function checkUnsigned(provider: Provider, options: UncheckedOptions): void {
  if (provider.signature !== false) {
    if (!('allowUnsigned' in options)) return
    throw optionInvalid(
      `allowUnsigned has no place here: ${provider.name} signs its deliveries.`,
      'Leave it out and give the secret.',
    )
  }
  if ('secret' in options) {
    throw optionInvalid(
      `secret has no place here: ${provider.name} signs nothing.`,
      'Use urlToken or allowedIps.',
    )
  }
  if (options.allowUnsigned !== undefined && options.allowUnsigned !== true) {
    throw optionInvalid(
      'allowUnsigned is something else than true.',
      'Set it to true, or leave it out.',
    )
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
  if (provider.signature === false) return () => noKeys
  const keyOf = secretKeyMaker(provider)
  if (typeof secret === 'function') {
    return async function keysForRequest({ url, headers }) {
      const answer = await (secret as SecretFunction)({ url, headers })
      return keyringOf(answer, keyOf)
    }
  }
  // Copied: `map` would leave out the holes of an array.
  const secrets: readonly unknown[] = Array.isArray(secret) ? [...secret] : [secret]
  if (secrets.length === 0) throw secretMissing(provider.name)
  const keyring = { keys: secrets.map(keyOf) }
  return () => keyring
}

function ipRuleInvalid(message: string): RinghookError {
  return new RinghookError('RINGHOOK_IP_RULE_INVALID', message)
}

/** What {@link authenticate} needs. */
export interface AuthenticationSettings {
  readonly verifier: SignatureVerifier | undefined
  readonly hasUrlToken: UrlTokenRule | undefined
}

/** A provider that signs nothing: no key was asked for. */
const unsigned: Verification = { keyIndex: undefined }

/**
 * Whether a delivery is authentic, and by which key. The signature is checked even if the token is
 * wrong already: how long it takes does not tell a sender what was wrong.
 */
export function authenticate(
  { hasUrlToken, verifier }: AuthenticationSettings,
  request: CheckedRequest,
  body: Uint8Array,
  keys: readonly KeyObject[],
): Verification {
  const hasToken = hasUrlToken === undefined || hasUrlToken(request.url)
  const verified = verifier?.verify(request.headers, body, keys) ?? unsigned
  if (hasToken) return verified
  return {
    reason:
      'its URL does not have exactly one ?token= that is a urlToken. If the provider sent it: is the URL that it was given complete?',
  }
}
