import type { Attempt, AttemptResult, StoredDelivery } from '../../inboxes/inbox.ts'
import { ActiveCount } from '../active-count.ts'
import type { Clock } from '../clock.ts'
import { type Answer, answerFor } from '../outcome/answers.ts'
import { failureOf } from './attempt-result.ts'
import { readStoredDelivery } from './stored-delivery.ts'

/** Which deliveries of an inbox belong to a receiver. */
export interface ReceiverId {
  readonly provider: string
  readonly namespace: string
}

/** Runs the deliveries of one receiver, for one worker. */
export interface Consumer extends ReceiverId {
  readonly clock: Clock
  /** Whether its receiver was closed. */
  readonly isClosing: boolean
  /** Runs one attempt of a delivery of its own. Never rejects. */
  process(delivery: StoredDelivery, attempt: Attempt): Promise<AttemptResult>
  /** Tells the running handlers to stop. From now on an attempt that fails is only postponed. */
  abort(): void
  /** Reports a delivery that no receiver of the worker can run. */
  onParked(answer: Answer, provider: string | undefined): void
  /** Reports an error of the worker itself. */
  onWorkerError(error: unknown): void
}

/** Hands each delivery of an inbox to the receiver that it belongs to. */
export class Dispatcher {
  readonly #consumers: ReadonlyMap<string, Consumer>
  /** Reports what belongs to no receiver. */
  readonly #first: Consumer
  readonly #active = new ActiveCount()
  #hasEnded = false

  /** @param consumers - One for each receiver. */
  constructor(consumers: readonly [Consumer, ...Consumer[]]) {
    this.#consumers = new Map(consumers.map((consumer) => [receiverKey(consumer), consumer]))
    this.#first = consumers[0]
  }

  /**
   * Runs one attempt. What can't be read, or belongs to another receiver, becomes a dead letter.
   *
   * @param delivery - What the inbox found, whatever it is.
   */
  async dispatch(delivery: unknown, attempt: Attempt): Promise<AttemptResult> {
    // The inbox takes back what it hands out now.
    if (this.#hasEnded) return { state: 'postponed', delayMs: 0 }
    this.#active.enter()
    try {
      return await this.#dispatch(delivery, attempt)
    } finally {
      this.#active.leave()
    }
  }

  /** How many attempts are running. */
  get running(): number {
    return this.#active.count
  }

  /** Resolves when no attempt is running. */
  idle(): Promise<void> {
    return this.#active.idle()
  }

  /** Begins no attempt any more, and tells all running handlers to stop. */
  end(): void {
    this.#hasEnded = true
    for (const consumer of this.#consumers.values()) consumer.abort()
  }

  /** Tells the running handlers of a receiver to stop. */
  abort(receiver: ReceiverId): void {
    this.#consumers.get(receiverKey(receiver))?.abort()
  }

  onWorkerError(error: unknown): void {
    this.#first.onWorkerError(error)
  }

  async #dispatch(delivery: unknown, attempt: Attempt): Promise<AttemptResult> {
    const stored = readStoredDelivery(delivery)
    if (typeof stored === 'string') {
      const reason = `what the inbox has under ${attempt.id} cannot be read: ${stored}`
      return this.#park(answerFor('RINGHOOK_DELIVERY_UNREADABLE', { reason }))
    }
    const consumer = this.#consumers.get(receiverKey(stored))
    if (consumer !== undefined) return await consumer.process(stored, attempt)
    const reason = 'the worker has no receiver for its provider and namespace'
    return this.#park(answerFor('RINGHOOK_RECEIVER_MISSING', { reason }), stored.provider)
  }

  #park(answer: Answer, provider?: string): AttemptResult {
    this.#first.onParked(answer, provider)
    return { state: 'dead', failure: failureOf(answer, this.#first.clock.now()) }
  }
}

/** Returns the text by which receivers are told apart. */
export function receiverKey({ provider, namespace }: ReceiverId): string {
  return `${provider}\n${namespace}`
}
