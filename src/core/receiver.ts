import { types } from 'node:util'
import type { Provider } from '../providers/provider.ts'
import type { Forgotten, KeyStatus } from '../stores/store.ts'
import { checkTenant } from './authentication/tenant.ts'
import { checkOptions, optionInvalid, wholeNumber } from './checks.ts'
import { type CloseOptions, type CloseReport, Closing, type ClosingSteps } from './closing.ts'
import { RinghookError } from './errors.ts'
import { keyOfBody } from './event/decode.ts'
import type { OwnEvents } from './event/event-types.ts'
import type { Consumer } from './inbox/dispatcher.ts'
import { type InboxAdmin, ReceiverInboxAdmin } from './inbox/inbox-admin.ts'
import { noInbox } from './inbox/inbox-checks.ts'
import { InboxConsumer } from './inbox/inbox-consumer.ts'
import { concurrencyBounds } from './inbox/inbox-worker.ts'
import { ReceiverWorker } from './inbox/receiver-worker.ts'
import type { UncheckedOptions } from './options/option-checks.ts'
import type { ReceiverOptions } from './options/options.ts'
import { compileSettings, type Settings } from './options/settings.ts'
import { Pipeline } from './pipeline.ts'
import { type Internals, internals } from './receiver-internals.ts'
import { isMountedAsHandler, refuseCall } from './request/adapter-mismatch.ts'
import type { Reply, RequestLike } from './request/http.ts'

/** Receives the deliveries of one provider. Adapters mount it; tests deliver straight into it. */
export interface Receiver<P extends Provider = Provider> {
  readonly provider: P
  /**
   * Takes one delivery through the whole pipeline to its answer. Never rejects: a request that cannot
   * be read is answered 500 RINGHOOK_REQUEST_INVALID, and the log says what it is and what to give.
   */
  receive(request: RequestLike): Promise<Reply>
  /**
   * Lets a completed event run again the next time it is delivered: for an operator who redelivers
   * it manually, which would be a duplicate otherwise. `eventId` is the `id` of the event, as in
   * handlers, `onOutcome` and the log. If the `secret` function names tenants, pass the event's
   * tenant: the same id of another tenant, or of none, is another event.
   *
   * Returns `forgotten`; `in_flight` while the event runs, here or elsewhere (nothing is changed: try
   * again when it has ended); `unknown` if the store doesn't remember it.
   *
   * @throws {RinghookError} RINGHOOK_OPTION_INVALID; RINGHOOK_STORE_UNAVAILABLE with the store's
   * error as its cause.
   */
  forget(eventId: string, options?: TenantOption): Promise<Forgotten>
  /**
   * Returns how far an event has come, and changes nothing. `eventId` and `tenant` as for `forget`.
   *
   * `completed`; `in_flight` while it runs, here or elsewhere; `unknown` if the store does not
   * remember it. With an inbox, an event that waits there is `unknown`.
   *
   * @throws {RinghookError} RINGHOOK_OPTION_INVALID; RINGHOOK_STORE_UNAVAILABLE with the store's
   * error as its cause.
   */
  status(eventId: string, options?: TenantOption): Promise<EventStatus>
  /**
   * The same for the event in the bytes of a delivery, which are neither verified nor checked for
   * their age. Also `unknown` if no handler takes the event, or the bytes can't be read or fail the
   * event's schema: a delivery of them would not be a duplicate.
   *
   * @throws {RinghookError} RINGHOOK_OPTION_INVALID; RINGHOOK_STORE_UNAVAILABLE with the store's
   * error as its cause.
   */
  statusOfBody(rawBody: Uint8Array, options?: TenantOption): Promise<EventStatus>
  /**
   * Lists and counts the deliveries in the inbox, and replays or discards dead letters.
   *
   * @throws {RinghookError} RINGHOOK_INBOX_MISSING: the receiver has no inbox.
   */
  readonly inbox: InboxAdmin
  /**
   * Starts a worker for this receiver, in this process: it runs the handlers for deliveries received
   * here or elsewhere, until `close()`. A process without an HTTP server can be a worker too. For
   * receivers that share an inbox, there is `createWorker`.
   *
   * @throws {RinghookError} RINGHOOK_INBOX_MISSING; RINGHOOK_INBOX_SHARED: another receiver of this
   * process has the inbox too; RINGHOOK_OPTION_INVALID, RINGHOOK_SHUTTING_DOWN; if the inbox's
   * database fails, as RINGHOOK_STORE_UNREACHABLE.
   */
  start(options?: StartOptions): Promise<void>
  /** Resolves when no delivery is active and no handler runs, not even one past its deadline. */
  idle(): Promise<void>
  /**
   * Shuts the receiver down. For `acceptForMs` it still accepts deliveries, and its answers ask for
   * another connection (`connection: close`). Then it answers 503 to every delivery whose handler
   * hasn't started, half-received uploads included, and lets running handlers finish. After `drainMs`
   * their `signal` aborts; their leases are still renewed as long as the process lives. The worker of
   * an inbox stops claiming at once, and gives back what isn't done by then.
   *
   * A second call returns the same report. Times that it sets can only shorten those of the first:
   * `close({ acceptForMs: 0, drainMs: 0 })` ends the wait.
   *
   * @throws {RinghookError} RINGHOOK_OPTION_INVALID
   */
  close(options?: CloseOptions): Promise<CloseReport>
}

