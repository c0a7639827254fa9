import { systemClock, withTimeout } from './clock.ts'
import type { Delivery } from './delivery.ts'
import { UnderWay } from './under-way.ts'

/** How long closing waits for a store that was asked for a claim, in ms. */
const giveBackMs = 1_000

/** The deliveries of a receiver that are not over, and which of them closing waits for. */
export class ActiveDeliveries {
  /** Those that closing waits for. The worker of an inbox counts its own here too. */
  readonly underWay = new UnderWay()
  /** Refused while the store was asked for a claim, which may have to be given back. */
  readonly #givingBack = new UnderWay()

  /**
   * Stops waiting for a delivery that has no claim yet, and says whether it had none: its sender can
   * be refused, and loses nothing.
   */
  dropUnclaimed(delivery: Delivery): boolean {
    switch (delivery.phase) {
      case 'body':
      case 'secret':
      case 'turn':
        delivery.countedBy = undefined
        break
      case 'claim':
        delivery.countedBy = this.#givingBack
        this.#givingBack.enter()
        break
      default:
        return false
    }
    this.underWay.leave()
    return true
  }

  /** Resolves when there are none, those included that were refused. */
  async idle(): Promise<void> {
    await this.underWay.idle()
    await this.#givingBack.idle()
  }

  /** Resolves when none runs, and claims on their way were given back or the store is too slow. */
  async drained(): Promise<void> {
    await this.underWay.idle()
    // By the machine's clock: it is the store's own time. What is not given back, its lease ends.
    await withTimeout(systemClock, this.#givingBack.idle(), giveBackMs).catch(() => {})
  }
}
