/** Faster claims than this are cheap, so nothing is claimed ahead. */
const slowClaimMs = 30
/** The most deliveries that are claimed ahead. */
const maxAhead = 2_000
/** The most bytes of bodies, by the average of the last claim. */
const maxBytes = 32 * 1_048_576
/** What is claimed ahead should be enough for this many claims, but for no longer than `maxMs`. */
const claims = 4
const maxMs = 4_000

/**
 * Decides how many deliveries a worker claims beyond its free slots.
 *
 * In a queue that keeps an order, a claim looks at the head of every key and takes as long for one
 * delivery as for a thousand: about 400 ms with 100,000 keys waiting. A worker with fast handlers
 * therefore claims what it can run in the time of four claims. A worker with slow handlers claims
 * nothing ahead, so that other workers can have it.
 */
export class PrefetchSize {
  #claimMs = 0
  #bytesEach = 1
  #wasFull = false
  /** When the last claim began, on the clock of `performance.now()`. */
  #since = 0
  #ended = 0
  /** How long the worker had free slots and nothing to run since then. */
  #idleMs = 0

  /** How many deliveries to keep ahead. */
  get size(): number {
    if (!this.#wasFull || this.#claimMs < slowClaimMs) return 0
    // The rate of the handlers, and not of the claims that they wait for.
    const busyMs = Math.max(1, performance.now() - this.#since - this.#idleMs)
    const wanted = (this.#ended / busyMs) * Math.min(claims * this.#claimMs, maxMs)
    return Math.floor(Math.min(wanted, maxAhead, maxBytes / this.#bytesEach))
  }

  /** Counts a delivery that has been processed. */
  countEnd(): void {
    this.#ended++
  }

  /** Counts time in which the worker waited for a claim. */
  countIdle(ms: number): void {
    this.#idleMs += ms
  }

  /** Runs a claim of up to `limit` deliveries and measures it. */
  async measure<Item>(
    limit: number,
    claim: () => Promise<readonly Item[]>,
    bytesOf: (item: Item) => number,
  ): Promise<readonly Item[]> {
    const began = performance.now()
    const [endedBefore, idleBefore] = [this.#ended, this.#idleMs]
    this.#wasFull = false
    const claimed = await claim()
    this.#claimMs = performance.now() - began
    this.#wasFull = claimed.length >= limit
    this.#since = began
    this.#ended -= endedBefore
    this.#idleMs -= idleBefore
    const bytes = claimed.reduce((sum, item) => sum + bytesOf(item), 0)
    this.#bytesEach = Math.max(1, bytes / Math.max(1, claimed.length))
    return claimed
  }
}
