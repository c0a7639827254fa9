import { randomUUID } from 'node:crypto'
import type { HeldClaim } from '../stores/store.ts'
import { type Answer, answerFor, duplicate, handled } from './answers.ts'
import { type ClaimSettings, Claims, type TimedClaim } from './claims.ts'
import { leaseTaken, RunContext } from './context.ts'
import type { Delivery, RoutedEvent } from './delivery.ts'
import { isPermanentFailure, RinghookError } from './errors.ts'
import { fingerprintOf } from './idempotency.ts'
import { LeaseKeeper } from './lease.ts'
import { type Run, Running } from './running.ts'

/** What the runs of a receiver have in common. */
export interface RunSettings extends ClaimSettings {
  readonly retentionMs: number
}

/**
 * Runs handlers, each under a claim of the store: claim, renew the lease while the handler runs,
 * then mark the event as finished or give it back.
 */
export class Runs {
  readonly #settings: RunSettings
  readonly #running: Running
  readonly #claims: Claims
  readonly #leases: LeaseKeeper<Run>
  #isClosing = false

  constructor(settings: RunSettings) {
    this.#settings = settings
    this.#running = new Running(settings.clock)
    this.#claims = new Claims(settings, this.#running)
    // A store that never answers must not keep the event from everybody for ever.
    this.#leases = new LeaseKeeper(settings, (run) => this.#running.end(run))
  }

  /** Runs the event's handler, unless it has finished before. Never rejects. */
  async run(delivery: Delivery, routed: RoutedEvent): Promise<Answer> {
    delivery.phase = 'claim'
    const fingerprint = fingerprintOf(routed.rawBody)
    let timed: TimedClaim
    try {
      timed = await this.#claims.claim(delivery, routed.key, fingerprint)
    } catch (error) {
      // Not once the store has said that the event runs: the handler would run beside itself.
      const isFree = delivery.phase === 'claim' && this.#running.get(routed.key) === undefined
      if (this.#settings.onStoreError === 'process' && isFree && !delivery.answered) {
        return await this.#runUnclaimed(delivery, routed)
      }
      return answerFor('RINGHOOK_STORE_UNAVAILABLE', { error })
    }
    const { claim } = timed
    switch (claim.state) {
      case 'completed':
        return claim.fingerprint === fingerprint ? duplicate : { ...duplicate, bodyChanged: true }
      case 'in_flight':
        return answerFor('RINGHOOK_IN_FLIGHT', { retryAfterMs: claim.retryAfterMs })
      case 'claimed':
        return await this.#runClaimed(delivery, routed, claim, timed.askedAtMs)
      default:
        return answerFor('RINGHOOK_STORE_UNAVAILABLE', { error: strangeClaim() })
    }
  }

  /** Begins no handler any more. Those that run go on. */
  close(): void {
    this.#isClosing = true
  }

  /** Tells every running handler that the process is about to end. */
  abortAll(reason: RinghookError): void {
    this.#running.abortAll(reason)
  }

