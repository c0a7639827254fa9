import { isUtf8 } from 'node:buffer'
import type { JsonObject } from '../providers/provider.ts'
import type { DeliveryCode } from './errors.ts'

/** Deeper nesting than this is refused: what runs after us may walk the event by recursion. */
export const maxJsonDepth = 256

/**
 * Reads an object from JSON in strict UTF-8. Gives the code of what is wrong instead of throwing.
 * `JSON.parse` itself does not recurse, so depth is judged on its result.
 */
export function parseJsonObject(bytes: Uint8Array): JsonObject | DeliveryCode {
  if (!isUtf8(bytes)) return 'RINGHOOK_BODY_NOT_UTF8'
  let value: unknown
  try {
    value = JSON.parse(textOf(bytes))
  } catch {
    return 'RINGHOOK_BODY_NOT_JSON'
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return 'RINGHOOK_BODY_NOT_JSON'
  }
  // Each level takes an opening and a closing byte, so a short body cannot be too deep.
  if (bytes.length > 2 * maxJsonDepth && isDeeperThan(value, maxJsonDepth)) {
    return 'RINGHOOK_BODY_TOO_DEEP'
  }
  return value as JsonObject
}

function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return buffer.toString('utf8')
}

function isDeeperThan(value: object, levels: number): boolean {
  if (levels === 0) return true
  for (const child of Object.values(value)) {
    if (typeof child === 'object' && child !== null && isDeeperThan(child, levels - 1)) return true
  }
  return false
}
