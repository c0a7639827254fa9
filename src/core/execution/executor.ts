import { randomUUID } from 'node:crypto'
import type { Inbox } from '../../inboxes/inbox.ts'
import type { Claim, Forgotten, HeldClaim, KeyStatus } from '../../stores/store.ts'
import { withTimeout } from '../clock.ts'
import type { Delivery } from '../delivery.ts'
import { isPermanentFailure, RinghookError } from '../errors.ts'
import type { Handler, WebhookEvent } from '../event/event.ts'
import { fingerprintOf } from '../event/idempotency.ts'
import { type Answer, answerFor, duplicate, handled } from '../outcome/answers.ts'
import { isThenable } from '../thenable.ts'
import { Claims } from './claims.ts'
import { ExecutionContext } from './context.ts'
import { Execution } from './execution.ts'
import { listedPromises, reasonNotRun } from './handler-result.ts'
import { InFlightRegistry } from './in-flight.ts'
import { LeaseKeeper, type LeaseSettings } from './lease.ts'
import { Settlement, type SettlementSettings } from './settle.ts'
import { checkForgotten, checkStatus } from './store-checks.ts'

/** What an {@link Executor} needs. */
export interface ExecutorSettings extends SettlementSettings, LeaseSettings {}

/**
 * Runs handlers, each under a claim of the store: claims, renews the lease while the handler runs,
 * then settles the event.
 */
export class Executor {
  readonly #settings: ExecutorSettings
  readonly #inFlight: InFlightRegistry
  readonly #claims: Claims
  readonly #leases: LeaseKeeper
  readonly #settlement: Settlement
  #isClosing = false

  constructor(settings: ExecutorSettings) {
    this.#settings = settings
    this.#inFlight = new InFlightRegistry(settings.clock)
    this.#claims = new Claims(settings, this.#inFlight)
    // A store that never answers must not keep the event from every other delivery for ever.
    this.#leases = new LeaseKeeper(settings, (execution) => this.#inFlight.end(execution))
    this.#settlement = new Settlement(settings, this.#claims, this.#leases)
  }

  /**
   * Runs the handler of a validated event, unless the event was completed before. Never rejects, and
   * returns no promise if neither the store nor the handler has anything to wait for.
   */
  execute(delivery: Delivery): Answer | Promise<Answer> {
    delivery.phase = 'claim'
    delivery.fingerprint = fingerprintOf(delivery.rawBody)
    const claiming = this.#claims.claim(delivery)
    if (!isThenable(claiming)) return this.#executeIfClaimed(delivery, claiming)
    return claiming.then(
      (claim) => this.#executeIfClaimed(delivery, claim),
      (error: unknown) => this.#executeWithoutStore(delivery, error),
    )
  }

