import { randomUUID } from 'node:crypto'
import type { Claim, HeldClaim, IdempotencyStore } from '../stores/store.ts'
import { type Answer, answerFor, duplicate, handled } from './answers.ts'
import { type Clock, DelayQueue, type DelayTicket } from './clock.ts'
import { leaseLost, RunContext } from './context.ts'
import type { Delivery, RoutedEvent } from './delivery.ts'
import { isPermanentFailure, RinghookError } from './errors.ts'
import { fingerprintOf } from './idempotency.ts'

/** What the runs of a receiver have in common. */
export interface RunSettings {
  readonly store: IdempotencyStore
  readonly clock: Clock
  readonly leaseMs: number
  readonly retentionMs: number
  readonly onStoreError: 'reject' | 'process'
}

/** One handler that runs in this process. */
interface Run {
  readonly claim: HeldClaim
  readonly context: RunContext
  readonly waiting: (() => void)[]
  leaseEndsAt: number
  renewal: DelayTicket | undefined
  isRenewing: boolean
}

/** How long a repeat waits for the delivery that runs already. */
const turnMs = 2_000

/**
 * Runs handlers, each under a claim of the store: claim, wait for a run that is under way, renew
 * the lease while the handler runs, then mark the event as finished or give it back.
 */
export class Runs {
  readonly #settings: RunSettings
  readonly #renewals: DelayQueue
  readonly #running = new Map<string, Run>()
  /** Owners are this and a number: unlike those of any other process, and of any other delivery. */
  readonly #ownerPrefix = `${randomUUID()}.`
  #owners = 0

  constructor(settings: RunSettings) {
    this.#settings = settings
    this.#renewals = new DelayQueue(settings.clock, Math.floor(settings.leaseMs / 3))
  }

