import { randomUUID } from 'node:crypto'
import type { Claim, HeldClaim, IdempotencyStore } from '../stores/store.ts'
import { type Answer, answerFor, duplicate, handled } from './answers.ts'
import type { Clock } from './clock.ts'
import { leaseLost, RunContext } from './context.ts'
import type { Delivery, RoutedEvent } from './delivery.ts'
import { isPermanentFailure, RinghookError } from './errors.ts'
import { fingerprintOf } from './idempotency.ts'
import { type Lease, LeaseKeeper } from './lease.ts'

/** What the runs of a receiver have in common. */
export interface RunSettings {
  readonly store: IdempotencyStore
  readonly clock: Clock
  readonly leaseMs: number
  readonly retentionMs: number
  readonly onStoreError: 'reject' | 'process'
}

/** One handler that runs in this process. */
interface Run extends Lease {
  readonly waiting: (() => void)[]
  /** Whether the handler has ended. The store may still have to be told. */
  hasEnded: boolean
}

/** How long a repeat waits for the delivery that runs already. */
const turnMs = 2_000

/**
 * Runs handlers, each under a claim of the store: claim, wait for a run that is under way, renew
 * the lease while the handler runs, then mark the event as finished or give it back.
 */
export class Runs {
  readonly #settings: RunSettings
  readonly #leases: LeaseKeeper
  readonly #running = new Map<string, Run>()
  /** Owners are this and a number: unlike those of any other process, and of any other delivery. */
  readonly #ownerPrefix = `${randomUUID()}.`
  #owners = 0

  constructor(settings: RunSettings) {
    this.#settings = settings
    this.#leases = new LeaseKeeper(settings)
  }

  /** Runs the event's handler, unless it has finished before. Never rejects. */
  async run(delivery: Delivery, routed: RoutedEvent): Promise<Answer> {
    delivery.phase = 'claim'
    const owner = `${this.#ownerPrefix}${this.#owners++}`
    const fingerprint = fingerprintOf(routed.rawBody)
    let claimedAtMs = 0
    const claimOnce = () => {
      // Before the store is asked: the lease may count from then.
      claimedAtMs = this.#settings.clock.now()
      return this.#claim(routed.key, owner, fingerprint)
    }
    let claim: Claim
    try {
      claim = await claimOnce()
      if (claim.state === 'in_flight') {
        claim = await this.#awaitTurn(delivery, routed.key, claim, claimOnce)
      }
    } catch (error) {
      // Not once the store has said that the event runs: the handler would run beside itself.
      const isFree = delivery.phase === 'claim' && !this.#runsHere(routed.key)
      if (this.#settings.onStoreError === 'process' && isFree && !delivery.answered) {
        return this.#runUnclaimed(delivery, routed, owner)
      }
      return answerFor('RINGHOOK_STORE_UNAVAILABLE', { error })
    }
    switch (claim.state) {
      case 'completed':
        return claim.fingerprint === fingerprint ? duplicate : { ...duplicate, bodyChanged: true }
      case 'in_flight':
        return answerFor('RINGHOOK_IN_FLIGHT', { retryAfterMs: claim.retryAfterMs })
      case 'claimed':
        return await this.#runClaimed(delivery, routed, claim, claimedAtMs)
      default:
        return answerFor('RINGHOOK_STORE_UNAVAILABLE', { error: strangeClaim() })
    }
  }

  /** Tells every running handler that the process is about to end. */
  abortAll(reason: RinghookError): void {
    for (const run of this.#running.values()) run.context.abort(reason)
  }

  /** Claims, and once more if that fails: the claim may stand although its reply was lost. */
  async #claim(key: string, owner: string, fingerprint: string): Promise<Claim> {
    const { store, leaseMs } = this.#settings
    const options = { owner, leaseMs, fingerprint }
    try {
      return await store.claim(key, options)
    } catch {
      return await store.claim(key, options)
    }
  }

