import type { Attempt, AttemptResult, Inbox, StoredDelivery } from '../inboxes/inbox.ts'
import type { Provider } from '../providers/provider.ts'
import { type Answer, answerFor } from './answers.ts'
import { captureContext, type InContext } from './async-context.ts'
import { attemptResultFor } from './attempt-result.ts'
import { attemptOutcome, type Delivery } from './delivery.ts'
import type { Executor } from './executor.ts'
import { readEvent, routeEvent } from './reading.ts'
import { CheckedRequest } from './request.ts'
import { mostAttempts, type RetryPolicy } from './retry.ts'
import type { Settings } from './settings.ts'
import { bodyOf } from './stored-delivery.ts'
import type { UnderWay } from './under-way.ts'
import { type Colleague, type Workplace, workplaceOf } from './workplace.ts'

/** A delivery that came out of an inbox. */
type JobDelivery = Delivery & { readonly job: Attempt }

/** Processes what comes out of the inbox of a receiver: the pipeline from its sixth step on. */
export class InboxWorker implements Colleague {
  readonly provider: string
  readonly namespace: string
  readonly #provider: Provider
  readonly #settings: Settings
  readonly #runs: Executor
  readonly #underWay: UnderWay
  readonly #workplace: Workplace
  #isEnding = false
  /** Until it is started itself, the async context of the receiver that started the worker. */
  #inContext: InContext = (run) => run()

  /** @throws {RinghookError} RINGHOOK_INBOX_INVALID */
  constructor(
    provider: Provider,
    settings: Settings,
    inbox: Inbox,
    runs: Executor,
    underWay: UnderWay,
  ) {
    this.provider = provider.name
    this.namespace = settings.namespace
    this.#provider = provider
    this.#settings = settings
    this.#runs = runs
    this.#underWay = underWay
    this.#workplace = workplaceOf(inbox)
    this.#workplace.join(this)
  }

  /** Whether deliveries of the inbox are processed in this process. */
  get isStarted(): boolean {
    return this.#workplace.isStarted
  }

  /** Begins to process: this receiver's deliveries, and those of the others that share the inbox. */
  async start(concurrency: number): Promise<void> {
    // The worker may be another receiver's. The handlers of this one see its own async context.
    this.#inContext = captureContext()
    await this.#workplace.start(concurrency)
  }

  /** Claims nothing more, and gives back what is not done when `drainMs` is over. Never rejects. */
  stop(drainMs: number): Promise<void> {
    return this.#workplace.leave(this, drainMs)
  }

  now(): number {
    return this.#settings.clock.now()
  }

  process(stored: StoredDelivery, attempt: Attempt): Promise<AttemptResult> {
    return this.#inContext(() => this.#attempt(stored, attempt))
  }

  async #attempt(stored: StoredDelivery, attempt: Attempt): Promise<AttemptResult> {
    const delivery = this.#deliveryOf(stored, attempt)
    this.#underWay.enter()
    let policy = this.#settings.retry.common
    const usePolicy = (own: RetryPolicy) => {
      policy = own
    }
    const answer = await this.#process(delivery, stored, usePolicy).catch((error: unknown) =>
      answerFor('RINGHOOK_INTERNAL_ERROR', { error }),
    )
    const now = this.now()
    const verdict = this.#attemptResultFor(answer, policy, attempt)
    this.#settings.report(attemptOutcome(this.provider, delivery, answer, verdict, now))
    this.#underWay.leave()
    return verdict
  }

  /** From now on handlers are told to stop, and one that fails then has not failed by itself. */
  end(): void {
    this.#isEnding = true
  }

  #attemptResultFor(answer: Answer, policy: RetryPolicy, attempt: Attempt): AttemptResult {
    const verdict = attemptResultFor(answer, policy, attempt, this.now())
    // The inbox has taken it back, or is about to.
    return this.#isEnding && verdict.state !== 'completed'
      ? { state: 'postponed', delayMs: 0 }
      : verdict
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

  /** For after each delivery that was accepted. */
  noticePut(): void {
    this.#workplace.lookForNeglect(this)
  }

  onNeglect(waiting: number, ageMs: number): void {
    this.#settings.report.logger.warn(
      `ringhook ${this.provider}: ${waiting} deliveries wait in the inbox, the oldest for ${Math.round(ageMs / 1_000)} s, and nobody runs any. Call receiver.start(), here or in a worker process`,
    )
  }

  onInboxError(error: unknown): void {
    this.#settings.report.inboxFailed(this.provider, error)
  }

  async #process(
    delivery: JobDelivery,
    stored: StoredDelivery,
    usePolicy: (policy: RetryPolicy) => void,
  ): Promise<Answer> {
    const body = bodyOf(stored)
    const { job } = delivery
    const giveUp = () => this.#runs.giveUp(delivery, stored.key, body)
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
    // The key is the one that it was put under: the functions that gave it may have changed since.
    return await this.#runs.run(delivery, { ...routed, key: stored.key })
  }

  #deliveryOf(stored: StoredDelivery, attempt: Attempt): JobDelivery {
    const now = this.now()
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