  /** Runs the event's handler, unless it has finished before. Never rejects. */
  async run(delivery: Delivery, routed: RoutedEvent): Promise<Answer> {
    delivery.phase = 'claim'
    const owner = `${this.#ownerPrefix}${this.#owners++}`
    const fingerprint = fingerprintOf(routed.rawBody)
    const claimOnce = () => this.#claim(routed.key, owner, fingerprint)
    let claim: Claim
    let claimedAtMs = this.#settings.clock.now()
    try {
      claim = await claimOnce()
      if (claim.state === 'in_flight') {
        claim = await this.#awaitTurn(delivery, routed.key, claim, claimOnce)
        claimedAtMs = this.#settings.clock.now()
      }
    } catch (error) {
      if (this.#settings.onStoreError === 'process' && !delivery.answered) {
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
        return this.#runClaimed(delivery, routed, claim, claimedAtMs)
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
    for (let pollMs = 25; claim.state === 'in_flight' && !delivery.answered; pollMs *= 2) {
      const leftMs = giveUpAt - clock.now()
      if (leftMs <= 0) break
      // A run in this process says when it ends; for one elsewhere the store has to be asked.
      const isHere = this.#running.has(key)
      await this.#pause(key, isHere ? leftMs : Math.min(pollMs, leftMs, 250))
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
    if (delivery.answered) {
      // The store was slower than the deadline: the sender was told to come again.
      await this.#release(claim)
      return answerFor('RINGHOOK_STORE_UNAVAILABLE')
    }
    delivery.phase = 'handler'
    delivery.attempt = claim.attempt
    delivery.fence = claim.fence
    const context = this.#contextOf(delivery, routed, claim)
    const run = this.#begin(claim, context, claimedAtMs)
    try {
      await routed.handler(routed.event, context)
    } catch (error) {
      const answer = isPermanentFailure(error)
        ? await this.#mark(delivery, run, answerFor('RINGHOOK_PERMANENT_FAILURE', { error }))
        : await this.#giveBack(delivery, run, error)
      this.#end(run)
      return answer
    }
    const answer = context.completed ? handled : await this.#mark(delivery, run, handled)
    this.#end(run)
    return answer
  }

  async #runUnclaimed(delivery: Delivery, routed: RoutedEvent, owner: string): Promise<Answer> {
    delivery.phase = 'handler'
    const claim: HeldClaim = { state: 'claimed', key: routed.key, owner, fence: 0, attempt: 1 }
    try {
      await routed.handler(routed.event, this.#contextOf(delivery, routed, claim))
      return { ...handled, undeduplicated: true }
    } catch (error) {
      const code = isPermanentFailure(error) ? 'RINGHOOK_PERMANENT_FAILURE' : 'RINGHOOK_HANDLER_FAILED'
      return answerFor(code, { error, undeduplicated: true })
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
      leaseEndsAt: claimedAtMs + this.#settings.leaseMs,
      renewal: undefined,
      isRenewing: false,
    }
    this.#running.set(claim.key, run)
    this.#renewLater(run, claimedAtMs)
    return run
  }

  #end(run: Run): void {
    run.renewal?.cancel()
    run.renewal = undefined
    // Not if another delivery took the event over in the meantime.
    if (this.#running.get(run.claim.key) === run) this.#running.delete(run.claim.key)
    for (const wake of run.waiting) wake()
  }

  #renewLater(run: Run, now: number): void {
    run.renewal = this.#renewals.add(now, () => this.#renew(run))
  }

  /** Asks for more time, three times in a lease, and does not wait for one answer to ask again. */
  #renew(run: Run): void {
    const now = this.#settings.clock.now()
    if (now >= run.leaseEndsAt) {
      run.context.abort(leaseLost())
      run.renewal = undefined
      return
    }
    this.#renewLater(run, now)
    if (run.isRenewing) return
    run.isRenewing = true
    const { store, leaseMs } = this.#settings
    Promise.resolve()
      .then(() => store.extend(run.claim, { leaseMs }))
      .then((isHeld) => {
        if (isHeld) run.leaseEndsAt = now + leaseMs
        else this.#lose(run)
      })
      .catch(() => {
        // The store is away: the next renewal may get through before the lease runs out.
      })
      .finally(() => {
        run.isRenewing = false
      })
  }

  #lose(run: Run): void {
    // The answer may come after the handler's end, to a claim that was completed meanwhile.
    if (run.renewal === undefined) return
    run.renewal.cancel()
    run.renewal = undefined
    run.context.abort(leaseLost())
  }

  /**
   * Marks the event as finished. While the store is away it tries again: until the deadline, and
   * beyond it for as long as the lease keeps others out. The sender has its answer by then.
   */
  async #mark(delivery: Delivery, run: Run, answer: Answer): Promise<Answer> {
    const { store, clock, retentionMs } = this.#settings
    delivery.phase = 'mark'
    for (let pauseMs = 25; ; pauseMs = Math.min(2 * pauseMs, 1_000)) {
      try {
        const isMarked = await store.complete(run.claim, { retentionMs })
        return isMarked ? answer : { ...answer, unmarked: true, error: leaseLost() }
      } catch (error) {
        const leftMs = Math.max(delivery.deadlineMs, run.leaseEndsAt) - clock.now()
        if (leftMs <= 0) return { ...answer, unmarked: true, error }
        await new Promise<void>((resolve) => {
          clock.setTimeout(resolve, Math.min(pauseMs, leftMs))
        })
      }
    }
  }

  /** Gives a failed event back, so that the next delivery runs it at once. */
  async #giveBack(delivery: Delivery, run: Run, error: unknown): Promise<Answer> {
    delivery.phase = 'release'
    await this.#release(run.claim)
    return answerFor('RINGHOOK_HANDLER_FAILED', { error })
  }

  async #release(claim: HeldClaim): Promise<void> {
    try {
      await this.#settings.store.release(claim)
    } catch {
      // The lease runs out by itself; until then a repeat is answered 503 with the time left.
    }
  }
}
