import { isUtf8 } from 'node:buffer'
import type { JsonObject } from '../providers/provider.ts'
import type { DeliveryCode } from './errors.ts'

/** Deeper nesting than this is refused: what runs after us may walk the event by recursion. */
export const maxJsonDepth = 256

/**
 * Reads an object from JSON in strict UTF-8. Gives the code of what is wrong instead of throwing.
 * `JSON.parse` itself does not recurse, so depth is judged on its result.
 *
 * Keys named `__proto__`, at any depth, are taken out: copied by assignment they would change the
 * prototype of the copy.
 */
export function parseJsonObject(bytes: Uint8Array): JsonObject | DeliveryCode {
  if (!isUtf8(bytes)) return 'RINGHOOK_BODY_NOT_UTF8'
  const text = textOf(bytes)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'RINGHOOK_BODY_NOT_JSON'
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return 'RINGHOOK_BODY_NOT_JSON'
  }
  // Each level takes an opening and a closing byte, so a short body cannot be too deep. And the key
  // stands in the text as it is, or with an escape for one of its letters.
  const mayBeUnsafe =
    bytes.length > 2 * maxJsonDepth || text.includes('__proto__') || text.includes('\\u00')
  if (mayBeUnsafe && !makeSafe(value, maxJsonDepth)) return 'RINGHOOK_BODY_TOO_DEEP'
  return value as JsonObject
}

function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return buffer.toString('utf8')
}

/** Takes out the keys that are no data. `false`: there are more levels than that. */
function makeSafe(value: object, levels: number): boolean {
  if (levels === 0) return false
  if (Object.hasOwn(value, '__proto__')) Reflect.deleteProperty(value, '__proto__')
  for (const child of Object.values(value)) {
    if (typeof child === 'object' && child !== null && !makeSafe(child, levels - 1)) return false
  }
  return true
}
