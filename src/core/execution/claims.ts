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

/** How long a repeat waits for the delivery that holds the claim. */
const holderWaitMs = 2_000
const longestPollMs = 250

/** Claims events for deliveries, and waits for the holder where an event is running already. */
export class Claims {
  readonly #settings: ClaimSettings
  readonly #inFlight: InFlightRegistry
  /** Owners are this and a number, unlike those of any other process or delivery. */
  readonly #ownerPrefix = `${randomUUID()}.`
  #owners = 0

  constructor(settings: ClaimSettings, inFlight: InFlightRegistry) {
    this.#settings = settings
    this.#inFlight = inFlight
  }

  /**
   * Claims, and claims again once the holder has ended: it may fail, and then the event is free.
   * Returns no promise if the store answers at once.
   */
  claim(delivery: Delivery): Claim | Promise<Claim> {
    const owner = `${this.#ownerPrefix}${this.#owners++}`
    const endedBefore = this.#inFlight.ended
    const first = this.#claimUnlessHere(delivery, owner, delivery.nowMs)
    // Nothing is allocated for what most claims don't need.
    if (!isThenable(first) && first.state !== 'in_flight') return first
    return this.#waitForHolder(delivery, owner, first, endedBefore)
  }

  async #waitForHolder(
    delivery: Delivery,
    owner: string,
    first: Claim | Promise<Claim>,
    endedBefore: number,
  ): Promise<Claim> {
    const { clock } = this.#settings
    let claim = await first
    if (claim.state !== 'in_flight') return claim
    delivery.phase = 'holder'
    // The holder may have come to this process too: now its handler runs, or has ended.
    await nextTurn()
    if (this.#inFlight.ended > endedBefore) {
      claim = await this.#claimUnlessHere(delivery, owner, clock.now())
    }
    const giveUpAtMs = Math.min(clock.now() + holderWaitMs, delivery.deadlineMs)
    for (let pollMs = 25; claim.state === 'in_flight'; pollMs *= 2) {
      const { retryAfterMs } = claim
      delivery.fallback = answerFor('RINGHOOK_IN_FLIGHT', { retryAfterMs })
      const leftMs = giveUpAtMs - clock.now()
      if (leftMs <= 0) break
      // An execution in this process wakes us when it ends; for one elsewhere the store is polled.
      const isHere = this.#inFlight.get(delivery.key) !== undefined
      const pauseMs = isHere ? leftMs : Math.min(pollMs, leftMs, longestPollMs)
      await this.#inFlight.pause(delivery.key, pauseMs)
      if (delivery.answered) break
      claim = await this.#claimUnlessHere(delivery, owner, clock.now())
    }
    return claim
  }

  /** Releases a claim, so that the next delivery gets it at once. */
  async release(claim: HeldClaim): Promise<void> {
    const { store, clock, leaseMs } = this.#settings
    try {
      await withTimeout(clock, Promise.resolve(store.release(claim)), leaseMs)
    } catch {
      // The lease runs out by itself; until then a repeat is answered 503 with the time left.
    }
  }

  /**
   * Leaves the store alone while the event runs in this process, whatever the store knows about it: a
   * claim won from an execution that lost its lease would make that execution's completion void.
   */
  #claimUnlessHere(delivery: Delivery, owner: string, now: number): Claim | Promise<Claim> {
    const { leaseMs, onStoreError } = this.#settings
    const { key, fingerprint } = delivery
    delivery.claimAskedAtMs = now
    const here = this.#inFlight.get(key)
    if (here !== undefined) {
      const leftMs = here.leaseEndsAtMs - now
      return { state: 'in_flight', retryAfterMs: leftMs > 0 ? leftMs : leaseMs }
    }
    const claiming = this.#claimTwice(delivery, { owner, leaseMs, fingerprint })
    const canRunWithout = onStoreError === 'process' && delivery.phase === 'claim'
    return isThenable(claiming) && canRunWithout ? this.#withTimeout(claiming, delivery) : claiming
  }

  /** Claims, and once more if that fails: the claim may stand although its reply was lost. */
  #claimTwice(delivery: Delivery, options: ClaimOptions): Claim | Promise<Claim> {
    let claiming: Claim | Promise<Claim>
    try {
      claiming = this.#settings.store.claim(delivery.key, options)
      if (!isThenable(claiming)) return checkClaim(claiming, delivery.key, options.owner)
    } catch (error) {
      claiming = Promise.reject(error)
    }
    return this.#orAgain(delivery, options, claiming)
  }

  async #orAgain(
    delivery: Delivery,
    options: ClaimOptions,
    claiming: Promise<Claim>,
  ): Promise<Claim> {
    const { key } = delivery
    try {
      return checkClaim(await claiming, key, options.owner)
    } catch (error) {
      // The sender is gone: the store is down, and needs no more questions.
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
          // It failed before the time was over.
        },
      )
      throw error
    }
  }
}
