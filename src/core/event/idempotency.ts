import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** Turns event ids into store keys. Two tenants may use one id. */
export type KeyMaker = (eventId: string, tenant?: string) => string

/**
 * Between the parts of a readable key. No part has it, and no store, queue, header, URL or shell
 * takes it for anything but a character. BullMQ refuses colons in the ids of its jobs.
 */
const separator = '~'
const longestKey = 64
const plain = /^[\w.-]+$/

/**
 * Returns what makes the store keys of a provider's events. `krosai~evt_1` is the form of what is
 * short and plain: the provider, the id, and before the id the namespace and the tenant if there are
 * any (`krosai~eu~evt_1`, `krosai~eu~acme~evt_1`, `krosai~~acme~evt_1`). Everything else gets the
 * {@link digestKeyMaker digest}. Either way a key has at most 64 characters of ASCII.
 *
 * No two combinations share a key: how many parts a readable key has says which they are, and a
 * digest has no separator.
 */
export function keyMaker(provider: string, namespace: string): KeyMaker {
  const digestOf = digestKeyMaker(provider, namespace)
  const isPlain = plain.test(provider) && (namespace === '' || plain.test(namespace))
  if (!isPlain) return digestOf
  const head = `${provider}${separator}`
  const headOfTenants = `${head}${namespace}${separator}`
  const headOfIds = namespace === '' ? head : headOfTenants
  return function idempotencyKey(eventId, tenant) {
    const isNamed = tenant !== undefined
    const length = isNamed ? headOfTenants.length + tenant.length + 1 : headOfIds.length
    if (length + eventId.length > longestKey || !plain.test(eventId)) {
      return digestOf(eventId, tenant)
    }
    if (!isNamed) return headOfIds + eventId
    return plain.test(tenant)
      ? `${headOfTenants}${tenant}${separator}${eventId}`
      : digestOf(eventId, tenant)
  }
}

/**
 * Returns what makes keys that show nothing of an id: SHA-256, in hex, over the provider, the
 * namespace, the id and the tenant if there is one, each behind its length. For ids that the user's
 * own functions make, which may be phone numbers.
 */
export function digestKeyMaker(provider: string, namespace: string): KeyMaker {
  const head = `${provider.length}:${provider}${namespace.length}:${namespace}`
  return function idempotencyDigest(eventId, tenant) {
    const id = `${head}${eventId.length}:${eventId}`
    // Behind the id: without a tenant the text ends there, so the two forms can't collide.
    const text = tenant === undefined ? id : `${id}${tenant.length}:${tenant}`
    // UTF-8 writes every lone surrogate as the same replacement character; UTF-16 keeps them apart.
    // The two encodings cannot meet: only UTF-16 has a zero byte behind the first digit.
    return sha256(text.isWellFormed() ? text : Buffer.from(text, 'utf16le'))
  }
}

/**
 * Returns an id as text, or `undefined` for what cannot be one. Whole numbers are ids if they are
 * safe: `JSON.parse` has rounded larger ones, so two events might have the same.
 */
export function idText(id: unknown): string | undefined {
  if (typeof id === 'string') return id.trim() === '' ? undefined : id
  return Number.isSafeInteger(id) || typeof id === 'bigint' ? String(id) : undefined
}

/** What an id is that is there and cannot be used, for the log: never its value. */
export function oddId(id: unknown): string | undefined {
  if (id === undefined || id === null || idText(id) !== undefined) return undefined
  if (typeof id === 'string') return 'a blank text'
  if (Number.isInteger(id)) return 'a whole number beyond 2^53, which JSON.parse has rounded'
  if (typeof id === 'number') return 'a number that is not whole'
  return Array.isArray(id) ? 'an array' : `of the type ${typeof id}`
}

/**
 * Returns what events of one call run in order by, or `undefined` for none. Any number will do: if
 * rounding makes two calls one, they only wait for each other.
 */
export function callIdText(callId: unknown): string | undefined {
  return typeof callId === 'number' && Number.isFinite(callId) ? String(callId) : idText(callId)
}

/** The id of an event that its provider gives none: the same bytes are the same event. */
export function bodyId(body: Uint8Array): string {
  return sha256(body)
}

/** Bodies up to this length are checked whole, and longer ones at both ends, half of it each. */
const checkedBytes = 8 * 1024

/**
 * A checksum of a delivery's bytes, to tell a repeat from an event that changed under the same id.
 * It guards nothing: the bytes are authentic already, so a CRC at a third of a hash's cost will do,
 * and of a long body both ends and its length (decision 001). Six printable characters with six bits
 * each: shorter to keep than digits, and quicker to write.
 */
export function fingerprintOf(body: Uint8Array): string {
  const checksum = checksumOf(body)
  return String.fromCharCode(
    sixBits(checksum),
    sixBits(checksum >>> 6),
    sixBits(checksum >>> 12),
    sixBits(checksum >>> 18),
    sixBits(checksum >>> 24),
    sixBits(checksum >>> 30),
  )
}

function checksumOf(body: Uint8Array): number {
  const { length } = body
  if (length <= checkedBytes) return crc32(body)
  const half = checkedBytes / 2
  // The length is where the CRC starts: equal ends of two lengths never have equal checksums.
  return crc32(body.subarray(length - half), crc32(body.subarray(0, half), length))
}

/** The code of a character from `0` to `o`. */
function sixBits(number: number): number {
  return 48 + (number & 63)
}

/** One call instead of `createHash`, which costs three times as much for something so short. */
function sha256(data: string | Uint8Array): string {
  return hash('sha256', data, 'hex')
}