  #executeIfClaimed(delivery: Delivery, claim: Claim): Answer | Promise<Answer> {
    switch (claim.state) {
      case 'completed': {
        const isSame = claim.fingerprint === delivery.fingerprint
        return isSame ? duplicate : { ...duplicate, bodyChanged: true }
      }
      case 'in_flight':
        return answerFor('RINGHOOK_IN_FLIGHT', { retryAfterMs: claim.retryAfterMs })
      case 'claimed': {
        // Read again: even a store that answers at once may have blocked for longer than the lease.
        const now = this.#settings.clock.now()
        const refusal = this.#refusalOf(delivery, claim, now)
        if (refusal !== undefined) return this.#claims.release(claim).then(() => refusal)
        return this.#execute(delivery, claim, now)
      }
    }
  }

  /** A claim that came too late, or at the wrong moment, is released. */
  #refusalOf(delivery: Delivery, claim: HeldClaim, now: number): Answer | undefined {
    const { leaseMs } = this.#settings
    if (this.#isClosing) return answerFor('RINGHOOK_SHUTTING_DOWN')
    // The store was slower than the deadline: the sender was told to come again. Or slower than the
    // lease: another delivery may have taken over by now.
    if (delivery.answered || now >= delivery.claimAskedAtMs + leaseMs) {
      return answerFor('RINGHOOK_STORE_UNAVAILABLE')
    }
    // It began here while the store was asked.
    if (this.#inFlight.get(claim.key) === undefined) return undefined
    return answerFor('RINGHOOK_IN_FLIGHT', { retryAfterMs: leaseMs })
  }

  #execute(delivery: Delivery, claim: HeldClaim, now: number): Answer | Promise<Answer> {
    delivery.attempt = delivery.job?.number ?? claim.attempt
    delivery.fence = claim.fence
    const execution = this.#begin(delivery, claim)
    this.#leases.keep(execution, now)
    let handling: unknown
    try {
      handling = this.#callHandler(execution)
      if (isThenable(handling)) {
        return Promise.resolve(handling).then(
          (returned: unknown) => this.#settleReturned(execution, returned),
          (error: unknown) => this.#settleFailed(execution, error),
        )
      }
    } catch (error) {
      return this.#settleFailed(execution, error)
    }
    return this.#settleReturned(execution, handling)
  }

  #begin(delivery: Delivery, claim: HeldClaim): Execution {
    const leaseEndsAtMs = delivery.claimAskedAtMs + this.#settings.leaseMs
    const execution = new Execution(delivery, claim, leaseEndsAtMs)
    this.#inFlight.begin(execution)
    delivery.phase = 'handler'
    return execution
  }

  #callHandler(execution: Execution): unknown {
    const { route, event } = execution.delivery
    const handler = route?.handler as Handler
    return handler(event as WebhookEvent, new ExecutionContext(this.#settings, execution))
  }

  /** What a handler returned may show that nothing has run, unless it completed the event itself. */
  #settleReturned(execution: Execution, returned: unknown): Answer | Promise<Answer> {
    const listed = listedPromises(returned)
    if (listed !== undefined) {
      return listed.then(
        () => this.#settleReturned(execution, undefined),
        (error: unknown) => this.#settleFailed(execution, error),
      )
    }
    if (execution.isCommitted) return this.#end(execution, handled)
    if (execution.completes) return this.#end(execution, this.#settlement.confirm(execution))
    const reason = reasonNotRun(returned)
    if (reason === undefined) {
      return this.#end(execution, this.#settlement.complete(execution, handled))
    }
    const answer = answerFor('RINGHOOK_HANDLER_DID_NOT_RUN', { reason })
    return this.#end(execution, this.#settlement.release(execution, answer))
  }

  /**
   * Releases a failed event. One that failed for good counts as completed, unless it is kept as a dead
   * letter: that can be replayed.
   */
  #settleFailed(execution: Execution, error: unknown): Answer | Promise<Answer> {
    const code = failureCodeOf(error)
    const isFinal = code === 'RINGHOOK_PERMANENT_FAILURE' && execution.delivery.job === undefined
    const answer = answerFor(code, { error })
    const settling = isFinal
      ? this.#settlement.complete(execution, answer)
      : this.#settlement.release(execution, answer)
    return this.#end(execution, settling)
  }

  #end(execution: Execution, settling: Answer | Promise<Answer>): Answer | Promise<Answer> {
    if (isThenable(settling)) return settling.then((answer) => this.#end(execution, answer))
    this.#leases.drop(execution)
    this.#inFlight.end(execution)
    return settling
  }

  #executeWithoutStore(delivery: Delivery, error: unknown): Answer | Promise<Answer> {
    // Not once the store has said that the event runs: the handler would run beside itself.
    const isFree = delivery.phase === 'claim' && this.#inFlight.get(delivery.key) === undefined
    if (this.#settings.onStoreError === 'process' && isFree && !delivery.answered) {
      return this.#executeUnclaimed(delivery)
    }
    return answerFor('RINGHOOK_STORE_UNAVAILABLE', { error })
  }

  /** The store is down, and the user would rather run twice than not at all. */
  async #executeUnclaimed(delivery: Delivery): Promise<Answer> {
    if (this.#isClosing) return answerFor('RINGHOOK_SHUTTING_DOWN')
    const owner = randomUUID()
    const claim: HeldClaim = { state: 'claimed', key: delivery.key, owner, fence: 0, attempt: 1 }
    delivery.claimAskedAtMs = this.#settings.clock.now()
    const execution = this.#begin(delivery, claim)
    let answer: Answer
    try {
      const returned = await this.#callHandler(execution)
      const reason = reasonNotRun(returned)
      await listedPromises(returned)
      const ended =
        reason === undefined ? handled : answerFor('RINGHOOK_HANDLER_DID_NOT_RUN', { reason })
      answer = { ...ended, deduplicated: false }
    } catch (error) {
      answer = answerFor(failureCodeOf(error), { error, deduplicated: false })
    }
    this.#inFlight.end(execution)
    return answer
  }

  /**
   * Ends a delivery of an inbox whose attempts all ended with their processes, without running
   * anything of the user's: that may be what ended them. The last one may have completed the event.
   */
  async giveUp(delivery: Delivery): Promise<Answer> {
    delivery.phase = 'claim'
    delivery.fingerprint = fingerprintOf(delivery.rawBody)
    try {
      const claim = await this.#claims.claim(delivery)
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
   * Makes a completed event free to run again. Not while it runs, here or elsewhere.
   *
   * @param inbox - Told first: if it answers `duplicate` to what the store has forgotten, the event
   * could never run again.
   */
  async forget(key: string, inbox?: Inbox): Promise<Forgotten> {
    if (this.#inFlight.get(key) !== undefined) return 'in_flight'
    const { store, clock, leaseMs } = this.#settings
    const forgetting = Promise.resolve()
      .then(() => inbox?.forget?.(key))
      .then(() => store.forget(key))
      .then(checkForgotten)
    return await withTimeout(clock, forgetting, leaseMs).catch((cause: unknown) => {
      throw unavailable('whether the event was forgotten', cause)
    })
  }

  /** Returns how far an event has come, here or elsewhere. Changes nothing. */
  async status(key: string): Promise<KeyStatus> {
    if (this.#inFlight.get(key) !== undefined) return 'in_flight'
    const { store, clock, leaseMs } = this.#settings
    const asking = Promise.resolve()
      .then(() => store.status(key))
      .then(checkStatus)
    return await withTimeout(clock, asking, leaseMs).catch((cause: unknown) => {
      throw unavailable('how far the event has come', cause)
    })
  }

  /** Starts no handler any more. Those that run go on. */
  close(): void {
    this.#isClosing = true
    this.#settlement.close()
  }

  /** Tells every running handler to stop. */
  abortAll(reason: RinghookError): void {
    this.#inFlight.abortAll(reason)
  }
}

function failureCodeOf(error: unknown): 'RINGHOOK_PERMANENT_FAILURE' | 'RINGHOOK_HANDLER_FAILED' {
  return isPermanentFailure(error) ? 'RINGHOOK_PERMANENT_FAILURE' : 'RINGHOOK_HANDLER_FAILED'
}

/** It isn't known what the store has done. */
function unavailable(what: string, cause: unknown): RinghookError {
  return new RinghookError(
    'RINGHOOK_STORE_UNAVAILABLE',
    `The idempotency store, or the inbox, failed or did not answer, so it is not known ${what}. Try again; the cause is the error of what failed.`,
    { cause },
  )
}