/** What {@link Receiver.status} found. */
export type EventStatus = KeyStatus

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
 * Creates a receiver: `webhooks(receiver)` of an adapter mounts it. `krosaiWebhooks(options)` and its
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
  return new WebhookReceiver(provider, options as UncheckedOptions)
}

/** The public object, and its life: what a delivery goes through is in the pipeline. */
class WebhookReceiver<P extends Provider> implements Receiver<P> {
  readonly provider: P
  readonly #settings: Settings
  readonly #pipeline: Pipeline
  readonly #closing: Closing
  readonly #worker: ReceiverWorker | undefined
  readonly #inboxAdmin: InboxAdmin | undefined

  constructor(provider: P, options: UncheckedOptions) {
    const settings = compileSettings(provider, options)
    const { inbox, clock, namespace } = settings
    this.provider = provider
    this.#settings = settings
    this.#closing = new Closing(clock, this.#closingSteps())
    this.#pipeline = new Pipeline(provider, settings, this.#closing)
    if (inbox !== undefined) {
      const id = { provider: provider.name, namespace }
      this.#worker = new ReceiverWorker(inbox, id, () => this.#consumer())
      this.#inboxAdmin = new ReceiverInboxAdmin(inbox, clock)
    }
    // They work without the receiver in front of them: `const { receive } = receiver`.
    this.receive = this.receive.bind(this)
    this.forget = this.forget.bind(this)
    this.status = this.status.bind(this)
    this.statusOfBody = this.statusOfBody.bind(this)
    this.start = this.start.bind(this)
    this.idle = this.idle.bind(this)
    this.close = this.close.bind(this)
  }

  get [internals](): Internals {
    return {
      settings: this.#settings,
      hasWorker: this.#worker?.isRunning === true,
      consumer: () => this.#consumer(),
    }
  }

  /** @param others - What a framework passes beside its request, if this was mounted as a handler. */
  receive(request: RequestLike, ...others: readonly unknown[]): Promise<Reply> {
    if (!isMountedAsHandler(request, others[0])) return this.#pipeline.receive(request)
    // It isn't an adapter: what it resolves to is what the framework gets back.
    return refuseCall(this, 'receiver.receive()', [request, ...others]) as Promise<Reply>
  }

  async forget(eventId: string, options: TenantOption = {}): Promise<Forgotten> {
    const tenant = tenantIn('receiver.forget()', options)
    const key = this.#keyOfId(eventId, tenant)
    return await this.#pipeline.executor.forget(key, this.#settings.inbox)
  }

  async status(eventId: string, options: TenantOption = {}): Promise<EventStatus> {
    const tenant = tenantIn('receiver.status()', options)
    return await this.#pipeline.executor.status(this.#keyOfId(eventId, tenant))
  }

  async statusOfBody(rawBody: Uint8Array, options: TenantOption = {}): Promise<EventStatus> {
    const tenant = tenantIn('receiver.statusOfBody()', options)
    if (!types.isUint8Array(rawBody)) {
      throw optionInvalid(
        'receiver.statusOfBody() takes the bytes of a delivery.',
        'For the id of an event there is receiver.status(eventId).',
      )
    }
    const key = keyOfBody(this.provider, this.#settings, rawBody, tenant)
    return key === undefined ? 'unknown' : await this.#pipeline.executor.status(key)
  }

  get inbox(): InboxAdmin {
    if (this.#inboxAdmin === undefined) throw noInbox('receiver.inbox')
    return this.#inboxAdmin
  }

  async start(options: StartOptions = {}): Promise<void> {
    checkOptions('receiver.start()', options, ['concurrency'])
    if (this.#worker === undefined) throw noInbox('receiver.start()')
    if (this.#closing.hasBegun) {
      throw new RinghookError(
        'RINGHOOK_SHUTTING_DOWN',
        'The receiver was closed and cannot be started again. Create a new one.',
      )
    }
    await this.#worker.start(wholeNumber('concurrency', options.concurrency, concurrencyBounds))
  }

  idle(): Promise<void> {
    return this.#pipeline.active.idle()
  }

  close(options: CloseOptions = {}): Promise<CloseReport> {
    return this.#closing.close(options)
  }

  #keyOfId(eventId: string, tenant: string | undefined): string {
    if (typeof eventId === 'string' && eventId !== '') return this.#settings.keyOf(eventId, tenant)
    throw optionInvalid('eventId must be text.', 'Pass the id of an event, as onOutcome has it.')
  }

  #consumer(): Consumer {
    return new InboxConsumer(this.provider, this.#settings, this.#pipeline, this.#closing)
  }

  #closingSteps(): ClosingSteps {
    const pending = () => this.#pipeline.active.pending.count
    return {
      stopWorker: (drainMs) => this.#worker?.stop(drainMs),
      refuse: () => this.#pipeline.refuse(),
      idle: () => this.#pipeline.active.drained(),
      running: pending,
      abort: () => {
        this.#worker?.abort()
        if (pending() > 0) this.#pipeline.executor.abortAll(closedTooSoon())
      },
    }
  }
}

function tenantIn(where: string, options: TenantOption): string | undefined {
  checkOptions(where, options, ['tenant'])
  checkTenant(options.tenant)
  return options.tenant
}

function closedTooSoon(): RinghookError {
  return new RinghookError(
    'RINGHOOK_SHUTTING_DOWN',
    'The receiver was closed and drainMs is over. Stop; the event runs again when its lease has run out.',
  )
}
