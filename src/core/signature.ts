import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { SignatureScheme } from '../providers/provider.ts'
import type { RequestHeaders } from './http.ts'

/** More signatures than this in one header are not looked at: each costs a comparison. */
const maxSignatures = 16

/** Checks the signature of a delivery. Made once per receiver by {@link signatureVerifier}. */
export interface SignatureVerifier {
  /** Whether `body` was signed with one of `keys`. Never throws, whatever the headers hold. */
  verify(headers: RequestHeaders, body: Uint8Array, keys: readonly KeyObject[]): boolean
  /** Why the headers of a delivery did not verify, for the log: never what was sent. */
  explain(headers: RequestHeaders): string
}

/**
 * Gives the verifier of a signature scheme. The HMAC is taken over the bytes as they arrived, and
 * the digests are compared in constant time as text of a fixed length: decoding what was presented
 * would accept more than one spelling of a digest, and `Buffer.from(x, 'hex')` stops at the first
 * bad digit without a word.
 */
export function signatureVerifier(scheme: SignatureScheme): SignatureVerifier {
  const { header, prefix = '', separator, signedPrefix, encoding } = scheme
  const digestLength = encoding === 'hex' ? 64 : 44
  const signatureLength = prefix.length + digestLength
  const isDigit = digitTable(encoding)
  // Reused for every delivery: the verification runs to its end without giving way to another. Both
  // hold the prefix too, so that a signature is written as it is and not cut first.
  const presentedBytes = Buffer.alloc(signatureLength)
  const expectedBytes = Buffer.alloc(signatureLength)
  expectedBytes.write(prefix, 'latin1')

  /** Whether a text is a signature of exactly the right form. Characters beyond ASCII are in no table. */
  function isSignature(text: string): boolean {
    if (text.length !== signatureLength || !text.startsWith(prefix)) return false
    for (let index = prefix.length; index < signatureLength; index++) {
      if (isDigit[text.charCodeAt(index)] !== 1) return false
    }
    return true
  }

  /** The signatures that are presented. Anything of another form is left out. */
  function presentedIn(value: string): readonly string[] {
    if (separator === undefined) return isSignature(value) ? [value] : []
    return value.split(separator, maxSignatures).filter(isSignature)
  }

  function matches(candidate: string): boolean {
    presentedBytes.write(candidate, 'latin1')
    return timingSafeEqual(presentedBytes, expectedBytes)
  }

  return {
    verify(headers, body, keys) {
      const value = headers[header]
      if (typeof value !== 'string') return false
      const isOne = isSignature(value)
      const several = isOne ? [] : presentedIn(value)
      if (!isOne && several.length === 0) return false
      const before = signedPrefix === undefined ? '' : textBefore(signedPrefix, headers)
      if (before === undefined) return false
      // Stops at the first match: that tells a sender which of its own secrets it used, and an
      // attacker, who can match none, nothing.
      for (const key of keys) {
        expectedBytes.write(digest(key, before, body, encoding), prefix.length, 'latin1')
        if (isOne ? matches(value) : several.some(matches)) return true
      }
      return false
    },
    explain(headers) {
      const value = headers[header]
      if (value === undefined) return `it has no ${header} header`
      if (typeof value !== 'string' || presentedIn(value).length === 0) {
        const form = encoding === 'hex' ? '64 lower-case hex digits' : '44 characters of base64'
        return `its ${header} header is not of the form ${prefix}<${form}>`
      }
      if (signedPrefix !== undefined && textBefore(signedPrefix, headers) === undefined) {
        return 'another header that the signature covers is missing or malformed'
      }
      return 'its signature matches no secret. If the provider sent it: is the secret that of this endpoint, and does anything change the body on its way?'
    },
  }
}

/** What the provider's own function makes of headers that anybody can send. */
function textBefore(
  signedPrefix: NonNullable<SignatureScheme['signedPrefix']>,
  headers: RequestHeaders,
): string | undefined {
  try {
    return signedPrefix(headers)
  } catch {
    return undefined
  }
}

/** The header value that a sender with `key` writes. For the testing kit. */
export function signatureOf(
  scheme: SignatureScheme,
  key: KeyObject,
  headers: RequestHeaders,
  body: Uint8Array,
): string {
  const before = scheme.signedPrefix?.(headers) ?? ''
  return `${scheme.prefix ?? ''}${digest(key, before, body, scheme.encoding)}`
}

/** The HMAC's key for a secret, wrapped once: a Buffer as key costs seven times as much per use. */
export function signingKey(scheme: SignatureScheme, secret: string): KeyObject {
  const bytes = scheme.key?.(secret) ?? Buffer.from(secret, 'utf8')
  // Node would take it, and then anybody could sign.
  if (bytes.length === 0) throw new RangeError('the key is empty')
  return createSecretKey(bytes)
}

function digest(
  key: KeyObject,
  before: string,
  body: Uint8Array,
  encoding: 'hex' | 'base64',
): string {
  const hmac = createHmac('sha256', key)
  if (before !== '') hmac.update(before, 'utf8')
  return hmac.update(body).digest(encoding)
}

function digitTable(encoding: 'hex' | 'base64'): Uint8Array {
  const digits =
    encoding === 'hex'
      ? '0123456789abcdef'
      : 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/='
  const table = new Uint8Array(128)
  for (const digit of digits) table[digit.charCodeAt(0)] = 1
  return table
}
