import type { IncomingMessage } from 'node:http'
import { types } from 'node:util'
import getRawBody from 'raw-body'
import { type Clock, DelayQueue } from './clock.ts'
import type { DeliveryCode } from './errors.ts'
import type { ByteStream, DeliveryRequest, RequestHeaders } from './http.ts'

/** What is still taken from a sender whose delivery was refused, so that it can read the answer. */
const abandonedBytes = 16 * 1024 * 1024
const abandonedMs = 2_000

/** Refuses a body by its headers, before a byte of it was read. The content type decides nothing. */
export function refuseBody(headers: RequestHeaders, maxBodyBytes: number): DeliveryCode | undefined {
  const encoding = headers['content-encoding']
  if (encoding !== undefined && !(typeof encoding === 'string' && /^\s*(identity)?\s*$/i.test(encoding))) {
    return 'RINGHOOK_BODY_ENCODED'
  }
  // Node's parser has checked the number and that there is one.
  return Number(headers['content-length'] ?? 0) > maxBodyBytes ? 'RINGHOOK_BODY_TOO_LARGE' : undefined
}

/** Gives the bytes of a delivery, or the code of why there are none. */
export type BodyReader = (
  request: DeliveryRequest,
  receivedAtMs: number,
) => Uint8Array | DeliveryCode | Promise<Uint8Array | DeliveryCode>

/** Gives the reader for bodies of at most `maxBodyBytes` that arrive within `bodyTimeoutMs`. */
export function bodyReader(
  clock: Clock,
  { maxBodyBytes, bodyTimeoutMs }: { readonly maxBodyBytes: number; readonly bodyTimeoutMs: number },
): BodyReader {
  const deadlines = new DelayQueue(clock, bodyTimeoutMs)

  return function readBody({ body, headers }, receivedAtMs) {
    if (body === undefined) return 'RINGHOOK_BODY_ALREADY_READ'
    if (types.isUint8Array(body)) return body.length > maxBodyBytes ? 'RINGHOOK_BODY_TOO_LARGE' : body
    // A stream that was destroyed says nothing any more: waiting for it would end at the deadline.
    if (body.destroyed === true) return 'RINGHOOK_BODY_ABORTED'
    const length = headers['content-length']
    const options = { limit: maxBodyBytes, length: typeof length === 'string' ? length : null }
    return new Promise((resolve) => {
      const deadline = deadlines.add(receivedAtMs, () => resolve('RINGHOOK_BODY_TIMEOUT'))
      getRawBody(body as IncomingMessage, options, (error, bytes) => {
        deadline.cancel()
        if (error === null || error === undefined) resolve(bytes)
        else resolve(isTooLarge(error) ? 'RINGHOOK_BODY_TOO_LARGE' : 'RINGHOOK_BODY_ABORTED')
      })
    })
  }
}

/**
 * Takes and throws away what a sender still sends after it was answered, within bounds. A
 * connection closed at once would be reset under the answer; one left open without bounds could be
 * held for ever.
 */
export function abandonBody(stream: ByteStream): void {
  if (stream.complete === true || stream.destroyed === true) return
  let left = abandonedBytes
  const timer = setTimeout(() => stream.destroy(), abandonedMs).unref()
  stream.on('error', () => {})
  stream.on('close', () => clearTimeout(timer))
  stream.on('end', () => clearTimeout(timer))
  stream.on('data', (chunk: { readonly length: number }) => {
    left -= chunk.length
    if (left < 0) stream.destroy()
  })
  stream.resume()
}

function isTooLarge(error: unknown): boolean {
  return (error as { readonly type?: unknown } | undefined)?.type === 'entity.too.large'
}
