import { hash } from 'node:crypto'
import { checkText } from './checks.ts'

/**
 * The form in which a database keeps a key or an owner: at most 128 plain characters, which no
 * collation, index or encoding can bend. What is longer or has other characters becomes `#` and its
 * SHA-256; no plain text has a `#`.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID for what is no text.
 */
export function storedForm(text: string): string {
  checkText(text)
  if (text.length <= 128 && /^[\w.:~-]+$/.test(text)) return text
  // UTF-8 would write every lone surrogate as the same character.
  return `#${hash('sha256', Buffer.from(text, 'utf16le'), 'hex')}`
}
