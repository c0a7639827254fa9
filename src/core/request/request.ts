import { isObject } from '../checks.ts'
import type { ByteStream, DeliveryRequest, RequestHeaders } from './http.ts'
import { bodyOf, kindOf, type Mistake } from './request-body.ts'

/** A request as the pipeline reads it: every part is what it should be. */
export class CheckedRequest {
  readonly method: string
  readonly url: string
  /** Names in lower case. */
  readonly headers: RequestHeaders
  readonly socket: DeliveryRequest['socket']
  readonly httpVersionMajor: number | undefined
  readonly body: Uint8Array | ByteStream | undefined
  /** Why there is no body. */
  readonly bodyMistake: Mistake | undefined
  /** Why the request is refused before anything in it is read. */
  readonly mistake: Mistake | undefined

  constructor(parts: {
    readonly method?: string
    readonly url?: string
    readonly headers?: RequestHeaders
    readonly socket?: DeliveryRequest['socket']
    readonly httpVersionMajor?: number | undefined
    readonly body?: Uint8Array | ByteStream | undefined
    readonly bodyMistake?: Mistake | undefined
    readonly mistake?: Mistake | undefined
  }) {
    this.method = parts.method ?? ''
    this.url = parts.url ?? ''
    this.headers = parts.headers ?? {}
    this.socket = parts.socket
    this.httpVersionMajor = parts.httpVersionMajor
    this.body = parts.body
    this.bodyMistake = parts.bodyMistake
    this.mistake = parts.mistake
  }
}

/**
 * Checks what `receive()` was given. What can be read exactly is: header names in any case, a
 * `Headers`, a `Map`, bytes in any view. What cannot is refused with what it is. Requests of Node's,
 * which the adapters pass on, are what they should be already.
 */
export function checkedRequest(given: unknown): CheckedRequest {
  if (given instanceof CheckedRequest) return given
  try {
    return requestOf(given)
  } catch {
    return refused('a request with a property that throws')
  }
}

function requestOf(given: unknown): CheckedRequest {
  if (!isObject(given)) return refused(kindOf(given))
  const { method, url, headers, socket, httpVersionMajor, body } = given
  if (typeof method !== 'string') return refused(`a request whose method is ${kindOf(method)}`)
  const isUrl = typeof url === 'string' || (isObject(url) && typeof url['href'] === 'string')
  if (!isUrl) {
    return refused(`a request whose url is ${kindOf(url)}`, ', with the path and the query as url')
  }
  const readable = headersOf(headers)
  if (typeof readable === 'string') return refused(`a request whose headers are ${readable}`)
  return new CheckedRequest({
    // Node has it in upper case, the Fetch API and serverless platforms mostly.
    method: method.toUpperCase(),
    url: String(url),
    headers: readable,
    socket: isObject(socket) ? (socket as DeliveryRequest['socket']) : undefined,
    httpVersionMajor: typeof httpVersionMajor === 'number' ? httpVersionMajor : undefined,
    ...bodyOf(body),
  })
}

function refused(what: string, remedy = ''): CheckedRequest {
  const reason = `receiver.receive() was called with ${what}. Give { method, url, headers, body }${remedy}`
  return new CheckedRequest({ mistake: { code: 'RINGHOOK_REQUEST_INVALID', reason } })
}

/** Headers with their names in lower case and values of text, or what they are instead. */
function headersOf(headers: unknown): RequestHeaders | string {
  if (!isObject(headers)) return kindOf(headers)
  const pairs = Symbol.iterator in headers ? [...(headers as Iterable<unknown>)] : undefined
  if (pairs === undefined) {
    const entries = Object.entries(headers)
    return entries.every(isAsNodeHasIt) ? (headers as RequestHeaders) : joined(entries)
  }
  if (!pairs.every(isPair)) return 'a list, and not of pairs of a name and a value'
  return joined(pairs)
}

function isAsNodeHasIt([name, value]: readonly [string, unknown]): boolean {
  return (value === undefined || isValue(value)) && name === name.toLowerCase()
}

function isValue(value: unknown): value is string | readonly string[] {
  return typeof value === 'string' || Array.isArray(value)
}

function isPair(pair: unknown): pair is readonly [string, unknown] {
  return Array.isArray(pair) && pair.length === 2 && typeof pair[0] === 'string'
}

/** Joins what stands under one name, as Node does: a header that was sent twice must not look like one. */
function joined(pairs: readonly (readonly [string, unknown])[]): RequestHeaders {
  const values = new Map<string, (string | readonly string[])[]>()
  for (const [name, given] of pairs) {
    const value = typeof given === 'number' ? String(given) : given
    if (!isValue(value)) continue
    const lower = name.toLowerCase()
    const others = values.get(lower)
    if (others === undefined) values.set(lower, [value])
    else others.push(value)
  }
  // No name can reach a prototype.
  const headers: Record<string, string | readonly string[]> = Object.create(null)
  for (const [name, all] of values) {
    // Joined once: to add each to those before it would copy the first as often as there are more.
    headers[name] = all.length === 1 ? (all[0] ?? '') : all.flat().join(', ')
  }
  return headers
}
