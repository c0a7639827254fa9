import { RinghookError } from '../errors.ts'
import {
  type FastifyReplyParts,
  hasProperties,
  isApp,
  isFastifyInstance,
  isFastifyReply,
  isFetchRequest,
  isHookOfAnswer,
  isKoaContext,
  isNodeRequest,
  isNodeResponse,
  type KoaContextLike,
  type NodeResponse,
  partsOf,
} from './framework-arguments.ts'
import type { DeliveryRequest, Reply } from './http.ts'
import { type NodeMessage, nodeRequest } from './node-request.ts'
import { CheckedRequest } from './request.ts'

/** What was mounted, as messages name it. */
export type Mounted =
  | 'The handler of ringhook/express'
  | 'The handler of ringhook/koa'
  | 'The plugin of ringhook/fastify'
  | 'receiver.receive()'

/** The part of a receiver that answers. */
interface Receives {
  receive(request: DeliveryRequest): Promise<Reply>
}

/** A framework that called something of ringhook's, recognised by the arguments it passed. */
interface Host {
  /** What it passes, and how to mount ringhook there instead. */
  readonly passes: string
  readonly remedy: string
  /** Absent if it passed no request. */
  readonly request?: CheckedRequest
  /** Answers in the framework's own way. Returns what the framework expects back. */
  answer?(reply: Reply): unknown
  /** Set if the only way to answer is to reject: the framework turns that into a 500. */
  readonly rejects?: boolean
}

/**
 * Refuses a call by a framework that the entry was not made for. A request is answered 500 in the
 * framework's own way, and logged. Without a request, it is a mistake in mounting.
 *
 * @throws {RinghookError} RINGHOOK_ADAPTER_MISMATCH, at once for an app. Rejects with it for a
 * Fastify instance, and if no argument could be answered.
 */
export function refuseCall(
  receiver: Receives,
  mounted: Mounted,
  given: readonly unknown[],
): Promise<unknown> {
  // Rejected, not thrown: Fastify's loader catches nothing else.
  if (given.some(isFastifyInstance))
    return Promise.reject(mistakeOf(reasonFor(mounted, fastifyInstance)))
  if (given.some(isApp)) throw mistakeOf(reasonFor(mounted, app))
  const host = hostOf(given)
  const refused = refuseRequest(receiver, mounted, host)
  // Logged already: a caller that ignores the promise must not end the process.
  refused.catch(() => {})
  return refused
}

/** Returns whether `receive` was called with a framework's arguments instead of one request. */
export function isMountedAsHandler(request: unknown, second: unknown): boolean {
  if (request instanceof CheckedRequest) return false
  // A number as the second argument comes from an array's `map`.
  if (hasProperties(second)) return true
  try {
    const { method, headers } = partsOf(request)
    const isRequest = typeof method === 'string' && hasProperties(headers)
    return !isRequest && hostOf([request]) !== unknownHost
  } catch {
    // A property that throws: the check of the request reports it.
    return false
  }
}

async function refuseRequest(receiver: Receives, mounted: Mounted, host: Host): Promise<unknown> {
  const reason = reasonFor(mounted, host)
  const mistake = { code: 'RINGHOOK_ADAPTER_MISMATCH', reason } as const
  const reply = await receiver.receive(new CheckedRequest({ ...host.request, mistake }))
  if (host.answer !== undefined) return host.answer(reply)
  if (mounted === 'receiver.receive()' && host.rejects !== true) return reply
  throw mistakeOf(reason)
}

function reasonFor(mounted: Mounted, { passes, remedy }: Host): string {
  return `${mounted} was called with ${passes}. ${remedy}`
}

function mistakeOf(reason: string): RinghookError {
  return new RinghookError('RINGHOOK_ADAPTER_MISMATCH', reason)
}

const registerIt =
  "Import webhooks from 'ringhook/fastify' and register it: app.register(webhooks(receiver), { prefix: '/hooks' })."
const withBytes =
  'ringhook has no entry for it yet: pass the method, the URL, the headers and the bytes of the body to receiver.receive(), and answer with what it returns.'

const fastifyInstance: Host = { passes: 'a Fastify instance', remedy: registerIt }
const app: Host = {
  passes: 'an app',
  remedy: "Pass it to the app: app.post('/hooks', webhooks(receiver)) on Express.",
}
const unknownHost: Host = {
  passes: 'neither a request nor a context that ringhook knows',
  remedy:
    "Pass webhooks(receiver) itself to the framework that its entry is named after, or call it with that framework's own arguments.",
}

function hostOf(given: readonly unknown[]): Host {
  const context = given.find(isKoaContext)
  if (context !== undefined) return koaHost(context)
  const reply = given.find(isFastifyReply)
  if (reply !== undefined) return fastifyHost(reply, given)
  const request = given.find(isNodeRequest)
  const response = given.find(isNodeResponse)
  if (request !== undefined && response !== undefined) {
    return nodeHost(request, response, {
      passes: "Node's request and response, as Express and node:http pass them",
      remedy: "Import webhooks from 'ringhook/express'.",
    })
  }
  for (const value of given) {
    const { node, req } = partsOf(value)
    if (isNodeRequest(node?.req) && isNodeResponse(node?.res)) {
      return nodeHost(node.req, node.res, {
        passes: 'an event of h3 or Nitro',
        remedy:
          "Import webhooks from 'ringhook/express', and call it with event.node.req and event.node.res.",
      })
    }
    if (isFetchRequest(value) || isFetchRequest(partsOf(req)['raw'])) return fetchHost
  }
  return unknownHost
}

function nodeHost(
  request: NodeMessage,
  response: NodeResponse,
  words: Pick<Host, 'passes' | 'remedy'>,
): Host {
  return {
    ...words,
    request: nodeRequest(request),
    answer: ({ status, headers, body }) => {
      if (response.headersSent) return
      response.writeHead(status, { ...headers })
      response.end(body)
    },
  }
}

function koaHost(context: KoaContextLike): Host {
  return {
    passes: "Koa's context",
    remedy: "Import webhooks from 'ringhook/koa'.",
    request: nodeRequest(context.req),
    answer: ({ status, headers, body }) => {
      context.status = status
      context.set(headers)
      context.body = body
    },
  }
}

function fastifyHost(reply: FastifyReplyParts, given: readonly unknown[]): Host {
  const message = reply.request?.raw
  const host: Host = {
    passes: "Fastify's request and reply",
    remedy: registerIt,
    ...(isNodeRequest(message) && { request: nodeRequest(message) }),
  }
  // Another answer is on its way, and a second one would end the process. Fastify turns the error
  // that such a hook rejects with into a 500.
  if (isHookOfAnswer(given)) return { ...host, rejects: true }
  return {
    ...host,
    answer: ({ status, headers, body }) => {
      if (reply.sent === true) return
      reply.code(status)
      reply.headers(headers)
      reply.send(body)
    },
  }
}

const fetchHost: Host = {
  passes: 'a Request of the Fetch API, as Next.js route handlers, Hono, Bun and Deno pass it',
  remedy: withBytes,
  answer: ({ status, headers, body }) => new Response(body, { status, headers }),
}
