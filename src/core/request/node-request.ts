import { types } from 'node:util'
import type { ByteStream, RequestHeaders, RequestSocket } from './http.ts'
import { CheckedRequest } from './request.ts'
import { type ParsedBody, whoRead } from './request-body.ts'

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
  // Not `instanceof`: in Jest, a Buffer isn't an instance of the sandbox's Uint8Array.
  if (types.isUint8Array(parsed.rawBody)) return parsed.rawBody
  if (types.isUint8Array(message.rawBody)) return message.rawBody
  if (types.isUint8Array(parsed.body)) return parsed.body
  return types.isUint8Array(message.body) ? message.body : undefined
}
