import type { Inbox } from '../../inboxes/inbox.ts'
import { captureContext } from '../async-context.ts'
import { checkOptions } from '../checks.ts'
import { type CloseReport, Closing } from '../closing.ts'
import { RinghookError } from '../errors.ts'
import { type Consumer, Dispatcher, type ReceiverId } from './dispatcher.ts'
import { InboxUsage, type StartedWorker } from './inbox-usage.ts'

/** How many deliveries a worker processes at a time. */
export const concurrencyBounds = { min: 1, max: 1_000, default: 10 }

/** What {@link InboxWorker.close} takes. */
export interface WorkerCloseOptions {
  /** How long to wait for running handlers, in ms. Default: 10 000. */
  readonly drainMs?: number
}

/** Runs the deliveries of an inbox: those of some receivers, in this process. */
export class InboxWorker implements StartedWorker {
  readonly concurrency: number
  readonly #inbox: Inbox
  readonly #usage: InboxUsage
  readonly #consumers: readonly Consumer[]
  readonly #dispatcher: Dispatcher
  readonly #closing: Closing
  #started: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  constructor(inbox: Inbox, consumers: readonly [Consumer, ...Consumer[]], concurrency: number) {
    this.#consumers = consumers
    this.concurrency = concurrency
    this.#inbox = inbox
    this.#usage = InboxUsage.of(inbox)
    this.#dispatcher = new Dispatcher(consumers)
    this.#closing = new Closing(consumers[0].clock, {
      stopWorker: (drainMs) => this.#stop(drainMs),
      refuse() {},
      idle: () => this.#dispatcher.idle(),
      running: () => this.#dispatcher.running,
      abort: () => this.#dispatcher.end(),
    })
  }

  /** Whether it was started, and not closed since. */
  get isRunning(): boolean {
    return this.#started !== undefined && !this.#closing.hasBegun
  }

  get receivers(): readonly ReceiverId[] {
    return this.#consumers
  }

  get stopped(): Promise<void> | undefined {
    return this.#stopped
  }

  /** Resolves once the inbox hands out deliveries. Can be called again, also after it failed. */
  async start(): Promise<void> {
    if (this.#closing.hasBegun || this.#consumers.some(({ isClosing }) => isClosing)) {
      throw new RinghookError(
        'RINGHOOK_SHUTTING_DOWN',
        'The worker, or one of its receivers, was closed and cannot be started again. Create a new one.',
      )
    }
    // Not after an await: a close meanwhile must see that there is a worker to stop.
    this.#started ??= this.#begin()
    await this.#started
  }

  async close(options: WorkerCloseOptions = {}): Promise<CloseReport> {
    checkOptions('worker.close()', options, ['drainMs'])
    return await this.#closing.close(options)
  }

  abort(receiver: ReceiverId): void {
    this.#dispatcher.abort(receiver)
  }

  #begin(): Promise<void> {
    // Handlers run in the async context of the caller of start(), whatever wakes the engine.
    const inContext = captureContext()
    const started = this.#usage.enter(this).then(() =>
      this.#inbox.start(
        (delivery, attempt) => inContext(() => this.#dispatcher.dispatch(delivery, attempt)),
        {
          concurrency: this.concurrency,
          onError: (error) => inContext(() => this.#dispatcher.onWorkerError(error)),
        },
      ),
    )
    started.catch(() => {
      this.#started = undefined
      this.#usage.leave(this)
    })
    return started
  }

  #stop(drainMs: number): Promise<void> | undefined {
    this.#stopped = this.#started
      ?.then(() => this.#inbox.stop({ drainMs }), notStarted)
      .catch((error: unknown) => this.#dispatcher.onWorkerError(error))
      .then(() => this.#usage.leave(this))
    return this.#stopped
  }
}

function notStarted(): void {
  // The caller of start() has the error.
}
