import { randomUUID } from 'node:crypto'
import type { Inbox } from '../../inboxes/inbox.ts'
import type { Forgotten, HeldClaim } from '../../stores/store.ts'
import { withTimeout } from '../clock.ts'
import type { Delivery, RoutedEvent } from '../delivery.ts'
import { isPermanentFailure, RinghookError } from '../errors.ts'
import { fingerprintOf } from '../event/idempotency.ts'
import { type Answer, answerFor, duplicate, handled } from '../outcome/answers.ts'
import type { EventStatus } from '../receiver.ts'
import { isThenable } from '../thenable.ts'
import { Claims, type TimedClaim } from './claims.ts'
import { RunContext } from './context.ts'
import { listedPromises, reasonNotRun } from './handler-result.ts'
import { type Execution, InFlightRegistry } from './in-flight.ts'
import { LeaseKeeper, type LeaseSettings } from './lease.ts'
import { Settlement, type SettlementSettings } from './settle.ts'
import { checkForgotten, checkStatus } from './store-checks.ts'

/** What the runs of a receiver have in common. */
export interface RunSettings extends SettlementSettings, LeaseSettings {}

/**
 * Executor handlers, each under a claim of the store: claim, renew the lease while the handler runs,
 * then mark the event as finished or give it back.
 */
export class Executor {
  readonly #settings: RunSettings
  readonly #running: InFlightRegistry
  readonly #claims: Claims
  readonly #leases: LeaseKeeper<Execution>
  readonly #endings: Settlement
  #isClosing = false

  constructor(settings: RunSettings) {
    this.#settings = settings
    this.#running = new InFlightRegistry(settings.clock)
    this.#claims = new Claims(settings, this.#running)
    // A store that never answers must not keep the event from everybody for ever.
    this.#leases = new LeaseKeeper(settings, (run) => this.#running.end(run))
    this.#endings = new Settlement(settings, this.#claims, this.#leases)
  }

  /**
   * Executor the event's handler, unless it has finished before. Never rejects, and gives no promise
   * where neither the store nor the handler has anything to wait for.
   */
  run(delivery: Delivery, routed: RoutedEvent): Answer | Promise<Answer> {
    delivery.phase = 'claim'
    const fingerprint = fingerprintOf(routed.rawBody)
    const timed = this.#claims.claim(delivery, routed.key, fingerprint)
    if (!isThenable(timed)) return this.#runIfWon(delivery, routed, timed, fingerprint)
    return timed.then(
      (late) => this.#runIfWon(delivery, routed, late, fingerprint),
      (error: unknown) => this.#runWithout(delivery, routed, error),
    )
  }

  /**
   * Ends a delivery of an inbox whose attempts all ended with their processes, without anything of
   * the user's: that may be what ended them. The last may have finished the event, as the store knows.
   */
  async giveUp(delivery: Delivery, key: string, rawBody: Uint8Array): Promise<Answer> {
    delivery.phase = 'claim'
    try {
      const { claim } = await this.#claims.claim(delivery, key, fingerprintOf(rawBody))
      if (claim.state === 'completed') return duplicate
      if (claim.state === 'in_flight') {
        return answerFor('RINGHOOK_IN_FLIGHT', { retryAfterMs: claim.retryAfterMs })
      }
      await this.#claims.release(claim)
      return answerFor('RINGHOOK_ATTEMPTS_EXHAUSTED')
    } catch (error) {
      return answerFor('RINGHOOK_STORE_UNAVAILABLE', { error })
    }
  }

  /**
   * Makes a finished event free to run again. Not while it runs, here or elsewhere.
   *
   * @param inbox - Told first: one that answers `duplicate` to what the store has forgotten would
   * keep it from ever running again.
   */
  async forget(key: string, inbox?: Inbox): Promise<Forgotten> {
    if (this.#running.get(key) !== undefined) return 'in_flight'
    const { store, clock, leaseMs } = this.#settings
    const forgetting = Promise.resolve()
      .then(() => inbox?.forget?.(key))
      .then(() => store.forget(key))
      .then(checkForgotten)
    return await withTimeout(clock, forgetting, leaseMs).catch((cause: unknown) => {
      throw unavailable('whether the event was forgotten', cause)
    })
  }

  /** Says how far an event has come, here or elsewhere. Changes nothing. */
  async status(key: string): Promise<EventStatus> {
    if (this.#running.get(key) !== undefined) return 'in_flight'
    const { store, clock, leaseMs } = this.#settings
    const asking = Promise.resolve()
      .then(() => store.status(key))
      .then(checkStatus)
    const status = await withTimeout(clock, asking, leaseMs).catch((cause: unknown) => {
      throw unavailable('how far the event has come', cause)
    })
    return status === 'completed' ? 'completed' : status
  }

  /** Begins no handler any more. Those that run go on. */
  close(): void {
    this.#isClosing = true
    this.#endings.close()
  }

  /** Tells every running handler that the process is about to end. */
  abortAll(reason: RinghookError): void {
    this.#running.abortAll(reason)
  }

  #runIfWon(
    delivery: Delivery,
    routed: RoutedEvent,
    { claim, askedAtMs }: TimedClaim,
    fingerprint: string,
  ): Answer | Promise<Answer> {
    switch (claim.state) {
      case 'completed':
        return claim.fingerprint === fingerprint ? duplicate : { ...duplicate, bodyChanged: true }
      case 'in_flight':
        return answerFor('RINGHOOK_IN_FLIGHT', { retryAfterMs: claim.retryAfterMs })
      case 'claimed':
        return this.#runClaimed(delivery, routed, claim, askedAtMs, fingerprint)
    }
  }

  #runWithout(delivery: Delivery, routed: RoutedEvent, error: unknown): Answer | Promise<Answer> {
    // Not once the store has said that the event runs: the handler would run beside itself.
    const isFree = delivery.phase === 'claim' && this.#running.get(routed.key) === undefined
    if (this.#settings.onStoreError === 'process' && isFree && !delivery.answered) {
      return this.#runUnclaimed(delivery, routed)
    }
    return answerFor('RINGHOOK_STORE_UNAVAILABLE', { error })
  }

