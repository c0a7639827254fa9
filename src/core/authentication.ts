import type { KeyObject } from 'node:crypto'
import type { Provider } from '../providers/provider.ts'
import { optionInvalid, type UncheckedOptions } from './checks.ts'
import { RinghookError } from './errors.ts'
import type { DeliveryRequest } from './http.ts'
import type { SecretFunction } from './options.ts'
import { ipRule, type SenderRule, urlTokenRule } from './sender.ts'
import { type SignatureVerifier, signingKey } from './signature.ts'

/** Gives the keys for a request: at once, or from the user's function. */
export type KeySource = (
  request: DeliveryRequest,
) => readonly KeyObject[] | Promise<readonly KeyObject[]>

/** Compiles who may send: the IP rule, which goes by the connection. */
export function checkAllowedIps(
  provider: Provider,
  options: UncheckedOptions,
): SenderRule | undefined {
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
    `urlToken is ${tokens.every((token) => token) ? 'too weak: it takes 16 characters or more, without white space' : 'undefined or blank: is the environment variable set?'} Make one with: node -p "crypto.randomBytes(24).toString('base64url')".`,
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
      if (answer === undefined || answer === null) return []
      const answered: readonly unknown[] = Array.isArray(answer) ? answer : [answer]
      return answered.map(keyOf)
    }
  }
  const secrets: readonly unknown[] = Array.isArray(secret) ? secret : [secret]
  if (secrets.length === 0) throw secretMissing(name)
  const keys = secrets.map(keyOf)
  return () => keys
}

/** Refuses a secret that is missing, no text, or has white space around it. */
export function checkSecretText(value: unknown, provider: string): asserts value is string {
  if (value === undefined || value === null) throw secretMissing(provider)
  if (typeof value !== 'string') throw secretInvalid('The secret is no string.')
  const text = value.trim()
  if (text === '' || text === 'undefined' || text === 'null') throw secretMissing(provider)
  if (text !== value) throw secretInvalid('The secret has white space around it.')
}

function isStrongToken(token: unknown): token is string {
  return typeof token === 'string' && token.length >= 16 && !/\s/.test(token)
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

/** What {@link reasonToDoubt} needs. */
export interface AuthenticationSettings {
  readonly verifier: SignatureVerifier | undefined
  readonly hasUrlToken: SenderRule | undefined
}

/** Why a delivery is not authentic, or `undefined` if it is. */
export function reasonToDoubt(
  { hasUrlToken, verifier }: AuthenticationSettings,
  request: DeliveryRequest,
  body: Uint8Array,
  keys: readonly KeyObject[],
): string | undefined {
  if (hasUrlToken?.(request) === false) {
    return 'its URL has no ?token= that is a urlToken. If the provider sent it: is the URL that it was given complete?'
  }
  if (verifier === undefined || verifier.verify(request.headers, body, keys)) return undefined
  return verifier.explain(request.headers)
}
