import type { IncomingMessage } from 'node:http'
import { types } from 'node:util'
import getRawBody from 'raw-body'
import { type Clock, DelayQueue } from './clock.ts'
import type { DeliveryCode } from './errors.ts'
import type { ByteStream, DeliveryRequest, RequestHeaders } from './http.ts'

/** What is still taken from a sender whose delivery was refused, so that it can read the answer. */
const abandonedBytes = 16 * 1024 * 1024
const abandonedMs = 2_000
/** After this long without a byte, in ms, there is none on its way that a closed connection would refuse. */
const quietMs = 100

/**
 * What leaves a body as it is. Only one way to match any text: with blanks on both sides of a word
 * that may be missing, the blanks of a long header can be shared out in as many ways as there are.
 */
const isIdentity = /^[ \t]*(?:identity[ \t]*)?$/i

/** Refuses a body by its headers, before a byte of it was read. The content type decides nothing. */
export function refuseBody(
  headers: RequestHeaders,
  maxBodyBytes: number,
): DeliveryCode | undefined {
  const encoding = headers['content-encoding']
  if (encoding !== undefined && !(typeof encoding === 'string' && isIdentity.test(encoding))) {
    return 'RINGHOOK_BODY_ENCODED'
  }
  // Node's parser has checked the number and that there is one.
  return Number(headers['content-length'] ?? 0) > maxBodyBytes
    ? 'RINGHOOK_BODY_TOO_LARGE'
    : undefined
}

/** Gives the bytes of a delivery, or the code of why there are none. */
export type BodyReader = (
  request: DeliveryRequest,
  receivedAtMs: number,
) => Uint8Array | DeliveryCode | Promise<Uint8Array | DeliveryCode>

/** Gives the reader for bodies of at most `maxBodyBytes` that arrive within `bodyTimeoutMs`. */
export function bodyReader(
  clock: Clock,
  {
    maxBodyBytes,
    bodyTimeoutMs,
  }: { readonly maxBodyBytes: number; readonly bodyTimeoutMs: number },
): BodyReader {
  const deadlines = new DelayQueue(clock, bodyTimeoutMs)

  return function readBody({ body, headers }, receivedAtMs) {
    if (types.isUint8Array(body))
      return body.length > maxBodyBytes ? 'RINGHOOK_BODY_TOO_LARGE' : body
    if (!isStream(body)) return 'RINGHOOK_BODY_ALREADY_READ'
    // A stream that was destroyed says nothing any more: waiting for it would end at the deadline.
    if (body.destroyed === true) return 'RINGHOOK_BODY_ABORTED'
    return new Promise((resolve) => {
      const finish = (read: Uint8Array | DeliveryCode) => {
        deadline.cancel()
        resolve(read)
      }
      const deadline = deadlines.add(receivedAtMs, () => resolve('RINGHOOK_BODY_TIMEOUT'))
      const length = announcedLength(headers)
      if (length !== undefined) collect(body, length, finish)
      // By its promise: with a callback it makes an AsyncResource for every request.
      else {
        getRawBody(body as IncomingMessage, { limit: maxBodyBytes }).then(
          finish,
          (error: unknown) => finish(codeOf(error)),
        )
      }
    })
  }
}

/** How many bytes the sender has announced. `undefined`: they come in chunks until they end. */
function announcedLength({ 'content-length': length }: RequestHeaders): number | undefined {
  return typeof length === 'string' && /^\d{1,15}$/.test(length) ? Number(length) : undefined
}

/**
 * Collects a body of announced length, which is within the bound. What raw-body does for any body,
 * at less than half of its cost: with the length known there is nothing to measure and, as a rule,
 * one chunk, which is kept and not copied.
 */
