import type { OwnEvents } from './core/event/event-types.ts'
import type { ReceiverOptions } from './core/options/options.ts'
import { createReceiver, type Receiver } from './core/receiver.ts'
import { checkReceiver } from './core/receiver-check.ts'
import { refuseCall } from './core/request/adapter-mismatch.ts'
import { isFastifyInstance } from './core/request/framework-arguments.ts'
import { type NodeMessage, nodeRequest } from './core/request/node-request.ts'
import type { ParsedBody } from './core/request/request-body.ts'
import { callkaro } from './providers/callkaro/callkaro.ts'
import { krosai } from './providers/krosai/krosai.ts'
import { odis } from './providers/odis/odis.ts'

/** The parts of Fastify's reply that ringhook writes. */
export interface FastifyReplyLike {
  readonly sent: boolean
  readonly raw: { readonly headersSent: boolean; destroy(): unknown }
  code(status: number): unknown
  headers(headers: Record<string, string>): unknown
  send(body: string): unknown
}

/** The parts of a Fastify instance that ringhook uses. */
export interface FastifyLike {
  all(
    path: string,
    options: {
      onRequest(request: ParsedBody & { readonly raw: NodeMessage }, reply: FastifyReplyLike): void
    },
    handler: () => Promise<unknown>,
  ): unknown
}

/** A Fastify plugin: register it with the prefix that is to be the endpoint's path. */
export type FastifyWebhooks = (fastify: FastifyLike) => Promise<void>

/**
 * Mounts a receiver on Fastify 5. The plugin adds one route at its prefix, for every method that the
 * app supports, and nothing else. Other frameworks are answered 500 RINGHOOK_ADAPTER_MISMATCH.
 *
 * @throws {RinghookError} RINGHOOK_RECEIVER_INVALID
 *
 * @example
 * ```ts
 * import Fastify from 'fastify'
 * import { createReceiver, krosai } from 'ringhook'
 * import { webhooks } from 'ringhook/fastify'
 *
 * const receiver = createReceiver(krosai, {
 *   secret: process.env.KROSAI_WEBHOOK_SECRET,
 *   on: { '*': (event) => console.log(event.type) },
 * })
 * export const app = Fastify()
 * app.register(webhooks(receiver), { prefix: '/hooks' })
 * ```
 */
export function webhooks(receiver: Receiver): FastifyWebhooks {
  checkReceiver(receiver)
  return function ringhookFastify(fastify, ...others: readonly unknown[]) {
    if (!isFastifyInstance(fastify)) {
      const given = [fastify, ...others]
      return refuseCall(receiver, 'The plugin of ringhook/fastify', given) as Promise<void>
    }
    // Answered before Fastify parses: its parsers, its body limit and its opinion of content types
    // stay out of it, and those of the routes beside this one stay as they are. The hook is one that
    // calls back, and never does: an async one that answers a sender who has gone lets Fastify go on.
    fastify.all(
      '/',
      {
        onRequest(request, reply) {
          receiver
            .receive(nodeRequest(request.raw, request))
            .then(({ status, headers, body }) => {
              // Something else, such as a timeout, may have answered in the meantime.
              if (reply.sent || reply.raw.headersSent) return
              reply.code(status)
              reply.headers(headers)
              reply.send(body)
            })
            .catch(() => reply.raw.destroy())
        },
      },
      unreachable,
    )
    return Promise.resolve()
  }
}

async function unreachable(): Promise<void> {}

/** Mounts a KrosAI endpoint: `webhooks(createReceiver(krosai, options))`. */
export function krosaiWebhooks<const Own extends OwnEvents = Record<never, never>>(
  options: ReceiverOptions<typeof krosai, Own>,
): FastifyWebhooks {
  return webhooks(createReceiver(krosai, options))
}

/** Mounts an ODIS AI endpoint: `webhooks(createReceiver(odis, options))`. */
export function odisWebhooks<const Own extends OwnEvents = Record<never, never>>(
  options: ReceiverOptions<typeof odis, Own>,
): FastifyWebhooks {
  return webhooks(createReceiver(odis, options))
}

/** Mounts a CallKaro AI endpoint: `webhooks(createReceiver(callkaro, options))`. */
export function callkaroWebhooks<const Own extends OwnEvents = Record<never, never>>(
  options: ReceiverOptions<typeof callkaro, Own>,
): FastifyWebhooks {
  return webhooks(createReceiver(callkaro, options))
}
