import type { NodeMessage } from './node-request.ts'

/** The parts of Node's response that answer a request. */
export interface NodeResponse {
  readonly headersSent: boolean
  writeHead(status: number, headers: Record<string, string>): unknown
  end(body: string): unknown
}

/** The parts of Koa's context that answer a request. */
export interface KoaContextLike {
  readonly req: NodeMessage
  status: number
  body: unknown
  set(headers: Record<string, string>): unknown
}

/** The parts of Fastify's reply that answer a request. */
export interface FastifyReplyParts {
  readonly sent?: unknown
  readonly request?: { readonly raw?: unknown }
  code(status: number): unknown
  headers(headers: Record<string, string>): unknown
  send(body: string): unknown
}

/** Returns whether a value is Node's request, or one like it. */
export function isNodeRequest(value: unknown): value is NodeMessage {
  const { on, headers } = partsOf(value)
  return typeof on === 'function' && typeof headers === 'object'
}

/** Returns whether a value is Node's response, or one like it. */
export function isNodeResponse(value: unknown): value is NodeResponse {
  return hasMethods(value, 'writeHead', 'end')
}

/** Returns whether a value is the context of a Koa middleware. */
export function isKoaContext(value: unknown): value is KoaContextLike {
  const { req, request } = partsOf(value)
  return hasMethods(value, 'set') && isNodeRequest(req) && partsOf(request)['req'] === req
}

/** Returns whether a value is the first argument that a framework passes to a handler. */
export function isFrameworkArgument(value: unknown): boolean {
  const { raw } = partsOf(value)
  return [value, raw].some(isNodeRequest) || isKoaContext(value) || isFetchRequest(value)
}

/** Returns whether a value is a Fastify instance. */
export function isFastifyInstance(value: unknown): boolean {
  return hasMethods(value, 'register', 'decorate', 'addHook', 'all')
}

/**
 * Returns whether these are the arguments of a Fastify hook that runs while an answer is on its way:
 * `onSend`, `preSerialization` and `onError` get it third. `preParsing` gets the request there.
 */
export function isHookOfAnswer([, , third]: readonly unknown[]): boolean {
  return third !== undefined && typeof third !== 'function' && !isNodeRequest(third)
}

/** Returns whether a value is Fastify's reply. */
export function isFastifyReply(value: unknown): value is FastifyReplyParts {
  return hasMethods(value, 'code', 'headers', 'send') && isNodeResponse(partsOf(value)['raw'])
}

/** Returns whether a value is an app of Express, Koa, Connect, Polka or the like. */
export function isApp(value: unknown): boolean {
  return hasMethods(value, 'use', 'listen')
}

/** Returns whether a value is a `Request` of the Fetch API. */
export function isFetchRequest(value: unknown): boolean {
  return hasMethods(value, 'arrayBuffer', 'text') && hasMethods(partsOf(value)['headers'], 'get')
}

function hasMethods(value: unknown, ...names: readonly string[]): boolean {
  const parts = partsOf(value)
  return names.every((name) => typeof parts[name] === 'function')
}

type Parts = { readonly [name: string]: unknown } & {
  readonly node?: { readonly req?: unknown; readonly res?: unknown }
}

/** Returns the value for reading properties of it, or an empty object if it can't have any. */
export function partsOf(value: unknown): Parts {
  return hasProperties(value) ? (value as Parts) : {}
}

/** Returns whether a value can have properties. */
export function hasProperties(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}
