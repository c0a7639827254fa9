import type { Provider } from '../providers/provider.ts'
import type { Forgotten } from '../stores/store.ts'
import type { CloseOptions, CloseReport } from './closing.ts'
import { RinghookError } from './errors.ts'
import type { OwnEvents } from './event/event-types.ts'
import type { InboxAdmin } from './inbox/inbox-admin.ts'
import type { UncheckedOptions } from './options/option-checks.ts'
import type { ReceiverOptions } from './options/options.ts'
import { Pipeline } from './pipeline.ts'
import { isFastifyInstance, isFrameworkArgument } from './request/framework-arguments.ts'
import type { Reply, RequestLike } from './request/http.ts'
import { isThenable } from './thenable.ts'

/** Receives the deliveries of one provider. Adapters mount it; tests deliver straight into it. */
export interface Receiver<P extends Provider = Provider> {
  readonly provider: P
  /**
   * Takes one delivery through the whole pipeline to its answer. Never rejects: a request that cannot
   * be read is answered 500 RINGHOOK_REQUEST_INVALID, and the log says what it is and what to give.
   */
  receive(request: RequestLike): Promise<Reply>
  /**
   * Makes one finished event run again when it is delivered again: for an operator who has the
   * provider redeliver it by hand, which would be a duplicate otherwise. `eventId` is the `id` of
   * the event, as handlers, `onOutcome` and the log have it. If the `secret` function names tenants,
   * say whose event it is: the same id of another tenant, or of none, is another event.
   *
   * Gives `forgotten`; `in_flight` while the event runs, here or elsewhere (nothing is changed: ask
   * again when it has finished); `unknown` if the store does not remember it.
   *
   * @throws {RinghookError} RINGHOOK_OPTION_INVALID; RINGHOOK_STORE_UNAVAILABLE with the store's
   * error as its cause.
   */
  forget(eventId: string, options?: TenantOption): Promise<Forgotten>
  /**
   * Says how far an event has come, and changes nothing. `event` is its `id`, as handlers,
   * `onOutcome` and the log have it, or the bytes of a delivery, which are neither verified nor
   * checked for their age. `tenant` as for `forget`.
   *
   * Returns `completed`; `in_flight` while it runs, here or elsewhere; `unknown` if the store does not
   * remember it, or no handler takes it, or the bytes cannot be read or fail the event's schema: a
   * delivery of it would not be a duplicate. With an inbox, an event that waits there is `unknown`.
   *
   * @throws {RinghookError} RINGHOOK_OPTION_INVALID; RINGHOOK_STORE_UNAVAILABLE with the store's
   * error as its cause.
   */
  status(event: string | Uint8Array, options?: TenantOption): Promise<EventStatus>
  /**
   * What the inbox has: to list it, to replay or discard what is dead, and to count it.
   *
   * @throws {RinghookError} RINGHOOK_INBOX_MISSING: the receiver has no inbox.
   */
  readonly inbox: InboxAdmin
  /**
   * Starts the worker of the inbox, in this process: it runs the handlers of what was received here
   * or elsewhere, until `close()`. A process without an HTTP server may be such a worker too.
   * Receivers of this process that share an inbox share its worker.
   *
   * @throws {RinghookError} RINGHOOK_INBOX_MISSING, RINGHOOK_OPTION_INVALID, RINGHOOK_SHUTTING_DOWN;
   * what the inbox's database failed with, as RINGHOOK_STORE_UNREACHABLE.
   */
  start(options?: StartOptions): Promise<void>
  /** Resolves when no delivery is on its way and no handler runs, those past their deadline included. */
  idle(): Promise<void>
  /**
   * Shuts the receiver down. For `acceptForMs` it goes on accepting deliveries, and its answers ask
   * for another connection (`connection: close`). Then it answers 503 to every delivery that no
   * handler has begun for, uploads that are half there included, and lets the handlers that run
   * finish. After `drainMs` their `signal` aborts; their leases are still renewed for as long as the
   * process lives. The worker of an inbox stops claiming at once, and gives back what has not
   * finished by then.
   *
   * A second call returns the same report. Times that it sets can only shorten those of the first:
   * `close({ acceptForMs: 0, drainMs: 0 })` ends the wait.
   *
   * @throws {RinghookError} RINGHOOK_OPTION_INVALID
   */
  close(options?: CloseOptions): Promise<CloseReport>
}

/** What {@link Receiver.status} found. */
export type EventStatus = 'completed' | 'in_flight' | 'unknown'

/** Whose event is meant. */
export interface TenantOption {
  /** The tenant that the `secret` function named for it. Default: none. */
  readonly tenant?: string
}

export interface StartOptions {
  /** How many deliveries are processed at a time. Default: 10. From 1 to 1 000. */
  readonly concurrency?: number
}

/**
 * Makes a receiver: `webhooks(receiver)` of an adapter mounts it. `krosaiWebhooks(options)` and its
 * siblings do both in one step.
 *
 * @throws {RinghookError} when the set-up is wrong; see {@link SetupCode}.
 * @example
 * ```ts
 * import { createReceiver, krosai } from 'ringhook'
 *
 * export const receiver = createReceiver(krosai, {
 *   secret: process.env.KROSAI_WEBHOOK_SECRET,
 *   on: { 'call.completed': (event) => console.log(event.data.duration) },
 * })
 * ```
 */
export function createReceiver<
  P extends Provider,
  const Own extends OwnEvents = Record<never, never>,
>(provider: P, options: ReceiverOptions<P, Own>): Receiver<P> {
  return new Pipeline(provider, options as UncheckedOptions)
}

/**
 * Refuses what is no receiver. For the adapters: without it the mistake would show at the first
 * delivery.
 *
 * @throws {RinghookError} RINGHOOK_RECEIVER_INVALID
 */
export function checkReceiver(receiver: Receiver): Receiver {
  if (typeof receiver?.receive === 'function') return receiver
  throw new RinghookError(
    'RINGHOOK_RECEIVER_INVALID',
    `webhooks() was given ${mistakenFor(receiver)} Pass the receiver that createReceiver(krosai, options) returned, or use krosaiWebhooks(options).`,
  )
}

const mountedItself = 'was webhooks itself mounted? Mount what it returns.'

function mistakenFor(given: unknown): string {
  if (given === undefined || given === null) return 'nothing.'
  if (typeof given === 'function') return 'a function.'
  if (isThenable(given)) return 'a promise. Await it first.'
  if (isFrameworkArgument(given)) return `a request: ${mountedItself}`
  if (isFastifyInstance(given)) return `a Fastify instance: ${mountedItself}`
  if (typeof given !== 'object') return 'something else than a receiver.'
  if ('canonicalNames' in given && 'name' in given) return `the provider ${given.name} alone.`
  return 'secret' in given || 'on' in given || 'urlToken' in given
    ? 'options.'
    : 'something else than a receiver.'
}
