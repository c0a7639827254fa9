import type { Inbox } from '../../inboxes/inbox.ts'
import { RinghookError } from '../errors.ts'
import { type ReceiverId, receiverKey } from './dispatcher.ts'

/** A worker of an inbox that was started, and has not stopped yet. */
export interface StartedWorker {
  readonly receivers: readonly ReceiverId[]
  /** Once it closes: resolves when it has stopped. */
  readonly stopped: Promise<void> | undefined
  close(options: { readonly drainMs: number }): Promise<unknown>
  /** Tells the running handlers of a receiver to stop. */
  abort(receiver: ReceiverId): void
}

const usages = new WeakMap<Inbox, InboxUsage>()

/**
 * Who uses an inbox in this process. Only to refuse set-ups that would park deliveries or run them
 * with the wrong handlers: no delivery passes through here.
 */
export class InboxUsage {
  readonly #receivers = new Map<string, ReceiverId>()
  #worker: StartedWorker | undefined

  /** Returns the usage of an inbox. */
  static of(inbox: Inbox): InboxUsage {
    let usage = usages.get(inbox)
    if (usage === undefined) {
      usage = new InboxUsage()
      usages.set(inbox, usage)
    }
    return usage
  }

  /** @throws {RinghookError} RINGHOOK_INBOX_INVALID, RINGHOOK_INBOX_SHARED */
  addReceiver(receiver: ReceiverId): void {
    const key = receiverKey(receiver)
    if (this.#receivers.has(key)) {
      throw new RinghookError(
        'RINGHOOK_INBOX_INVALID',
        `Two receivers of ${receiver.provider} share an inbox, and their deliveries can't be told apart. Give one of them another namespace, or its own inbox.`,
      )
    }
    if (this.#worker !== undefined && this.#worker.stopped === undefined) {
      throw inboxShared(
        `The worker of this inbox is running, and would park the deliveries of ${nameOf(receiver)}.`,
      )
    }
    this.#receivers.set(key, receiver)
  }

  removeReceiver(receiver: ReceiverId): void {
    this.#receivers.delete(receiverKey(receiver))
  }

  /** Returns the running worker, if it runs the deliveries of this receiver. */
  workerFor(receiver: ReceiverId): StartedWorker | undefined {
    const key = receiverKey(receiver)
    const isIncluded = this.#worker?.receivers.some((one) => receiverKey(one) === key)
    return isIncluded === true ? this.#worker : undefined
  }

  /** Whether a worker of the inbox runs in this process. */
  get hasWorker(): boolean {
    return this.#worker !== undefined && this.#worker.stopped === undefined
  }

  /**
   * Makes a worker the one of the inbox. It may begin once the one before, which is closing, has
   * stopped.
   *
   * @throws {RinghookError} RINGHOOK_INBOX_SHARED
   */
  async enter(worker: StartedWorker): Promise<void> {
    const previous = this.#worker
    if (previous !== undefined && previous.stopped === undefined) {
      throw inboxShared('This inbox has a running worker in this process already.')
    }
    const included = new Set(worker.receivers.map(receiverKey))
    for (const [key, receiver] of this.#receivers) {
      if (included.has(key)) continue
      throw inboxShared(
        `${nameOf(receiver)} shares this inbox, and this worker would park its deliveries.`,
      )
    }
    this.#worker = worker
    await previous?.stopped
  }

  leave(worker: StartedWorker): void {
    if (this.#worker === worker) this.#worker = undefined
  }
}

function inboxShared(cause: string): RinghookError {
  return new RinghookError(
    'RINGHOOK_INBOX_SHARED',
    `${cause} Create all receivers first, then one worker for them: createWorker({ inbox, receivers: [a, b] }).`,
  )
}

/** The receiver as its author knows it: `krosai (namespace "eu")`. */
function nameOf({ provider, namespace }: ReceiverId): string {
  return namespace === '' ? provider : `${provider} (namespace "${namespace}")`
}