function collect(
  stream: ByteStream,
  length: number,
  finish: (read: Uint8Array | DeliveryCode) => void,
): void {
  if (stream.readable === false) {
    finish('RINGHOOK_BODY_ALREADY_READ')
    return
  }
  let isOver = false
  let missing = length
  let first: Uint8Array | undefined
  let chunks: Uint8Array[] | undefined
  // The listeners stay: they go with the request, and to take them off would cost as much again.
  const end = (read: Uint8Array | DeliveryCode) => {
    if (isOver) return
    isOver = true
    finish(read)
  }
  const cutOff = () => end('RINGHOOK_BODY_ABORTED')
  stream.on('error', cutOff)
  stream.on('close', cutOff)
  stream.on('end', () => {
    if (missing !== 0) cutOff()
    else end(chunks === undefined ? (first ?? Buffer.alloc(0)) : Buffer.concat(chunks, length))
  })
  stream.on('data', (chunk) => {
    // What goes on after the end is thrown away, and not kept.
    if (isOver) return
    // Something before us has it decoded.
    if (!types.isUint8Array(chunk)) {
      end('RINGHOOK_BODY_ALREADY_READ')
      return
    }
    missing -= chunk.length
    if (missing < 0) cutOff()
    else if (first === undefined) first = chunk
    else if (chunks === undefined) chunks = [first, chunk]
    else chunks.push(chunk)
  })
}

/** Whether a body is still to be read. What is neither bytes nor a stream was made by a parser. */
export function isStream(body: DeliveryRequest['body']): body is ByteStream {
  const stream = body as Partial<ByteStream> | null | undefined
  return (
    typeof stream?.on === 'function' &&
    typeof stream.resume === 'function' &&
    typeof stream.destroy === 'function'
  )
}

/**
 * Takes and throws away what a sender still sends after it was refused, within bounds. A connection
 * closed at once would be reset under the answer; one left open without bounds could be held for
 * ever.
 *
 * Node closes a connection itself, with the answer, if the sender asked for that, as nginx does by
 * default. Then the answer has to wait for the promise that this gives: proxies and blocking
 * clients write all of a request before they read. While the receiver closes, its own answers close
 * connections too; then the answer waits only for as long as the sender goes on sending.
 *
 * @param isClosing - Whether the answer has `connection: close`.
 */
export function abandonBody(
  stream: ByteStream,
  headers: RequestHeaders,
  isClosing = false,
): Promise<void> | undefined {
  if (stream.complete === true || stream.readableEnded === true || stream.destroyed === true) {
    return undefined
  }
  const closesWithAnswer =
    isClosing || /(?:^|,)\s*close\s*(?:,|$)/i.test(String(headers['connection'] ?? ''))
  const drained = new Promise<void>((resolve) => {
    let left = abandonedBytes
    const cutOff = () => stream.destroy()
    const giveUp = () => {
      if (!closesWithAnswer) {
        cutOff()
        return
      }
      left = Number.POSITIVE_INFINITY
      clearTimeout(timer)
      // Should Node not have closed it by then.
      timer = setTimeout(cutOff, abandonedMs).unref()
      resolve()
    }
    let timer = setTimeout(giveUp, abandonedMs).unref()
    const quiet = isClosing ? setTimeout(resolve, quietMs).unref() : undefined
    const finish = () => {
      clearTimeout(timer)
      clearTimeout(quiet)
      resolve()
    }
    stream.on('error', () => {})
    stream.on('close', finish)
    stream.on('end', finish)
    stream.on('data', (chunk) => {
      quiet?.refresh()
      left -= types.isUint8Array(chunk) ? chunk.length : 0
      if (left < 0) giveUp()
    })
  })
  stream.resume()
  return closesWithAnswer ? drained : undefined
}

/** By the `type` that raw-body gives its errors. */
function codeOf(error: unknown): DeliveryCode {
  switch ((error as { readonly type?: unknown } | undefined)?.type) {
    case 'entity.too.large':
      return 'RINGHOOK_BODY_TOO_LARGE'
    case 'stream.encoding.set':
    case 'stream.not.readable':
      // Something before us turned the bytes into text, or took them.
      return 'RINGHOOK_BODY_ALREADY_READ'
    default:
      return 'RINGHOOK_BODY_ABORTED'
  }
}
