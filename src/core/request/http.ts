import type { DeliveryOutcome } from '../outcome/outcome.ts'

/** Request headers in Node's form: names in lower case, repeated ones joined with ", ". */
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

/** One HTTP request, not yet trusted, as an adapter passes it to the receiver. */
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
