import {
  createHmac,
  createSecretKey,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'
import { types } from 'node:util'
import type { SignatureScheme } from '../../providers/provider.ts'
import { whereThrown } from '../error-text.ts'
import type { RequestHeaders } from '../request/http.ts'

/** More signatures than this in one header are not looked at: each costs a comparison. */
const maxSignatures = 16

/** A delivery that verified, with the position of its key; or why it did not, for the log. */
export type Verification = { readonly keyIndex: number | undefined } | { readonly reason: string }

/** Checks the signature of a delivery. Made once per receiver by {@link signatureVerifier}. */
export interface SignatureVerifier {
  /**
   * Whether `body` was signed with one of `keys`. Never throws, whatever the headers hold.
   *
   * Does the same work whether the signature is missing, malformed, wrong or right, and whether there
   * is a key or none: an HMAC over the body with each key, or with one that nobody knows.
   */
  verify(headers: RequestHeaders, body: Uint8Array, keys: readonly KeyObject[]): Verification
}

/** What stands before the body in the signed text, or why that is not known. */
type TextBefore = { readonly text: string } | { readonly reason: string }

/**
 * Returns the verifier for a signature scheme. The HMAC is taken over the bytes as they arrived, and
 * the signatures are compared in constant time as text of a fixed length: decoding what was presented
 * would accept more than one way to write a digest, and `Buffer.from(x, 'hex')` silently stops at the
 * first bad digit.
 */
export function signatureVerifier(scheme: SignatureScheme): SignatureVerifier {
  const { header, prefix = '', separator, signedPrefix, encoding } = scheme
  const signatureLength = prefix.length + (encoding === 'hex' ? 64 : 44)
  // Stands in when there are no keys, so an unknown tenant takes as long as a known one.
  const standIns = [createSecretKey(randomBytes(32))]
  // Reused for every delivery: a verification runs to its end without yielding. Both hold the prefix
  // too, so a signature is written as it is and not cut first.
  const expectedBytes = Buffer.from(prefix + '0'.repeat(signatureLength - prefix.length), 'utf8')
  const presentedBytes = Buffer.alloc(expectedBytes.length)
  const digestAt = Buffer.byteLength(prefix, 'utf8')

  /** The signatures that are presented: every text of the right length. */
  function presentedIn(value: unknown): readonly string[] {
    if (typeof value !== 'string') return []
    if (value.length === signatureLength) return [value]
    if (separator === undefined || isRepeated(value)) return []
    return value.split(separator, maxSignatures).filter((text) => text.length === signatureLength)
  }

  /**
   * Whether a candidate of the right length is the expected signature, character for character: in
   * UTF-8 no two texts share their bytes. Latin-1 would keep the low byte of U+0131 and read a `1`.
   * A candidate whose last character doesn't fit leaves the end of an earlier one in place.
   */
  function matches(candidate: string): boolean {
    const isWhole = presentedBytes.write(candidate, 'utf8') === presentedBytes.length
    return timingSafeEqual(presentedBytes, expectedBytes) && isWhole
  }

  /** The first key that one of `presented` was made with, or -1. Tries all of them. */
  function indexOfKey(
    presented: readonly string[],
    keys: readonly KeyObject[],
    before: string,
    body: Uint8Array,
  ): number {
    let found = -1
    for (const [index, key] of keys.entries()) {
      expectedBytes.write(digest(key, before, body, encoding), digestAt, 'latin1')
      for (const candidate of presented) if (matches(candidate) && found === -1) found = index
    }
    return found
  }

  /** Why a header holds no signature of the right form. `undefined`: it holds one. */
  function flawInForm(value: unknown, presented: readonly string[]): string | undefined {
    const isForm = encoding === 'hex' ? hexForm : base64Form
    const isSignature = (text: string) =>
      text.startsWith(prefix) && isForm.test(text.slice(prefix.length))
    if (presented.some(isSignature)) return undefined
    if (value === undefined) return `it has no ${header} header`
    if (typeof value === 'string' && separator !== undefined && isRepeated(value)) {
      return `its ${header} header was sent more than once, or has a comma with a space behind it`
    }
    const form = encoding === 'hex' ? '64 lower-case hex digits' : '44 characters of base64'
    return `its ${header} header is not of the form ${prefix}<${form}>`
  }

  return {
    verify(headers, body, keys) {
      const value = headers[header]
      const presented = presentedIn(value)
      const before = signedPrefix === undefined ? nothing : textBefore(signedPrefix, headers)
      const text = 'text' in before ? before.text : ''
      const keyIndex = indexOfKey(presented, keys.length === 0 ? standIns : keys, text, body)
      if (keyIndex !== -1 && keys.length > 0 && 'text' in before) return { keyIndex }
      const flaw = flawInForm(value, presented)
      if (flaw !== undefined) return { reason: flaw }
      if ('reason' in before) return before
      return keys.length === 0 ? noKey : noMatch
    },
  }
}

/** What a digest looks like, to explain a refusal. Neither decides anything. */
const hexForm = /^[\da-f]{64}$/
const base64Form = /^[A-Za-z\d+/=]{44}$/

const nothing: TextBefore = { text: '' }

const noKey = {
  reason:
    'the secret function returned no secret for it. If the provider sent it: does the function know the tenant of this URL?',
}
const noMatch = {
  reason:
    'its signature matches no secret. If the provider sent it: is the secret that of this endpoint, and does anything change the body on its way?',
}

/**
 * Whether a header came more than once: Node joins the values with a comma and a space. A sender
 * that may write several signatures writes its separator alone.
 */
function isRepeated(value: string): boolean {
  return value.includes(', ')
}

/** What the provider's own function makes of headers that anybody can send. */
function textBefore(
  signedPrefix: NonNullable<SignatureScheme['signedPrefix']>,
  headers: RequestHeaders,
): TextBefore {
  let text: unknown
  try {
    text = signedPrefix(headers)
  } catch (error) {
    return { reason: `the provider's signedPrefix threw: ${whereThrown(error)}` }
  }
  if (typeof text === 'string') return { text }
  if (text === undefined || text === null) {
    return { reason: 'another header that the signature covers is missing or malformed' }
  }
  // Its rejection must not end the process.
  if (types.isPromise(text)) text.catch(() => {})
  return { reason: "the provider's signedPrefix returned something that is not a string" }
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

/**
 * Returns the HMAC's key for a secret, wrapped once: a Buffer as key costs seven times as much per use.
 *
 * @throws {RangeError} for a key that can be guessed
 */
export function signingKey(scheme: SignatureScheme, secret: string): KeyObject {
  const bytes: unknown = scheme.key === undefined ? Buffer.from(secret, 'utf8') : scheme.key(secret)
  if (types.isPromise(bytes)) bytes.catch(() => {})
  if (!types.isUint8Array(bytes)) throw new TypeError('signature.key must return a Uint8Array')
  // Node takes an empty key, and then anybody could sign.
  if (bytes.length === 0) throw new RangeError('The key that the secret stands for is empty')
  if (scheme.key !== undefined) checkKeyBytes(bytes)
  return createSecretKey(bytes)
}

/** Six bytes are what eight characters of base64 stand for. */
const minKeyBytes = 6

/** HMAC fills a key up with zeros: a key of zeros is the empty key, and zeros at its end add nothing. */
function checkKeyBytes(bytes: Uint8Array): void {
  const length = bytes.findLastIndex((byte) => byte !== 0) + 1
  if (length >= minKeyBytes && new Set(bytes.subarray(0, length)).size > 2) return
  throw new RangeError(
    `The key that the secret stands for is too weak: it has fewer than ${minKeyBytes} bytes, or the same ones again and again`,
  )
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
