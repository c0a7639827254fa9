import { hash } from 'node:crypto'
import { RinghookError } from '../core/errors.ts'

/**
 * The form in which a database keeps a key or an owner: at most 128 plain characters, which no
 * collation, index or encoding can bend. What is longer or has other characters becomes `#` and its
 * SHA-256; no plain text has a `#`.
 */
export function storedForm(text: string): string {
  if (text.length <= 128 && /^[\w.:-]+$/.test(text)) return text
  // UTF-8 would write every lone surrogate as the same character.
  return `#${hash('sha256', Buffer.from(text, 'utf16le'), 'hex')}`
}

/**
 * Refuses a fingerprint that a database might give back changed.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkFingerprint(fingerprint: string): string {
  if (/^[\x20-\x7e]{0,128}$/.test(fingerprint)) return fingerprint
  throw new RinghookError(
    'RINGHOOK_OPTION_INVALID',
    'The fingerprint of a claim is no text of at most 128 printable ASCII characters. Give a checksum in hex or digits.',
  )
}

/**
 * Refuses a limit of `prune` that is no whole number from 1.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkPruneLimit(limit: number): number {
  if (Number.isSafeInteger(limit) && limit >= 1) return limit
  throw new RinghookError(
    'RINGHOOK_OPTION_INVALID',
    'limit is not a whole number from 1. The default is 10000.',
  )
}
