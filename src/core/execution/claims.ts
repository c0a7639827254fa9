import { randomUUID } from 'node:crypto'
import type { Claim, ClaimOptions, HeldClaim, IdempotencyStore } from '../../stores/store.ts'
import { type Clock, nextTurn, withTimeout } from '../clock.ts'
import type { Delivery } from '../delivery.ts'
import { answerFor } from '../outcome/answers.ts'
import { isThenable } from '../thenable.ts'
import type { InFlightRegistry } from './in-flight.ts'
import { checkClaim } from './store-checks.ts'

/** What {@link Claims} need. */
export interface ClaimSettings {
  readonly store: IdempotencyStore
  readonly clock: Clock
  readonly leaseMs: number
  readonly onStoreError: 'reject' | 'process'
}

/** The store's answer to a delivery, and when it was asked: the lease may count from then. */
export interface TimedClaim {
  readonly claim: Claim
  readonly askedAtMs: number
}

/** How long a repeat waits for the delivery that runs already. */
const turnMs = 2_000
const longestPollMs = 250

/** Claims events for deliveries, and waits its turn where an event runs already. */
export class Claims {
  readonly #settings: ClaimSettings
  readonly #running: InFlightRegistry
  /** Owners are this and a number: unlike those of any other process, and of any other delivery. */
  readonly #ownerPrefix = `${randomUUID()}.`
  #owners = 0

  constructor(settings: ClaimSettings, running: InFlightRegistry) {
    this.#settings = settings
    this.#running = running
  }

  /**
   * Claims, and again until a run under way has ended: it may fail, and then it is this one's turn.
   * Gives no promise where the store has answered at once.
   */
  claim(delivery: Delivery, key: string, fingerprint: string): TimedClaim | Promise<TimedClaim> {
    const owner = `${this.#ownerPrefix}${this.#owners++}`
    const endedBefore = this.#running.ended
    const first = this.#claimUnlessHere(delivery, key, owner, fingerprint)
    // Nothing is made for what most claims do not need: a closure would be, in each of them.
    if (!isThenable(first) && first.claim.state !== 'in_flight') return first
    return this.#takeTurns(delivery, key, owner, fingerprint, first, endedBefore)
  }

  async #takeTurns(
    delivery: Delivery,
    key: string,
    owner: string,
    fingerprint: string,
    first: TimedClaim | Promise<TimedClaim>,
    endedBefore: number,
  ): Promise<TimedClaim> {
    const { clock } = this.#settings
    let timed = await first
    if (timed.claim.state !== 'in_flight') return timed
    delivery.phase = 'turn'
    // The delivery that won may have come to this process too: now its handler runs, or has ended.
    await nextTurn()
    if (this.#running.ended > endedBefore) {
      timed = await this.#claimUnlessHere(delivery, key, owner, fingerprint)
    }
    const giveUpAt = Math.min(clock.now() + turnMs, delivery.deadlineMs)
    for (let pollMs = 25; timed.claim.state === 'in_flight'; pollMs *= 2) {
      const { retryAfterMs } = timed.claim
      delivery.result = answerFor('RINGHOOK_IN_FLIGHT', { retryAfterMs })
      const leftMs = giveUpAt - clock.now()
      if (leftMs <= 0) break
      // A run in this process says when it ends; for one elsewhere the store has to be asked.
      const isHere = this.#running.get(key) !== undefined
      await this.#running.pause(key, isHere ? leftMs : Math.min(pollMs, leftMs, longestPollMs))
      if (delivery.answered) break
      timed = await this.#claimUnlessHere(delivery, key, owner, fingerprint)
    }
    return timed
  }

  /** Gives a claim back, so that the next delivery gets it at once. */
  async release(claim: HeldClaim): Promise<void> {
    const { store, clock, leaseMs } = this.#settings
    try {
      await withTimeout(clock, Promise.resolve(store.release(claim)), leaseMs)
    } catch {
      // The lease runs out by itself; until then a repeat is answered 503 with the time left.
    }
  }

  /**
   * Leaves the store alone while the event runs in this process, whatever the store knows of it: a
   * claim won from a run that lost its lease would make that run's own end count for nothing.
   */
  #claimUnlessHere(
    delivery: Delivery,
    key: string,
    owner: string,
    fingerprint: string,
  ): TimedClaim | Promise<TimedClaim> {
    const { clock, leaseMs } = this.#settings
    const askedAtMs = clock.now()
    const here = this.#running.get(key)
    if (here !== undefined) {
      const leftMs = here.endsAt - askedAtMs
      const retryAfterMs = leftMs > 0 ? leftMs : leaseMs
      return { claim: { state: 'in_flight', retryAfterMs }, askedAtMs }
    }
    const claiming = this.#claimTwice(delivery, key, { owner, leaseMs, fingerprint })
    if (!isThenable(claiming)) return { claim: claiming, askedAtMs }
    const canRunWithout = this.#settings.onStoreError === 'process' && delivery.phase === 'claim'
    const inItsTime = canRunWithout ? this.#withTimeout(claiming, delivery) : claiming
    return inItsTime.then((claim) => ({ claim, askedAtMs }))
  }

  /** Claims, and once more if that fails: the claim may stand although its reply was lost. */
  #claimTwice(delivery: Delivery, key: string, options: ClaimOptions): Claim | Promise<Claim> {
    let claiming: Claim | Promise<Claim>
    try {
      claiming = this.#settings.store.claim(key, options)
      if (!isThenable(claiming)) return checkClaim(claiming, key, options.owner)
    } catch (error) {
      claiming = Promise.reject(error)
    }
    return this.#orAgain(delivery, key, options, claiming)
  }

  async #orAgain(
    delivery: Delivery,
    key: string,
    options: ClaimOptions,
    claiming: Promise<Claim>,
  ): Promise<Claim> {
    try {
      return checkClaim(await claiming, key, options.owner)
    } catch (error) {
      // The sender has gone: the store is down, and needs no more questions.
      if (delivery.answered) throw error
      return checkClaim(await this.#settings.store.claim(key, options), key, options.owner)
    }
  }

  /** Fails after half of the time that is left, so that the handler can still run without a claim. */
  async #withTimeout(claiming: Promise<Claim>, { deadlineMs }: Delivery): Promise<Claim> {
    const { clock } = this.#settings
    try {
      return await withTimeout(clock, claiming, Math.max(0, (deadlineMs - clock.now()) / 2))
    } catch (error) {
      claiming.then(
        (late) => {
          if (late?.state === 'claimed') void this.release(late)
        },
        () => {
          // It had failed before the time was over.
        },
      )
      throw error
    }
  }
}
