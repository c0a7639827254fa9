import type { OwnEvents } from './core/event/event-types.ts'
import type { ReceiverOptions } from './core/options/options.ts'
import { createReceiver, type Receiver } from './core/receiver.ts'
import { checkReceiver } from './core/receiver-check.ts'
import { refuseCall } from './core/request/adapter-mismatch.ts'
import { isNodeRequest, isNodeResponse } from './core/request/framework-arguments.ts'
import { type NodeMessage, nodeRequest } from './core/request/node-request.ts'
import type { ParsedBody } from './core/request/request-body.ts'
import { callkaro } from './providers/callkaro/callkaro.ts'
import { krosai } from './providers/krosai/krosai.ts'
import { odis } from './providers/odis/odis.ts'

/** The parts of Express's response that ringhook writes. */
export interface ExpressResponse {
  readonly headersSent: boolean
  writeHead(status: number, headers: Record<string, string>): unknown
  end(body: string): unknown
  destroy(): unknown
}

/**
 * An Express request handler: it answers every request that reaches it. It calls `next` only with
 * an error that other middleware threw while the answer was written. The promise resolves when the
 * answer was handed to the response: for wrappers that wait, and for API routes of Next.js.
 */
export type ExpressHandler = (
  request: NodeMessage & ParsedBody,
  response: ExpressResponse,
  next?: (error: unknown) => void,
) => Promise<void>

/**
 * Mounts a receiver on Express 4.18+ or 5, and on what passes Node's request and response as they
 * do: `node:http`, Connect, API routes of Next.js. Other frameworks are answered 500
 * RINGHOOK_ADAPTER_MISMATCH.
 *
 * @throws {RinghookError} RINGHOOK_RECEIVER_INVALID
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { createReceiver, krosai } from 'ringhook'
 * import { webhooks } from 'ringhook/express'
 *
 * const receiver = createReceiver(krosai, {
 *   secret: process.env.KROSAI_WEBHOOK_SECRET,
 *   on: { '*': (event) => console.log(event.type) },
 * })
 * export const app = express()
 * app.post('/hooks', webhooks(receiver))
 * ```
 */
export function webhooks(receiver: Receiver): ExpressHandler {
  checkReceiver(receiver)
  return function ringhookExpress(request, response, next = () => response.destroy()) {
    if (!isNodeRequest(request) || !isNodeResponse(response)) {
      const given = [request, response, next]
      return refuseCall(receiver, 'The handler of ringhook/express', given) as Promise<void>
    }
    return receiver
      .receive(nodeRequest(request, request))
      .then(({ status, headers, body }) => {
        // Something before us, such as a timeout, may have answered in the meantime.
        if (response.headersSent) return
        // A copy: middleware that adds headers as they are written adds them to this object.
        response.writeHead(status, { ...headers })
        response.end(body)
      })
      .catch(next)
  }
}

/** Mounts a KrosAI endpoint: `webhooks(createReceiver(krosai, options))`. */
export function krosaiWebhooks<const Own extends OwnEvents = Record<never, never>>(
  options: ReceiverOptions<typeof krosai, Own>,
): ExpressHandler {
  return webhooks(createReceiver(krosai, options))
}

/** Mounts an ODIS AI endpoint: `webhooks(createReceiver(odis, options))`. */
export function odisWebhooks<const Own extends OwnEvents = Record<never, never>>(
  options: ReceiverOptions<typeof odis, Own>,
): ExpressHandler {
  return webhooks(createReceiver(odis, options))
}

/** Mounts a CallKaro AI endpoint: `webhooks(createReceiver(callkaro, options))`. */
export function callkaroWebhooks<const Own extends OwnEvents = Record<never, never>>(
  options: ReceiverOptions<typeof callkaro, Own>,
): ExpressHandler {
  return webhooks(createReceiver(callkaro, options))
}
