import type { OwnEvents } from './core/event/event-types.ts'
import type { ReceiverOptions } from './core/options/options.ts'
import { createReceiver, type Receiver } from './core/receiver.ts'
import { checkReceiver } from './core/receiver-check.ts'
import { refuseCall } from './core/request/adapter-mismatch.ts'
import { isKoaContext } from './core/request/framework-arguments.ts'
import { type NodeMessage, nodeRequest } from './core/request/node-request.ts'
import type { ParsedBody } from './core/request/request-body.ts'
import { callkaro } from './providers/callkaro/callkaro.ts'
import { krosai } from './providers/krosai/krosai.ts'
import { odis } from './providers/odis/odis.ts'

/** The parts of Koa's context that ringhook reads and writes. */
export interface KoaContext {
  readonly req: NodeMessage
  /** What Koa's parsers leave is here. `req` tells the compiler that this is Koa's request. */
  readonly request: ParsedBody & { readonly req: unknown }
  status: number
  body: unknown
  set(headers: Record<string, string>): void
}

/** A Koa middleware: it answers every request that reaches it, and never calls `next`. */
export type KoaMiddleware = (context: KoaContext) => Promise<void>

/**
 * Mounts a receiver on Koa 2.15+ or 3. Other frameworks are answered 500 RINGHOOK_ADAPTER_MISMATCH.
 *
 * @throws {RinghookError} RINGHOOK_RECEIVER_INVALID
 *
 * @example
 * ```ts
 * import Router from '@koa/router'
 * import { createReceiver, krosai } from 'ringhook'
 * import { webhooks } from 'ringhook/koa'
 *
 * const receiver = createReceiver(krosai, {
 *   secret: process.env.KROSAI_WEBHOOK_SECRET,
 *   on: { '*': (event) => console.log(event.type) },
 * })
 * export const router = new Router()
 * router.post('/hooks', webhooks(receiver))
 * ```
 */
export function webhooks(receiver: Receiver): KoaMiddleware {
  checkReceiver(receiver)
  async function answer(context: KoaContext): Promise<void> {
    const { status, headers, body } = await receiver.receive(
      nodeRequest(context.req, context.request),
    )
    context.status = status
    context.set(headers)
    context.body = body
  }
  return function ringhookKoa(context, ...others: readonly unknown[]) {
    if (isKoaContext(context)) return answer(context)
    const given = [context, ...others]
    return refuseCall(receiver, 'The handler of ringhook/koa', given) as Promise<void>
  }
}

/** Mounts a KrosAI endpoint: `webhooks(createReceiver(krosai, options))`. */
export function krosaiWebhooks<const Own extends OwnEvents = Record<never, never>>(
  options: ReceiverOptions<typeof krosai, Own>,
): KoaMiddleware {
  return webhooks(createReceiver(krosai, options))
}

/** Mounts an ODIS AI endpoint: `webhooks(createReceiver(odis, options))`. */
export function odisWebhooks<const Own extends OwnEvents = Record<never, never>>(
  options: ReceiverOptions<typeof odis, Own>,
): KoaMiddleware {
  return webhooks(createReceiver(odis, options))
}

/** Mounts a CallKaro AI endpoint: `webhooks(createReceiver(callkaro, options))`. */
export function callkaroWebhooks<const Own extends OwnEvents = Record<never, never>>(
  options: ReceiverOptions<typeof callkaro, Own>,
): KoaMiddleware {
  return webhooks(createReceiver(callkaro, options))
}
