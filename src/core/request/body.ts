import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { types } from 'node:util'
import getRawBody from 'raw-body'
import type { Clock } from '../clock.ts'
import type { DeliveryCode } from '../errors.ts'
import { TimeoutEntry, TimeoutQueue } from '../timeout-queue.ts'
import { Pieces } from './body-buffer.ts'
import type { ByteStream, RequestHeaders } from './http.ts'
import type { CheckedRequest } from './request.ts'
import { isStream } from './request-body.ts'

/** How many bytes raw-body is given at a time. */
const blockBytes = 64 * 1024

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

/** Returns the bytes of a delivery, or the code of why there are none. */
export type BodyReader = (
  request: Pick<CheckedRequest, 'headers' | 'body'> & Partial<CheckedRequest>,
  receivedAtMs: number,
) => Uint8Array | DeliveryCode | Promise<Uint8Array | DeliveryCode>

type Read = Uint8Array | DeliveryCode

/** A body that is being read. It is the entry of the queue of time limits itself. */
class Reading extends TimeoutEntry {
  /** Whether it was read, or given up: nothing that arrives after that is kept. */
  isOver = false
  readonly #onRead: (read: Read) => void

  constructor(onRead: (read: Read) => void) {
    super()
    this.#onRead = onRead
  }

  /** Says what was read. Only the first time counts. */
  finish(read: Read): void {
    if (this.isOver) return
    this.isOver = true
    this.#onRead(read)
  }
}

/** The bounds of a body. */
export interface BodyLimits {
  readonly maxBodyBytes: number
  readonly bodyTimeoutMs: number
}

/** Returns the reader for bodies of at most `maxBodyBytes` that arrive within `bodyTimeoutMs`. */
export function bodyReader(clock: Clock, { maxBodyBytes, bodyTimeoutMs }: BodyLimits): BodyReader {
  const timeouts = new TimeoutQueue<Reading>(clock, bodyTimeoutMs, (reading) =>
    reading.finish('RINGHOOK_BODY_TIMEOUT'),
  )

  return function readBody({ body, bodyMistake, headers }, receivedAtMs) {
    if (types.isUint8Array(body))
      return body.length > maxBodyBytes ? 'RINGHOOK_BODY_TOO_LARGE' : body
    if (!isStream(body)) return bodyMistake?.code ?? 'RINGHOOK_BODY_ALREADY_READ'
    // An empty body leaves no other trace of having been read.
    if (body.readableEnded === true) return 'RINGHOOK_BODY_ALREADY_READ'
    // A destroyed stream is silent: waiting for it would end at the deadline.
    if (body.destroyed === true) return 'RINGHOOK_BODY_ABORTED'
    if (body.readable === false) return 'RINGHOOK_BODY_ALREADY_READ'
    return new Promise((resolve) => {
      const reading = new Reading((read) => {
        timeouts.leave(reading)
        resolve(read)
      })
      timeouts.enter(reading, receivedAtMs)
      const length = announcedLength(headers)
      if (length === undefined) readToItsEnd(body, maxBodyBytes, reading)
      else readAnnounced(body, length, reading)
    })
  }
}

/** How many bytes the sender has announced. `undefined`: they come in chunks until they end. */
function announcedLength({ 'content-length': length }: RequestHeaders): number | undefined {
  return typeof length === 'string' && /^\d{1,15}$/.test(length) ? Number(length) : undefined
}

/**
 * Reads a body of announced length, which is within the bound. What raw-body does for any body, at
 * less than half of its cost: with the length known there is nothing to measure and, as a rule, one
 * piece, which is kept and not copied.
 */
function readAnnounced(stream: ByteStream, length: number, reading: Reading): void {
  let missing = length
  let whole: Uint8Array | undefined
  let pieces: Pieces | undefined
  // The listeners stay: they go with the request, and to take them off would cost as much again.
  const cutOff = () => {
    reading.finish('RINGHOOK_BODY_ABORTED')
    whole = pieces = undefined
  }
  stream.on('error', cutOff)
  stream.on('close', cutOff)
  stream.on('end', () => {
    if (missing === 0) reading.finish(whole ?? pieces?.take() ?? Buffer.alloc(0))
    else cutOff()
  })
  stream.on('data', (piece) => {
    // What goes on after the end is thrown away, and not kept.
    if (reading.isOver) return
    // Something before us has it decoded.
    if (!types.isUint8Array(piece)) {
      reading.finish('RINGHOOK_BODY_ALREADY_READ')
      return
    }
    missing -= piece.length
    if (missing < 0) cutOff()
    else if (piece.length === length) whole = piece
    else {
      pieces ??= new Pieces(length)
      pieces.add(piece)
    }
  })
}

/**
 * Reads a body without a length by raw-body. That keeps every piece it is given, so it is given
 * larger ones than those that arrive.
 */
function readToItsEnd(stream: ByteStream, maxBodyBytes: number, reading: Reading): void {
  const larger = new EventEmitter()
  const pieces = new Pieces(blockBytes)
  let passed = 0
  let hasEnded = false
  const pass = (piece: Uint8Array) => {
    passed += piece.length
    larger.emit('data', piece)
  }
  const cutOff = () => {
    if (!hasEnded) reading.finish('RINGHOOK_BODY_ABORTED')
    // raw-body lets go of what it has kept.
    larger.emit('close')
  }
  // By its promise: with a callback it makes an AsyncResource for every request.
  getRawBody(larger as IncomingMessage, { limit: maxBodyBytes }).then(
    (bytes) => reading.finish(bytes),
    (error: unknown) => reading.finish(codeOf(error)),
  )
  stream.on('error', cutOff)
  stream.on('close', cutOff)
  stream.on('end', () => {
    hasEnded = true
    pass(pieces.take())
    larger.emit('end')
  })
  stream.on('data', (piece) => {
    if (reading.isOver) return
    if (!types.isUint8Array(piece)) {
      reading.finish('RINGHOOK_BODY_ALREADY_READ')
      return
    }
    // Not one byte more is kept than shows that there are too many.
    const isTooMuch = passed + pieces.length + piece.length > maxBodyBytes
    if (!isTooMuch) pieces.add(piece)
    if (isTooMuch || pieces.length >= blockBytes) pass(pieces.take())
    if (isTooMuch) pass(piece)
  })
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
  const { type } = error as { readonly type?: unknown }
  return type === 'entity.too.large' ? 'RINGHOOK_BODY_TOO_LARGE' : 'RINGHOOK_BODY_ABORTED'
}
