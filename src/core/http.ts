import { types } from 'node:util'
import type { DeliveryOutcome } from './outcome.ts'
import { CheckedRequest } from './request.ts'
import { type ParsedBody, whoRead } from './request-body.ts'

/** Request headers as Node gives them: names in lower case, repeated ones joined with ", ". */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** A readable stream of bytes, as Node's `IncomingMessage` is one. */
export interface ByteStream {
  readonly destroyed?: boolean
  readonly readable?: boolean
  readonly complete?: boolean
  readonly readableEnded?: boolean
  readonly readableDidRead?: boolean
  on(event: string, listener: (...values: unknown[]) => void): unknown
  removeListener(event: string, listener: (...values: unknown[]) => void): unknown
  resume(): unknown
  destroy(): unknown
}

/** The parts of Node's `Socket` that ringhook reads. A Unix socket has neither address. */
export interface RequestSocket {
  readonly remoteAddress?: string | undefined
  readonly localAddress?: string | undefined
  readonly destroyed?: boolean | undefined
}

/** What an adapter gives to the receiver: one HTTP request, not yet trusted. */
export interface DeliveryRequest {
  readonly method: string
  /** Path and query. Only the query's `token` is read, and only with the `urlToken` option. */
  readonly url: string
  readonly headers: RequestHeaders
  /** Where the connection comes from. Read only with the `allowedIps` option. */
  readonly socket?: RequestSocket | undefined
  /** 1 or 2. Default: 1. While the receiver closes, an answer over HTTP/1 has `connection: close`. */
  readonly httpVersionMajor?: number | undefined
  /** The exact bytes, or the stream of them. `undefined`: something read the stream and kept no bytes. */
  readonly body: Uint8Array | ByteStream | undefined
}

/**
 * What `receive()` takes: a {@link DeliveryRequest}, or one whose parts are as another platform has
 * them. Text as a body is refused: it may be base64, or have lost bytes.
 */
export interface RequestLike extends Omit<DeliveryRequest, 'url' | 'headers' | 'body'> {
  readonly url: string | URL
  /** Names in any case. Pairs of a name and a value do as well, such as a `Headers` or a `Map`. */
  readonly headers: RequestHeaders | Iterable<readonly [name: string, value: string]>
  readonly body: ArrayBufferView | ArrayBuffer | SharedArrayBuffer | ByteStream | undefined
}

/** What an adapter writes to the response. */
export interface Reply {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** JSON: `{"outcome":"handled"}`, with a `code` where there is one. */
  readonly body: string
  /** The same that `onOutcome` was called with. */
  readonly outcome: DeliveryOutcome
}

/** The parts of Node's `IncomingMessage` that ringhook reads. */
export interface NodeMessage extends ByteStream {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly headers: RequestHeaders
  readonly socket?: RequestSocket | undefined
  readonly httpVersionMajor?: number
  /** The bytes, where a platform or a parser has read the stream and kept them here. */
  readonly rawBody?: unknown
  /** The same, or what a parser made of them. */
  readonly body?: unknown
}

/**
 * Turns Node's request into ringhook's, with the bytes that a body parser kept if there are any.
 * Parsed values and strings are not bytes: re-serialising them would change what was signed.
 */
export function nodeRequest(message: NodeMessage, parsed: ParsedBody = {}): CheckedRequest {
  const kept = keptBytes(message, parsed)
  // An empty body leaves no other trace of having been read than its end.
  const wasRead = message.readableDidRead === true || message.readableEnded === true
  const isLost = kept === undefined && wasRead
  return new CheckedRequest({
    method: message.method ?? '',
    url: message.url ?? '',
    headers: message.headers,
    socket: message.socket,
    httpVersionMajor: message.httpVersionMajor,
    body: kept ?? (isLost ? undefined : message),
    bodyMistake: isLost ? whoRead([parsed, message]) : undefined,
  })
}

/** Middleware for Express may have left them on Node's request in any framework. */
function keptBytes(message: NodeMessage, parsed: ParsedBody): Uint8Array | undefined {
  // Not `instanceof`: in Jest a Buffer is no instance of the sandbox's Uint8Array.
  if (types.isUint8Array(parsed.rawBody)) return parsed.rawBody
  if (types.isUint8Array(message.rawBody)) return message.rawBody
  if (types.isUint8Array(parsed.body)) return parsed.body
  return types.isUint8Array(message.body) ? message.body : undefined
}