  /** Waits until the run under way has ended, and claims then: it may have failed. */
  async #awaitTurn(
    delivery: Delivery,
    key: string,
    inFlight: Claim,
    claimOnce: () => Promise<Claim>,
  ): Promise<Claim> {
    const { clock } = this.#settings
    delivery.phase = 'turn'
    const giveUpAt = Math.min(clock.now() + turnMs, delivery.deadlineMs)
    let claim = inFlight
    for (let pollMs = 25; claim.state === 'in_flight'; pollMs *= 2) {
      delivery.result = answerFor('RINGHOOK_IN_FLIGHT', { retryAfterMs: claim.retryAfterMs })
      const leftMs = giveUpAt - clock.now()
      if (leftMs <= 0) break
      // A run in this process says when it ends; for one elsewhere the store has to be asked.
      const isHere = this.#running.has(key)
      await this.#pause(key, isHere ? leftMs : Math.min(pollMs, leftMs, 250))
      if (delivery.answered) break
      claim = await claimOnce()
    }
    return claim
  }

  #pause(key: string, pauseMs: number): Promise<void> {
    const { clock } = this.#settings
    return new Promise((resolve) => {
      const timer = clock.setTimeout(resolve, pauseMs)
      this.#running.get(key)?.waiting.push(() => {
        clock.clearTimeout(timer)
        resolve()
      })
    })
  }

  async #runClaimed(
    delivery: Delivery,
    routed: RoutedEvent,
    claim: HeldClaim,
    claimedAtMs: number,
  ): Promise<Answer> {
    const { clock, leaseMs } = this.#settings
    if (delivery.answered || clock.now() >= claimedAtMs + leaseMs) {
      // The store was slower than the deadline: the sender was told to come again. Or slower than
      // the lease: another delivery may have taken over by now.
      await this.#release(claim)
      return answerFor('RINGHOOK_STORE_UNAVAILABLE')
    }
    if (this.#runsHere(claim.key)) {
      // A run that lost its claim and did not stop, or one without a claim (`onStoreError`).
      await this.#release(claim)
      return answerFor('RINGHOOK_IN_FLIGHT', { retryAfterMs: leaseMs })
    }
    delivery.phase = 'handler'
    delivery.attempt = claim.attempt
    delivery.fence = claim.fence
    const context = this.#contextOf(delivery, routed, claim)
    const run = this.#begin(claim, context, claimedAtMs)
    this.#leases.keep(run, claimedAtMs)
    try {
      await routed.handler(routed.event, context)
    } catch (error) {
      run.hasEnded = true
      const answer = isPermanentFailure(error)
        ? await this.#mark(delivery, run, answerFor('RINGHOOK_PERMANENT_FAILURE', { error }))
        : await this.#giveBack(delivery, run, error)
      this.#end(run)
      return answer
    }
    run.hasEnded = true
    const answer = context.completed ? handled : await this.#mark(delivery, run, handled)
    this.#end(run)
    return answer
  }

  async #runUnclaimed(delivery: Delivery, routed: RoutedEvent, owner: string): Promise<Answer> {
    delivery.phase = 'handler'
    const claim: HeldClaim = { state: 'claimed', key: routed.key, owner, fence: 0, attempt: 1 }
    const context = this.#contextOf(delivery, routed, claim)
    const run = this.#begin(claim, context, this.#settings.clock.now())
    try {
      await routed.handler(routed.event, context)
      return { ...handled, undeduplicated: true }
    } catch (error) {
      const code = isPermanentFailure(error)
        ? 'RINGHOOK_PERMANENT_FAILURE'
        : 'RINGHOOK_HANDLER_FAILED'
      return answerFor(code, { error, undeduplicated: true })
    } finally {
      this.#end(run)
    }
  }

  #contextOf(delivery: Delivery, { rawBody }: RoutedEvent, claim: HeldClaim): RunContext {
    const { request, receivedAtMs, deadlineMs } = delivery
    const facts = { claim, rawBody, headers: request.headers, receivedAtMs, deadlineMs }
    return new RunContext(facts, this.#settings.store, this.#settings.retentionMs)
  }

  #begin(claim: HeldClaim, context: RunContext, claimedAtMs: number): Run {
    const run: Run = {
      claim,
      context,
      waiting: [],
      endsAt: claimedAtMs + this.#settings.leaseMs,
      renewal: undefined,
      isRenewing: false,
      hasEnded: false,
    }
    this.#running.set(claim.key, run)
    return run
  }

  /** Whether the event's handler runs in this process, whatever the store knows of it. */
  #runsHere(key: string): boolean {
    return this.#running.get(key)?.hasEnded === false
  }

  #end(run: Run): void {
    this.#leases.drop(run)
    // Not if another delivery took the event over in the meantime.
    if (this.#running.get(run.claim.key) === run) this.#running.delete(run.claim.key)
    for (const wake of run.waiting) wake()
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
    for (let pauseMs = 25; ; pauseMs = Math.min(2 * pauseMs, 1_000)) {
      try {
        const isMarked = await store.complete(run.claim, { retentionMs })
        return isMarked ? answer : { ...answer, unmarked: true, error: leaseLost() }
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
    delivery.result = answerFor('RINGHOOK_HANDLER_FAILED', { error })
    await this.#release(run.claim)
    return delivery.result
  }

  async #release(claim: HeldClaim): Promise<void> {
    try {
      await this.#settings.store.release(claim)
    } catch {
      // The lease runs out by itself; until then a repeat is answered 503 with the time left.
    }
  }
}

/** What is wrong with a store that answers a claim with none of the three states. */
function strangeClaim(): RinghookError {
  return new RinghookError(
    'RINGHOOK_STORE_INVALID',
    'The store answered a claim with an unknown state. Hold it to storeContract of ringhook/testing.',
  )
}
