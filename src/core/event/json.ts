import { isUtf8 } from 'node:buffer'
import type { JsonObject } from '../../providers/provider.ts'
import { isObject } from '../checks.ts'
import type { DeliveryCode } from '../errors.ts'

/** Deeper nesting than this is refused: what runs after us may walk the event by recursion. */
export const maxJsonDepth = 256

const [quote, backslash, openingBracket, closingBracket, openingBrace, closingBrace] =
  Buffer.from('"\\[]{}')

/**
 * Reads an object from JSON in strict UTF-8. Returns the code of what is wrong instead of throwing.
 * `JSON.parse` itself does not recurse, so depth is judged when the text is known to be valid.
 *
 * Keys named `__proto__`, at any depth, are taken out: copied by assignment they would change the
 * prototype of the copy.
 */
export function parseJsonObject(bytes: Uint8Array): JsonObject | DeliveryCode {
  const text = textOf(bytes)
  // Decoding writes a replacement character for every error. Few bodies have one of their own, so
  // few are looked at a second time.
  if (text.includes('\ufffd') && !isUtf8(bytes)) return 'RINGHOOK_BODY_NOT_UTF8'
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'RINGHOOK_BODY_NOT_JSON'
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return 'RINGHOOK_BODY_NOT_JSON'
  }
  if (isDeep(text) && depthOf(bytes) > maxJsonDepth) return 'RINGHOOK_BODY_TOO_DEEP'
  // Such a key stands in the text as it is, or with an escape for one of its letters.
  if (text.includes('__proto__') || text.includes('\\u00')) removePrototypeKeys(value)
  return value as JsonObject
}

function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return buffer.toString('utf8')
}

/** Whether a text has more brackets than levels are allowed. Few have, and they need no closer look. */
function isDeep(text: string): boolean {
  let count = 0
  for (const opening of '[{') {
    for (let at = text.indexOf(opening); at !== -1; at = text.indexOf(opening, at + 1)) {
      if (++count > maxJsonDepth) return true
    }
  }
  return false
}

/**
 * How many levels valid JSON has. By its bytes, at a millisecond for 1 MiB: to walk an object of
 * 100 000 keys costs more than to parse it.
 */
function depthOf(bytes: Uint8Array): number {
  let depth = 0
  let deepest = 0
  let isInString = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === quote) isInString = !isInString
    else if (isInString) {
      if (byte === backslash) at++
    } else if (byte === openingBracket || byte === openingBrace) {
      if (++depth > deepest) deepest = depth
    } else if (byte === closingBracket || byte === closingBrace) depth--
  }
  return deepest
}

/** Recurses no deeper than the levels that are allowed. */
function removePrototypeKeys(value: object): void {
  if (Array.isArray(value)) {
    for (const item of value) if (isObject(item)) removePrototypeKeys(item)
    return
  }
  if (Object.hasOwn(value, '__proto__')) Reflect.deleteProperty(value, '__proto__')
  const record = value as Readonly<Record<string, unknown>>
  // Not Object.values, which takes twice as long where there are many keys.
  for (const key in record) {
    const child = record[key]
    if (isObject(child)) removePrototypeKeys(child)
  }
}
