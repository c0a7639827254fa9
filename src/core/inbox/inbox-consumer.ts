import type { Attempt, AttemptResult, StoredDelivery } from '../../inboxes/inbox.ts'
import type { Provider } from '../../providers/provider.ts'
import type { Clock } from '../clock.ts'
import type { Closing } from '../closing.ts'
import { attemptOutcome, type Delivery } from '../delivery.ts'
import { RinghookError } from '../errors.ts'
import { readEvent, routeEvent } from '../event/read-event.ts'
import type { Executor } from '../execution/executor.ts'
import type { Settings } from '../options/settings.ts'
import { type Answer, answerFor } from '../outcome/answers.ts'
import { CheckedRequest } from '../request/request.ts'
import type { UnderWay } from '../under-way.ts'
import { attemptResultFor } from './attempt-result.ts'
import type { Consumer } from './dispatcher.ts'
import { mostAttempts, type RetryPolicy } from './retry.ts'
import { bodyOf } from './stored-delivery.ts'

/** A delivery that came out of an inbox. */
type JobDelivery = Delivery & { readonly job: Attempt }

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
  readonly #underWay: UnderWay
  readonly #closing: Pick<Closing, 'hasBegun'>
  #isEnding = false

  constructor(
    provider: Provider,
    settings: Settings,
    executor: Executor,
    underWay: UnderWay,
    closing: Pick<Closing, 'hasBegun'>,
  ) {
    this.provider = provider.name
    this.namespace = settings.namespace
    this.#provider = provider
    this.#settings = settings
    this.#executor = executor
    this.#underWay = underWay
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
    this.#underWay.enter()
    let policy = this.#settings.retry.common
    const usePolicy = (own: RetryPolicy) => {
      policy = own
    }
    const answer = await this.#run(delivery, stored, usePolicy).catch((error: unknown) =>
      answerFor('RINGHOOK_INTERNAL_ERROR', { error }),
    )
    const now = this.clock.now()
    const result = this.#resultOf(answer, policy, attempt)
    this.#settings.report(attemptOutcome(this.provider, delivery, answer, result, now))
    this.#underWay.leave()
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

  #resultOf(answer: Answer, policy: RetryPolicy, attempt: Attempt): AttemptResult {
    const result = attemptResultFor(answer, policy, attempt, this.clock.now())
    // The inbox has taken it back, or is about to.
    return this.#isEnding && result.state !== 'completed'
      ? { state: 'postponed', delayMs: 0 }
      : result
  }

  async #run(
    delivery: JobDelivery,
    stored: StoredDelivery,
    usePolicy: (policy: RetryPolicy) => void,
  ): Promise<Answer> {
    const body = bodyOf(stored)
    const { job } = delivery
    const giveUp = () => this.#executor.giveUp(delivery, stored.key, body)
    if (job.number > mostAttempts) return await giveUp()
    const read = readEvent(this.#provider, this.#settings, body, stored.headers)
    if ('outcome' in read) return read
    delivery.type = read.type
    delivery.sentAs = read.sentAs
    delivery.eventId = read.eventId
    usePolicy(read.retry)
    const { handler } = read
    if (handler === undefined) return answerFor('RINGHOOK_HANDLER_MISSING')
    // Before the schema, which may be what ended the process each time.
    if (job.number > read.retry.maxAttempts) return await giveUp()
    const routed = routeEvent(this.#provider, this.#settings, read, handler, body, stored.tenant)
    if ('outcome' in routed) return routed
    delivery.eventId = routed.event.id
    // The key that it was enqueued under: the functions that made it may have changed since.
    return await this.#executor.run(delivery, { ...routed, key: stored.key })
  }

  #deliveryOf(stored: StoredDelivery, attempt: Attempt): JobDelivery {
    const now = this.clock.now()
    return {
      request: new CheckedRequest({ method: 'POST', headers: stored.headers }),
      receivedAtMs: stored.receivedAt,
      beganAtMs: now,
      deadlineMs: now + this.#settings.ackDeadlineMs,
      phase: 'claim',
      answered: false,
      countedBy: this.#underWay,
      deadline: undefined,
      result: undefined,
      isLate: false,
      type: stored.type,
      sentAs: stored.sentAs,
      eventId: stored.eventId,
      tenant: stored.tenant,
      key: stored.key,
      attempt: attempt.number,
      fence: undefined,
      job: attempt,
    }
  }
}
