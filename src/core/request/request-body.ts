import { types } from 'node:util'
import type { DeliveryCode } from '../errors.ts'
import type { ByteStream } from './http.ts'

/** A mistake of the program that ringhook is part of, which shows with a delivery. For the log. */
export interface Mistake {
  readonly code: DeliveryCode
  /** What was given, by its kind, and what to give. Never a value from the request. */
  readonly reason: string
}

interface Body {
  readonly body?: Uint8Array | ByteStream
  readonly bodyMistake?: Mistake
}

/** What a body parser that ran before ringhook may have left. */
export interface ParsedBody {
  readonly rawBody?: unknown
  readonly body?: unknown
}

const keepIt =
  'Either mount ringhook before the parser (on Koa ctx.disableBodyParser = true for its path does too), or, on Express, let the parser keep the bytes: express.json({ verify: (req, _res, bytes) => { req.rawBody = bytes } }), or, in Nest, NestFactory.create(AppModule, { rawBody: true })'
const mountFirst =
  'Mount ringhook before it, or let it keep the bytes in a Buffer as rawBody of the request'

/** Returns the bytes or the stream that a body is, or what is wrong with it. */
export function bodyOf(body: unknown): Body {
  // Not `instanceof`: in Jest a Buffer is no instance of the sandbox's Uint8Array.
  if (types.isUint8Array(body) || isStream(body)) return { body }
  if (types.isSharedArrayBuffer(body)) return { body: new Uint8Array(body).slice() }
  if (types.isArrayBuffer(body)) return { body: new Uint8Array(body) }
  if (ArrayBuffer.isView(body)) {
    return { body: new Uint8Array(body.buffer, body.byteOffset, body.byteLength) }
  }
  return { bodyMistake: mistakeIn(body) }
}

function mistakeIn(body: unknown): Mistake {
  if (body === undefined || body === null) return readByUnknown
  if (typeof body === 'string') return isText
  const { getReader, arrayBuffer, then } = body as Readonly<Record<string, unknown>>
  if (typeof getReader === 'function') {
    return invalid(
      'a ReadableStream of the Fetch API',
      "Give Readable.fromWeb(body) of 'node:stream'",
    )
  }
  if (typeof arrayBuffer === 'function') {
    return invalid(
      'a Blob, or a Request or Response of the Fetch API',
      'Give new Uint8Array(await body.arrayBuffer())',
    )
  }
  if (typeof then === 'function') return invalid('a promise', 'Await it')
  if (typeof body === 'object' && (Symbol.asyncIterator in body || isIterator(body))) {
    return invalid('an iterator', "Give Readable.from(body) of 'node:stream'")
  }
  return alreadyRead(
    `the body is ${kindOf(body)}, as a body parser makes one, and no bytes. ${keepIt}`,
  )
}

function isIterator(body: object): boolean {
  return typeof (body as { readonly next?: unknown }).next === 'function'
}

function invalid(what: string, remedy: string): Mistake {
  return {
    code: 'RINGHOOK_REQUEST_INVALID',
    reason: `the body that receiver.receive() was given is ${what}. ${remedy}`,
  }
}

function alreadyRead(reason: string): Mistake {
  return { code: 'RINGHOOK_BODY_ALREADY_READ', reason }
}

const isText = alreadyRead(
  "the body that receiver.receive() was given is a string, which may be base64 or have lost bytes. Give bytes: Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8') on AWS Lambda; elsewhere take the bytes before they become text",
)
const readByUnknown = alreadyRead(
  `the body was read before ringhook and its bytes were not kept, by a body parser or by something else that listens to the request. ${keepIt}`,
)
const readByParser = alreadyRead(
  `a body parser read the body before ringhook and kept no bytes to verify. ${keepIt}`,
)
const keptAsText = alreadyRead(
  `a body parser read the body before ringhook and kept it as text, which is not the bytes that were signed. ${keepIt}`,
)
const readByListener = alreadyRead(
  `the body was read before ringhook, and nothing of it was left on the request: by a data listener, a pipe or a loop over the request, in middleware or (Fastify) in an onRequest hook. ${mountFirst}`,
)

const readAsText = alreadyRead(
  `something before ringhook called setEncoding() on the request, so that its bytes became text. Take that call away. ${keepIt}`,
)

/** Why a body that seemed to be there could not be read after all. */
export function whyUnreadable(body: Uint8Array | ByteStream | undefined): Mistake {
  const { readableEncoding } = (body ?? {}) as { readonly readableEncoding?: unknown }
  return typeof readableEncoding === 'string' ? readAsText : readByUnknown
}

/** Says who read a body, by what is left on the requests of the framework and of Node. */
export function whoRead(holders: readonly ParsedBody[]): Mistake {
  if (holders.some(({ rawBody, body }) => typeof rawBody === 'string' || typeof body === 'string'))
    return keptAsText
  const left = holders.flatMap(({ rawBody, body }) => [rawBody, body]).filter(isLeft)
  if (left.length === 0) return readByListener
  // Express 4 has an empty object for every body that it did not parse.
  const isEmpty = (value: unknown) =>
    typeof value === 'object' && Object.keys(value ?? {}).length === 0
  return left.every(isEmpty) ? readByUnknown : readByParser
}

function isLeft(value: unknown): boolean {
  return value !== undefined && value !== null
}

/** Whether a body is still to be read. What is neither bytes nor a stream was made by a parser. */
export function isStream(body: unknown): body is ByteStream {
  const stream = body as Partial<ByteStream> | null | undefined
  return (
    typeof stream?.on === 'function' &&
    typeof stream.resume === 'function' &&
    typeof stream.destroy === 'function'
  )
}

/** The kind of a value, for messages. */
export function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value)
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
