import { type Clock, systemClock } from '../../core/clock.ts'
import { PrefetchSize } from './prefetch-size.ts'

/** Deliveries that have waited for a free slot for this long are given back. */
const maxWaitMs = 10_000

export interface PrefetchOptions<Claimed> {
  /** Claims up to `limit` deliveries. */
  claim(limit: number): Promise<readonly Claimed[]>
  /** Gives back deliveries whose handler was never called. Doesn't reject. */
  release(claims: readonly Claimed[]): Promise<void>
  /** Returns the size of a delivery in memory, roughly. */
  bytesOf(claimed: Claimed): number
  /** Called when a claim in the background has ended. */
  onClaimed(): void
  /** Told why a claim in the background failed. */
  onError(error: unknown): void
  /** Default: the machine's clock. */
  readonly clock?: Clock
}

interface Waiting<Claimed> {
  readonly claimed: Claimed
  readonly since: number
}

/**
 * Deliveries claimed before the worker has a free slot for them. While it runs the first half, the
 * next claim goes on in the background.
 *
 * None waits here for longer than 10 s: when handlers become slow, other workers get the rest, and a
 * process that was halted doesn't begin what it may have lost.
 */
export class Prefetch<Claimed> {
  readonly #options: PrefetchOptions<Claimed>
  readonly #clock: Clock
  readonly #size = new PrefetchSize()
  readonly #waiting: Waiting<Claimed>[] = []
  #claiming: Promise<void> | undefined
  #releasing: Promise<void> | undefined
  #timer: unknown
  #isStopped = false

  constructor(options: PrefetchOptions<Claimed>) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** The deliveries that wait for a free slot. */
  get waiting(): readonly Claimed[] {
    return this.#waiting.map(({ claimed }) => claimed)
  }

  /** Counts a delivery that has been processed. */
  countEnd(): void {
    this.#size.countEnd()
  }

  /** Takes up to `free` deliveries. Waits for a claim only if there are none. */
  async take(free: number): Promise<readonly Claimed[]> {
    this.#releaseOld()
    const isEmpty = this.#waiting.length === 0
    if (isEmpty) await this.#waitForClaim(free)
    const taken = this.#waiting.splice(0, free).map(({ claimed }) => claimed)
    this.#claimInBackground(isEmpty ? 0 : free - taken.length)
    return taken
  }

  /** Claims no more, and returns what waits once no claim is under way. */
  async stop(): Promise<readonly Claimed[]> {
    this.#isStopped = true
    await this.#claiming?.catch(() => {
      // `onError` was told.
    })
    await this.#releasing
    this.#clock.clearTimeout(this.#timer)
    return this.#waiting.splice(0).map(({ claimed }) => claimed)
  }

  async #waitForClaim(free: number): Promise<void> {
    const began = performance.now()
    if (this.#claiming === undefined) await this.#claim(free + this.#size.size)
    else {
      await this.#claiming.catch(() => {
        // `onError` was told.
      })
    }
    this.#size.countIdle(performance.now() - began)
  }

  #claimInBackground(unfilled: number): void {
    if (this.#isStopped || this.#claiming !== undefined) return
    const { size } = this.#size
    const missing = unfilled + size - this.#waiting.length
    const isHalfEmpty = size > 0 && missing >= size / 2
    if (unfilled === 0 && !isHalfEmpty) return
    const { onClaimed, onError } = this.#options
    this.#claim(missing).then(onClaimed, onError)
  }

  #claim(limit: number): Promise<void> {
    const { claim, bytesOf } = this.#options
    this.#claiming = this.#size
      .measure(limit, () => claim(limit), bytesOf)
      .then((claimed) => {
        const since = this.#clock.now()
        for (const one of claimed) this.#waiting.push({ claimed: one, since })
        this.#arm()
      })
      .finally(() => {
        this.#claiming = undefined
      })
    return this.#claiming
  }

  /** Gives back what has waited for too long. */
  #releaseOld(): void {
    const now = this.#clock.now()
    // Also if the clock was set back meanwhile.
    const firstFresh = this.#waiting.findIndex(
      ({ since }) => now >= since && now - since < maxWaitMs,
    )
    const old = this.#waiting.splice(0, firstFresh < 0 ? this.#waiting.length : firstFresh)
    if (old.length === 0) return
    const releasing = this.#options.release(old.map(({ claimed }) => claimed))
    this.#releasing = Promise.all([this.#releasing, releasing]).then(() => {})
  }

  #arm(): void {
    const [oldest] = this.#waiting
    if (this.#timer !== undefined || this.#isStopped || oldest === undefined) return
    const waitMs = Math.max(oldest.since + maxWaitMs - this.#clock.now(), 1)
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined
      this.#releaseOld()
      this.#arm()
    }, waitMs)
  }
}
