/** Claims that are faster than this are no burden, and bring what there is room for. */
const slowMs = 30
/** The most that is claimed ahead. */
const mostAhead = 200

/**
 * Says how much to claim beyond what there is room for. In a queue that keeps an order a claim takes
 * the longer the more keys wait, and costs the same whatever it brings: some 100 ms with 20 000. So
 * a worker with fast handlers takes along what it will have done in the time of four claims; and one
 * with slow handlers nothing, since other workers may have room for it.
 */
export class Prefetch {
  #claimMs = 0
  #claimedAt = 0
  #wasFull = false
  #ended = 0

  /** To be called for each delivery that is done with. */
  countEnd(): void {
    this.#ended++
  }

  get ahead(): number {
    if (!this.#wasFull || this.#claimMs < slowMs) return 0
    const perMs = this.#ended / Math.max(1, performance.now() - this.#claimedAt)
    return Math.min(mostAhead, Math.floor(4 * perMs * this.#claimMs))
  }

  /** Measures a claim of up to `limit`. */
  async measure<Item>(
    limit: number,
    claim: () => Promise<readonly Item[]>,
  ): Promise<readonly Item[]> {
    const began = performance.now()
    this.#claimedAt = began
    this.#ended = 0
    const claimed = await claim()
    this.#claimMs = performance.now() - began
    this.#wasFull = claimed.length >= limit
    return claimed
  }
}