  #runClaimed(
    delivery: Delivery,
    routed: RoutedEvent,
    claim: HeldClaim,
    askedAtMs: number,
    fingerprint: string,
  ): Answer | Promise<Answer> {
    const now = this.#settings.clock.now()
    const reason = this.#reasonNotToRun(delivery, claim, askedAtMs, now)
    if (reason !== undefined) return this.#claims.release(claim).then(() => reason)
    delivery.attempt = delivery.job?.number ?? claim.attempt
    delivery.fence = claim.fence
    const run = this.#begin(delivery, routed, claim, askedAtMs)
    this.#leases.keep(run, askedAtMs, now)
    let handling: unknown
    try {
      handling = routed.handler(routed.event, run.context)
      if (isThenable(handling)) {
        return Promise.resolve(handling).then(
          (returned: unknown) => this.#endOfReturned(delivery, run, fingerprint, returned),
          (error: unknown) => this.#endOfFailed(delivery, run, error),
        )
      }
    } catch (error) {
      return this.#endOfFailed(delivery, run, error)
    }
    return this.#endOfReturned(delivery, run, fingerprint, handling)
  }

  /** What a handler returned may show that nothing has run, unless it marked the event itself. */
  #endOfReturned(
    delivery: Delivery,
    run: Execution,
    fingerprint: string,
    returned: unknown,
  ): Answer | Promise<Answer> {
    const listed = listedPromises(returned)
    if (listed !== undefined) {
      return listed.then(
        () => this.#endOfReturned(delivery, run, fingerprint, undefined),
        (error: unknown) => this.#endOfFailed(delivery, run, error),
      )
    }
    const reason = run.context.completes ? undefined : reasonNotRun(returned)
    if (reason === undefined) return this.#endOfDone(delivery, run, fingerprint)
    const answer = answerFor('RINGHOOK_HANDLER_DID_NOT_RUN', { reason })
    return this.#end(run, this.#endings.giveBack(delivery, run, answer))
  }

  #endOfDone(delivery: Delivery, run: Execution, fingerprint: string): Answer | Promise<Answer> {
    if (run.context.committed) return this.#end(run, handled)
    const ending = run.context.completes
      ? this.#endings.confirm(delivery, run, fingerprint)
      : this.#endings.mark(delivery, run, handled)
    return this.#end(run, ending)
  }

  /**
   * Gives a failed event back. One that failed for good counts as finished, unless it is kept as a
   * dead letter: that can be replayed.
   */
  #endOfFailed(delivery: Delivery, run: Execution, error: unknown): Answer | Promise<Answer> {
    const code = failureCodeOf(error)
    const isOver = code === 'RINGHOOK_PERMANENT_FAILURE' && delivery.job === undefined
    const answer = answerFor(code, { error })
    const ending = isOver
      ? this.#endings.mark(delivery, run, answer)
      : this.#endings.giveBack(delivery, run, answer)
    return this.#end(run, ending)
  }

  #end(run: Execution, ending: Answer | Promise<Answer>): Answer | Promise<Answer> {
    if (isThenable(ending)) return ending.then((answer) => this.#end(run, answer))
    this.#leases.drop(run)
    this.#running.end(run)
    return ending
  }

  /** A claim that came too late, or at the wrong moment, is given back. */
  #reasonNotToRun(
    delivery: Delivery,
    claim: HeldClaim,
    askedAtMs: number,
    now: number,
  ): Answer | undefined {
    const { leaseMs } = this.#settings
    if (this.#isClosing) return answerFor('RINGHOOK_SHUTTING_DOWN')
    // The store was slower than the deadline: the sender was told to come again. Or slower than the
    // lease: another delivery may have taken over by now.
    if (delivery.answered || now >= askedAtMs + leaseMs) {
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
      const returned = await routed.handler(routed.event, run.context)
      const reason = reasonNotRun(returned)
      await listedPromises(returned)
      const ended =
        reason === undefined ? handled : answerFor('RINGHOOK_HANDLER_DID_NOT_RUN', { reason })
      answer = { ...ended, deduplicated: false }
    } catch (error) {
      answer = answerFor(failureCodeOf(error), { error, deduplicated: false })
    }
    this.#running.end(run)
    return answer
  }

  #begin(
    delivery: Delivery,
    { rawBody }: RoutedEvent,
    claim: HeldClaim,
    askedAtMs: number,
  ): Execution {
    const run: Execution = {
      claim,
      context: new RunContext(this.#settings, delivery, claim, rawBody),
      endsAt: askedAtMs + this.#settings.leaseMs,
      renewal: undefined,
      isRenewing: false,
      stopAt: undefined,
      waiting: undefined,
    }
    this.#running.begin(run)
    delivery.phase = 'handler'
    return run
  }
}

function failureCodeOf(error: unknown): 'RINGHOOK_PERMANENT_FAILURE' | 'RINGHOOK_HANDLER_FAILED' {
  return isPermanentFailure(error) ? 'RINGHOOK_PERMANENT_FAILURE' : 'RINGHOOK_HANDLER_FAILED'
}

/** It is not known what the store has done. */
function unavailable(what: string, cause: unknown): RinghookError {
  return new RinghookError(
    'RINGHOOK_STORE_UNAVAILABLE',
    `The idempotency store, or the inbox, failed or did not answer, so it is not known ${what}. Try again; the cause is the error of what failed.`,
    { cause },
  )
}
