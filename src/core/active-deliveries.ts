import { ActiveCount } from './active-count.ts'
import { systemClock, withTimeout } from './clock.ts'
import type { Delivery } from './delivery.ts'

/** How long closing waits for a store that was asked for a claim, in ms. */
const releaseMs = 1_000

/** The deliveries of a receiver that aren't over, and which of them closing waits for. */
export class ActiveDeliveries {
  /** Those that closing waits for, the attempts of a worker included. */
  readonly pending = new ActiveCount()
  /** Those that were refused while the store was asked for a claim, which may have to be released. */
  readonly #releasing = new ActiveCount()

  /**
   * Stops waiting for a delivery that has no claim yet. Returns `false` if it has one. Without one its
   * sender can be refused, and loses nothing.
   */
  dropUnclaimed(delivery: Delivery): boolean {
    switch (delivery.phase) {
      case 'body':
      case 'secret':
      case 'holder':
        delivery.countedBy = undefined
        break
      case 'claim':
        delivery.countedBy = this.#releasing
        this.#releasing.enter()
        break
      default:
        return false
    }
    this.pending.leave()
    return true
  }

  /** Resolves when there are none, not even refused ones. */
  async idle(): Promise<void> {
    await this.pending.idle()
    await this.#releasing.idle()
  }

  /** Resolves when none runs, and claims on their way were released or the store is too slow. */
  async drained(): Promise<void> {
    await this.pending.idle()
    // By the machine's clock: it is the store's own time. A claim that isn't released ends with its lease.
    await withTimeout(systemClock, this.#releasing.idle(), releaseMs).catch(() => {})
  }
}
