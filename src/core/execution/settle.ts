import type { Claim } from '../../stores/store.ts'
import type { Delivery } from '../delivery.ts'
import { fingerprintOf } from '../event/idempotency.ts'
import { type Answer, answerFor, handled } from '../outcome/answers.ts'
import type { ClaimSettings, Claims } from './claims.ts'
import type { Execution } from './in-flight.ts'
import type { LeaseKeeper } from './lease.ts'
import { takenOver } from './lost-leases.ts'
import { checkClaim, checkFlag } from './store-checks.ts'
import { notCommitted } from './transaction-errors.ts'

/** What {@link Settlement} need. */
export interface SettlementSettings extends ClaimSettings {
  readonly retentionMs: number
  /** Told when the store had forgotten an event that ran, and it was marked all the same. */
  onForgotten(): void
}

/**
 * For how long the worker of an inbox goes on asking a store that is away, in ms. Nobody waits for
 * it, and until the store is back nothing else could be claimed anyway.
 */
const workersPatienceMs = 15 * 60_000

/** What becomes of an event when its handler has ended: marked, confirmed, or given back. */
export class Settlement {
  readonly #settings: SettlementSettings
  readonly #claims: Claims
  readonly #leases: LeaseKeeper<Execution>
  #isClosing = false

  constructor(settings: SettlementSettings, claims: Claims, leases: LeaseKeeper<Execution>) {
    this.#settings = settings
    this.#claims = claims
    this.#leases = leases
  }

  /** From now on the worker of an inbox asks a store that fails no more: the process is to end. */
  close(): void {
    this.#isClosing = true
  }

  /** Marks the event as finished. If the store cannot be told, the answer stands all the same. */
  mark(delivery: Delivery, run: Execution, answer: Answer): Answer | Promise<Answer> {
    const { store, retentionMs } = this.#settings
    delivery.phase = 'mark'
    delivery.result = answer
    run.stopAt = this.#stopAt(delivery, run)
    let marking: Promise<boolean> | boolean
    try {
      marking = store.complete(run.claim, { retentionMs })
    } catch (error) {
      marking = Promise.reject(error)
    }
    return marking === true ? answer : this.#markInTheEnd(delivery, run, answer, marking)
  }

  async #markInTheEnd(
    delivery: Delivery,
    run: Execution,
    answer: Answer,
    marking: Promise<boolean> | boolean,
  ): Promise<Answer> {
    const { store, clock, retentionMs } = this.#settings
    let marked: Insisted<boolean>
    try {
      marked = { value: checkFlag(await marking, 'complete') }
    } catch (error) {
      marked = await this.#insist(delivery, run, error, async () =>
        checkFlag(await store.complete(run.claim, { retentionMs }), 'complete'),
      )
    }
    if (marked.value === true) return answer
    if ('error' in marked) return { ...answer, completionLost: true, error: marked.error }
    try {
      if (await this.#markForgotten(run)) return answer
    } catch (error) {
      return { ...answer, completionLost: true, error }
    }
    return { ...answer, completionLost: true, error: takenOver(clock.now() < run.endsAt) }
  }

  /**
   * A claim that is gone is either another run's, or the store has forgotten it, as after a
   * failover. What was forgotten is claimed and marked again, so that a repeat does not run it.
   */
  async #markForgotten({ claim, context }: Execution): Promise<boolean> {
    const { store, leaseMs, retentionMs } = this.#settings
    const { key, owner, fence } = claim
    const options = { owner, leaseMs, fingerprint: fingerprintOf(context.rawBody) }
    const again = checkClaim(await store.claim(key, options), key, owner)
    if (again.state !== 'claimed') return false
    // A store that remembers gives a new owner a higher fence.
    if (
      again.fence <= fence &&
      checkFlag(await store.complete(again, { retentionMs }), 'complete')
    ) {
      this.#settings.onForgotten()
      return true
    }
    await this.#claims.release(again)
    return false
  }

  /**
   * Looks whether the transaction in which the handler completed the event was committed: a repeat
   * of the claim finds the event finished then. Otherwise the handler's write is lost too, or not
   * there yet, and the event must come again.
   */
  async confirm(delivery: Delivery, run: Execution, fingerprint: string): Promise<Answer> {
    const { store, leaseMs } = this.#settings
    const { key, owner } = run.claim
    const unavailable = answerFor('RINGHOOK_STORE_UNAVAILABLE')
    const ask = async () =>
      checkClaim(await store.claim(key, { owner, leaseMs, fingerprint }), key, owner)
    delivery.phase = 'confirm'
    delivery.result = unavailable
    run.stopAt = this.#stopAt(delivery, run)
    const found = await ask().then(
      (value): Insisted<Claim> => ({ value }),
      (error: unknown) => this.#insist(delivery, run, error, ask),
    )
    if ('error' in found) return { ...unavailable, error: found.error }
    if (found.value.state === 'completed') return handled
    return await this.#fail(delivery, run, found.value)
  }

  /** Gives a failed event back, so that the next delivery or attempt runs it at once. */
  async giveBack(
    delivery: Delivery,
    run: Execution,
    answer: Answer,
    claim = run.claim,
  ): Promise<Answer> {
    delivery.phase = 'release'
    this.#leases.drop(run)
    delivery.result = answer
    await this.#claims.release(claim)
    return answer
  }

  /** The handler returned without its write being there. */
  async #fail(delivery: Delivery, run: Execution, claim: Claim): Promise<Answer> {
    const answer = answerFor('RINGHOOK_HANDLER_FAILED', {
      reason: 'its transaction was not committed',
      error: notCommitted(),
    })
    // In flight: somebody took over, or the transaction is still open and may yet be committed.
    if (claim.state === 'claimed') return await this.giveBack(delivery, run, answer, claim)
    return answer
  }

  /**
   * Until when a store that has failed is asked: until the deadline, and beyond it until the lease
   * ends that kept others out when the handler ended. The sender has its answer by then.
   */
  #stopAt({ deadlineMs, job }: Delivery, { endsAt }: Execution): number {
    if (job === undefined) return Math.max(deadlineMs, endsAt)
    return this.#settings.clock.now() + workersPatienceMs
  }

  /** Asks a store that has failed until it answers, or its time is over. */
  async #insist<Value>(
    delivery: Delivery,
    { stopAt = 0 }: Execution,
    failure: unknown,
    ask: () => Promise<Value>,
  ): Promise<Insisted<Value>> {
    const { clock } = this.#settings
    const { result = handled } = delivery
    let error = failure
    for (let pauseMs = 25; ; pauseMs = Math.min(2 * pauseMs, 1_000)) {
      const leftMs = stopAt - clock.now()
      if (leftMs <= 0 || (this.#isClosing && delivery.job !== undefined)) return { error }
      delivery.result = { error, ...result }
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
type Insisted<Value> =
  | { readonly value: Value }
  | { readonly value?: never; readonly error: unknown }