  async #runClaimed(
    delivery: Delivery,
    routed: RoutedEvent,
    claim: HeldClaim,
    askedAtMs: number,
  ): Promise<Answer> {
    const reason = this.#reasonNotToRun(delivery, claim, askedAtMs)
    if (reason !== undefined) {
      await this.#claims.release(claim)
      return reason
    }
    delivery.attempt = claim.attempt
    delivery.fence = claim.fence
    const run = this.#begin(delivery, routed, claim, askedAtMs)
    this.#leases.keep(run, askedAtMs)
    let answer: Answer
    try {
      await routed.handler(routed.event, run.context)
      answer = run.context.completed ? handled : await this.#mark(delivery, run, handled)
    } catch (error) {
      answer = isPermanentFailure(error)
        ? await this.#mark(delivery, run, answerFor('RINGHOOK_PERMANENT_FAILURE', { error }))
        : await this.#giveBack(delivery, run, error)
    }
    this.#leases.drop(run)
    this.#running.end(run)
    return answer
  }

  /** A claim that came too late, or at the wrong moment, is given back. */
  #reasonNotToRun(delivery: Delivery, claim: HeldClaim, askedAtMs: number): Answer | undefined {
    const { clock, leaseMs } = this.#settings
    if (this.#isClosing) return answerFor('RINGHOOK_SHUTTING_DOWN')
    // The store was slower than the deadline: the sender was told to come again. Or slower than the
    // lease: another delivery may have taken over by now.
    if (delivery.answered || clock.now() >= askedAtMs + leaseMs) {
      return answerFor('RINGHOOK_STORE_UNAVAILABLE')
    }
    // It began here while the store was asked.
    if (this.#running.get(claim.key) === undefined) return undefined
    return answerFor('RINGHOOK_IN_FLIGHT', { retryAfterMs: leaseMs })
  }

  /** The store is down and the user would rather run twice than not at all. */
  async #runUnclaimed(delivery: Delivery, routed: RoutedEvent): Promise<Answer> {
    if (this.#isClosing) return answerFor('RINGHOOK_SHUTTING_DOWN')
    const owner = randomUUID()
    const claim: HeldClaim = { state: 'claimed', key: routed.key, owner, fence: 0, attempt: 1 }
    const run = this.#begin(delivery, routed, claim, this.#settings.clock.now())
    let answer: Answer
    try {
      await routed.handler(routed.event, run.context)
      answer = { ...handled, undeduplicated: true }
    } catch (error) {
      const code = isPermanentFailure(error)
        ? 'RINGHOOK_PERMANENT_FAILURE'
        : 'RINGHOOK_HANDLER_FAILED'
      answer = answerFor(code, { error, undeduplicated: true })
    }
    this.#running.end(run)
    return answer
  }

  #begin(delivery: Delivery, { rawBody }: RoutedEvent, claim: HeldClaim, askedAtMs: number): Run {
    const { store, retentionMs, leaseMs } = this.#settings
    const { request, receivedAtMs, deadlineMs } = delivery
    const facts = { claim, rawBody, headers: request.headers, receivedAtMs, deadlineMs }
    const run: Run = {
      claim,
      context: new RunContext(facts, store, retentionMs),
      endsAt: askedAtMs + leaseMs,
      renewal: undefined,
      isRenewing: false,
      stopAt: undefined,
      waiting: undefined,
    }
    this.#running.begin(run)
    delivery.phase = 'handler'
    return run
  }

  /**
   * Marks the event as finished. While the store is away it tries again: until the deadline, and
   * beyond it until the lease ends that kept others out when the handler ended. The sender has its
   * answer by then.
   */
  async #mark(delivery: Delivery, run: Run, answer: Answer): Promise<Answer> {
    const { store, clock, retentionMs } = this.#settings
    delivery.phase = 'mark'
    delivery.result = answer
    const giveUpAt = Math.max(delivery.deadlineMs, run.endsAt)
    run.stopAt = giveUpAt
    for (let pauseMs = 25; ; pauseMs = Math.min(2 * pauseMs, 1_000)) {
      try {
        const isMarked = await store.complete(run.claim, { retentionMs })
        return isMarked ? answer : { ...answer, unmarked: true, error: leaseTaken() }
      } catch (error) {
        const leftMs = giveUpAt - clock.now()
        if (leftMs <= 0) return { ...answer, unmarked: true, error }
        delivery.result = { error, ...answer }
        await new Promise<void>((resolve) => {
          clock.setTimeout(resolve, Math.min(pauseMs, leftMs))
        })
      }
    }
  }

  /** Gives a failed event back, so that the next delivery runs it at once. */
  async #giveBack(delivery: Delivery, run: Run, error: unknown): Promise<Answer> {
    delivery.phase = 'release'
    this.#leases.drop(run)
    delivery.result = answerFor('RINGHOOK_HANDLER_FAILED', { error })
    await this.#claims.release(run.claim)
    return delivery.result
  }
}

/** What is wrong with a store that answers a claim with none of the three states. */
function strangeClaim(): RinghookError {
  return new RinghookError(
    'RINGHOOK_STORE_INVALID',
    'The store answered a claim with an unknown state. Hold it to storeContract of ringhook/testing.',
  )
}
