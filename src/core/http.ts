import { types } from 'node:util'
import type { DeliveryOutcome } from './outcome.ts'

/** Request headers as Node gives them: names in lower case, repeated ones joined with ", ". */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** A readable stream of bytes, as Node's `IncomingMessage` is one. */
export interface ByteStream {
  readonly destroyed?: boolean
  readonly readable?: boolean
  readonly complete?: boolean
  readonly readableEnded?: boolean
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
  /** In upper case. */
  readonly method: string
  /** Path and query. Only the query's `token` is read, and only with the `urlToken` option. */
  readonly url: string
  readonly headers: RequestHeaders
  /** Where the connection comes from. Read only with the `allowedIps` option. */
  readonly socket?: RequestSocket | undefined
  /** 1 or 2. Default: 1. While the receiver closes, an answer over HTTP/1 has `connection: close`. */
  readonly httpVersionMajor?: number | undefined
  /** The exact bytes, or the stream of them. `undefined`: a parser read the stream and kept no bytes. */
  readonly body: Uint8Array | ByteStream | undefined
  /**
   * Why an adapter refuses the request, in words for the log: it was mounted in a framework that it
   * is not made for. Answered 500 RINGHOOK_ADAPTER_MISMATCH.
   */
  readonly mismatch?: string
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
  readonly readableDidRead?: boolean
  /** The bytes, where a platform or a parser has read the stream and kept them here. */
  readonly rawBody?: unknown
}

/** What a body parser that ran before ringhook may have left. */
export interface ParsedBody {
  readonly rawBody?: unknown
  readonly body?: unknown
}

/**
 * Turns Node's request into ringhook's, with the bytes that a body parser kept if there are any.
 * Parsed values and strings are not bytes: re-serialising them would change what was signed.
 */
export function nodeRequest(message: NodeMessage, parsed: ParsedBody = {}): DeliveryRequest {
  return {
    method: message.method ?? '',
    url: message.url ?? '',
    headers: message.headers,
    socket: message.socket,
    httpVersionMajor: message.httpVersionMajor,
    body: keptBytes(message, parsed) ?? (message.readableDidRead === true ? undefined : message),
  }
}

function keptBytes(message: NodeMessage, { rawBody, body }: ParsedBody): Uint8Array | undefined {
  // Not `instanceof`: in Jest a Buffer is no instance of the sandbox's Uint8Array.
  if (types.isUint8Array(rawBody)) return rawBody
  if (types.isUint8Array(message.rawBody)) return message.rawBody
  return types.isUint8Array(body) ? body : undefined
}
