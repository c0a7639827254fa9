import type { Claim, HeldClaim } from '../../stores/store.ts'
import { type Answer, answerFor, handled } from '../outcome/answers.ts'
import type { ClaimSettings, Claims } from './claims.ts'
import type { Execution } from './execution.ts'
import type { LeaseKeeper } from './lease.ts'
import { takenOver } from './lost-leases.ts'
import { checkClaim, checkFlag } from './store-checks.ts'
import { notCommitted } from './transaction-errors.ts'

/** What a {@link Settlement} needs. */
export interface SettlementSettings extends ClaimSettings {
  readonly retentionMs: number
  /** Told when the store had forgotten an event that ran, and it was completed all the same. */
  onForgotten(): void
}

/**
 * How long a worker goes on asking a store that is away, in ms. No sender waits, and until the store
 * is back nothing else could be claimed anyway.
 */
const workerPatienceMs = 15 * 60_000

/** Settles an event when its handler has ended: it is completed, confirmed or released. */
export class Settlement {
  readonly #settings: SettlementSettings
  readonly #claims: Claims
  readonly #leases: LeaseKeeper
  #isClosing = false

  constructor(settings: SettlementSettings, claims: Claims, leases: LeaseKeeper) {
    this.#settings = settings
    this.#claims = claims
    this.#leases = leases
  }

  /** From now on a worker doesn't ask a failing store again: the process is about to end. */
  close(): void {
    this.#isClosing = true
  }

  /** Completes the event. If the store can't be told, the answer stands all the same. */
  complete(execution: Execution, answer: Answer): Answer | Promise<Answer> {
    const { store, retentionMs } = this.#settings
    const { delivery } = execution
    delivery.phase = 'complete'
    delivery.fallback = answer
    execution.stopAtMs = this.#stopAtMs(execution)
    let completing: Promise<boolean> | boolean
    try {
      completing = store.complete(execution.claim, { retentionMs })
    } catch (error) {
      completing = Promise.reject(error)
    }
    return completing === true ? answer : this.#completeEventually(execution, answer, completing)
  }

  async #completeEventually(
    execution: Execution,
    answer: Answer,
    completing: Promise<boolean> | boolean,
  ): Promise<Answer> {
    const { store, clock, retentionMs } = this.#settings
    let completed: Asked<boolean>
    try {
      completed = { value: checkFlag(await completing, 'complete') }
    } catch (error) {
      completed = await this.#askAgain(execution, error, async () =>
        checkFlag(await store.complete(execution.claim, { retentionMs }), 'complete'),
      )
    }
    if (completed.value === true) return answer
    if ('error' in completed) return { ...answer, completionLost: true, error: completed.error }
    try {
      if (await this.#completeForgotten(execution)) return answer
    } catch (error) {
      return { ...answer, completionLost: true, error }
    }
    const cause = takenOver(clock.now() < execution.leaseEndsAtMs)
    return { ...answer, completionLost: true, error: cause }
  }

  /**
   * A claim that is gone is either another execution's, or the store has forgotten it, as after a
   * failover. A forgotten one is claimed and completed again, so that a repeat doesn't run it.
   */
  async #completeForgotten({ claim, delivery }: Execution): Promise<boolean> {
    const { store, leaseMs, retentionMs } = this.#settings
    const { key, owner, fence } = claim
    const options = { owner, leaseMs, fingerprint: delivery.fingerprint }
    const again = checkClaim(await store.claim(key, options), key, owner)
    if (again.state !== 'claimed') return false
    // A store that remembers gives a new owner a higher fence.
    const isForgotten = again.fence <= fence
    if (isForgotten && checkFlag(await store.complete(again, { retentionMs }), 'complete')) {
      this.#settings.onForgotten()
      return true
    }
    await this.#claims.release(again)
    return false
  }

  /**
   * Finds out whether the transaction in which the handler completed the event was committed: if it
   * was, a repeated claim finds the event completed. Otherwise the handler's write is lost too, or
   * not there yet, and the event must come again.
   */
  async confirm(execution: Execution): Promise<Answer> {
    const { store, leaseMs } = this.#settings
    const { delivery, claim } = execution
    const { key, owner } = claim
    const options = { owner, leaseMs, fingerprint: delivery.fingerprint }
    const unavailable = answerFor('RINGHOOK_STORE_UNAVAILABLE')
    const ask = async () => checkClaim(await store.claim(key, options), key, owner)
    delivery.phase = 'confirm'
    delivery.fallback = unavailable
    execution.stopAtMs = this.#stopAtMs(execution)
    const found = await ask().then(
      (value): Asked<Claim> => ({ value }),
      (error: unknown) => this.#askAgain(execution, error, ask),
    )
    if ('error' in found) return { ...unavailable, error: found.error }
    if (found.value.state === 'completed') return handled
    const answer = answerFor('RINGHOOK_HANDLER_FAILED', {
      reason: 'its transaction was not committed',
      error: notCommitted(),
    })
    // In flight: another delivery took over, or the transaction is still open and may yet be committed.
    if (found.value.state === 'in_flight') return answer
    return await this.release(execution, answer, found.value)
  }

  /** Releases a failed event, so that the next delivery or attempt runs it at once. */
  async release(
    execution: Execution,
    answer: Answer,
    claim: HeldClaim = execution.claim,
  ): Promise<Answer> {
    const { delivery } = execution
    delivery.phase = 'release'
    delivery.fallback = answer
    this.#leases.drop(execution)
    await this.#claims.release(claim)
    return answer
  }

  /**
   * When to stop asking a store that has failed: at the deadline, or later, at the end of the lease
   * that kept others out when the handler ended. The sender has its answer by then.
   */
  #stopAtMs({ delivery: { deadlineMs, job }, leaseEndsAtMs }: Execution): number {
    if (job === undefined) return Math.max(deadlineMs, leaseEndsAtMs)
    return this.#settings.clock.now() + workerPatienceMs
  }

  /** Asks a store that has failed until it answers, or its time is over. */
  async #askAgain<Value>(
    { delivery, stopAtMs = 0 }: Execution,
    failure: unknown,
    ask: () => Promise<Value>,
  ): Promise<Asked<Value>> {
    const { clock } = this.#settings
    const { fallback = handled } = delivery
    let error = failure
    for (let pauseMs = 25; ; pauseMs = Math.min(2 * pauseMs, 1_000)) {
      const leftMs = stopAtMs - clock.now()
      if (leftMs <= 0 || (this.#isClosing && delivery.job !== undefined)) return { error }
      delivery.fallback = { error, ...fallback }
      await new Promise<void>((resolve) => {
        clock.setTimeout(resolve, Math.min(pauseMs, leftMs))
      })
      try {
        return { value: await ask() }
      } catch (thrown) {
        error = thrown
      }
    }
  }
}

/** What the store said in the end, or why it never did. */
type Asked<Value> = { readonly value: Value } | { readonly value?: never; readonly error: unknown }
