import type { Inbox } from '../../inboxes/inbox.ts'
import { optionInvalid } from '../checks.ts'
import type { Consumer, ReceiverId } from './dispatcher.ts'
import { InboxUsage, type StartedWorker } from './inbox-usage.ts'
import { InboxWorker } from './inbox-worker.ts'

/** Starts a worker for one receiver, and stops the one that runs its deliveries. */
export class ReceiverWorker {
  readonly #inbox: Inbox
  readonly #usage: InboxUsage
  readonly #receiver: ReceiverId
  readonly #newConsumer: () => Consumer
  /** The one that `receiver.start()` began. */
  #own: InboxWorker | undefined
  /** The one that ran when the receiver was closed. */
  #closed: StartedWorker | undefined

  /** @throws {RinghookError} RINGHOOK_INBOX_INVALID, RINGHOOK_INBOX_SHARED */
  constructor(inbox: Inbox, receiver: ReceiverId, newConsumer: () => Consumer) {
    this.#inbox = inbox
    this.#usage = InboxUsage.of(inbox)
    this.#receiver = receiver
    this.#newConsumer = newConsumer
    this.#usage.addReceiver(receiver)
  }

  /** Whether a worker in this process runs the receiver's deliveries. */
  get isRunning(): boolean {
    const worker = this.#usage.workerFor(this.#receiver)
    return worker !== undefined && worker.stopped === undefined
  }

  async start(concurrency: number): Promise<void> {
    if (this.#own?.isRunning !== true) {
      this.#own = new InboxWorker(this.#inbox, [this.#newConsumer()], concurrency)
    } else if (this.#own.concurrency !== concurrency) {
      throw optionInvalid(
        `The worker of this receiver is running with concurrency ${this.#own.concurrency}.`,
        'To change it, close the receiver and create a new one.',
      )
    }
    await this.#own.start()
  }

  /** Closes the worker that runs the receiver's deliveries, whoever started it. Never rejects. */
  async stop(drainMs: number): Promise<void> {
    this.#usage.removeReceiver(this.#receiver)
    this.#closed = this.#usage.workerFor(this.#receiver)
    await this.#closed?.close({ drainMs })
  }

  /** Tells the receiver's running handlers to stop. */
  abort(): void {
    this.#closed?.abort(this.#receiver)
  }
}
