import type { Attempt, AttemptResult, StoredDelivery } from '../../inboxes/inbox.ts'
import type { Provider } from '../../providers/provider.ts'
import type { ActiveCount } from '../active-count.ts'
import type { Clock } from '../clock.ts'
import type { Closing } from '../closing.ts'
import { attemptOutcome, Delivery } from '../delivery.ts'
import { RinghookError } from '../errors.ts'
import { decode, validate } from '../event/decode.ts'
import type { Route } from '../event/routing.ts'
import type { Executor } from '../execution/executor.ts'
import type { Settings } from '../options/settings.ts'
import { type Answer, answerFor } from '../outcome/answers.ts'
import type { Pipeline } from '../pipeline.ts'
import { CheckedRequest } from '../request/request.ts'
import { attemptResultFor } from './attempt-result.ts'
import type { Consumer } from './dispatcher.ts'
import { mostAttempts, type RetryPolicy } from './retry.ts'
import { bodyOf } from './stored-delivery.ts'

/**
 * Runs the deliveries that a worker takes from an inbox for one receiver: the steps that are left
 * after a delivery was verified and enqueued.
 */
export class InboxConsumer implements Consumer {
  readonly provider: string
  readonly namespace: string
  readonly #provider: Provider
  readonly #settings: Settings
  readonly #executor: Executor
  readonly #active: ActiveCount
  readonly #closing: Pick<Closing, 'hasBegun'>
  #isEnding = false

  constructor(
    provider: Provider,
    settings: Settings,
    { executor, active }: Pick<Pipeline, 'executor' | 'active'>,
    closing: Pick<Closing, 'hasBegun'>,
  ) {
    this.provider = provider.name
    this.namespace = settings.namespace
    this.#provider = provider
    this.#settings = settings
    this.#executor = executor
    this.#active = active.pending
    this.#closing = closing
  }

  get clock(): Clock {
    return this.#settings.clock
  }

  get isClosing(): boolean {
    return this.#closing.hasBegun
  }

  async process(stored: StoredDelivery, attempt: Attempt): Promise<AttemptResult> {
    const delivery = this.#deliveryOf(stored, attempt)
    this.#active.enter()
    const answer = await this.#execute(delivery, attempt).catch((error: unknown) =>
      answerFor('RINGHOOK_INTERNAL_ERROR', { error }),
    )
    const policy = delivery.route?.retry ?? this.#settings.retry.common
    const now = this.clock.now()
    const result = this.#resultOf(answer, policy, attempt, now)
    this.#settings.report(attemptOutcome(this.provider, delivery, answer, result, now))
    this.#active.leave()
    return result
  }

  abort(): void {
    this.#isEnding = true
    // With an inbox every handler runs in an attempt.
    this.#executor.abortAll(
      new RinghookError(
        'RINGHOOK_SHUTTING_DOWN',
        'The worker was closed and drainMs is over. Stop; the event runs again in another worker.',
      ),
    )
  }

  onParked({ outcome, code, reason }: Answer, provider = this.provider): void {
    const about = { provider, durationMs: 0, next: 'dead' } as const
    this.#settings.report({
      outcome,
      ...(code !== undefined && { code }),
      ...(reason !== undefined && { reason }),
      ...about,
    })
  }

  onWorkerError(error: unknown): void {
    this.#settings.report.inboxFailed(this.provider, error)
  }

  #resultOf(answer: Answer, policy: RetryPolicy, attempt: Attempt, now: number): AttemptResult {
    const result = attemptResultFor(answer, policy, attempt, now)
    // The inbox has taken it back, or is about to.
    return this.#isEnding && result.state !== 'completed'
      ? { state: 'postponed', delayMs: 0 }
      : result
  }

  /** The steps that are left once a delivery is in the inbox. */
  async #execute(delivery: Delivery, { number }: Attempt): Promise<Answer> {
    if (number > mostAttempts) return await this.#executor.giveUp(delivery)
    const { key } = delivery
    const unread = decode(this.#provider, this.#settings, delivery)
    if (unread !== undefined) return unread
    const { handler, retry } = delivery.route as Route
    if (handler === undefined) return answerFor('RINGHOOK_HANDLER_MISSING')
    // Before the schema, which may be what ended the process each time.
    if (number > retry.maxAttempts) return await this.#executor.giveUp(delivery)
    const invalid = validate(this.#provider, this.#settings, delivery)
    // The key that it was enqueued under: the functions that made it may have changed since.
    delivery.key = key
    return invalid ?? (await this.#executor.execute(delivery))
  }

  #deliveryOf(stored: StoredDelivery, attempt: Attempt): Delivery {
    const startedAtMs = this.clock.now()
    const deadlineMs = startedAtMs + this.#settings.ackDeadlineMs
    const request = new CheckedRequest({ method: 'POST', headers: stored.headers })
    const times = { receivedAtMs: stored.receivedAt, startedAtMs, deadlineMs }
    const delivery = new Delivery(request, times, 'claim', attempt)
    delivery.rawBody = bodyOf(stored)
    delivery.type = stored.type
    delivery.sentAs = stored.sentAs
    delivery.eventId = stored.eventId
    delivery.tenant = stored.tenant
    delivery.key = stored.key
    delivery.attempt = attempt.number
    return delivery
  }
}
