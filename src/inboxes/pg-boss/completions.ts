import { detached } from '../../core/async-context.ts'
import { inNextTurn } from '../../core/clock.ts'

/** More calls at once would take connections that the endpoint needs. */
const maxUnderWay = 2

interface Waiting<Claimed> {
  readonly claimed: Claimed
  resolve(): void
  reject(error: unknown): void
}

/** Completes deliveries that finish in the same turn of the event loop with one call. */
export class Completions<Claimed> {
  readonly #complete: (claims: readonly Claimed[]) => Promise<unknown>
  #waiting: Waiting<Claimed>[] = []
  #underWay = 0
  #isScheduled = false

  constructor(complete: (claims: readonly Claimed[]) => Promise<unknown>) {
    this.#complete = complete
  }

  /** Resolves when the delivery is completed, or its claim was lost. */
  add(claimed: Claimed): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ claimed, resolve, reject })
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0 || this.#underWay === maxUnderWay) return
    this.#isScheduled = true
    // A batch has deliveries of several handlers, and runs in the async context of none of them.
    detached(() =>
      inNextTurn(() => {
        this.#isScheduled = false
        void this.#send()
      }),
    )
  }

  async #send(): Promise<void> {
    const sent = this.#waiting
    this.#waiting = []
    this.#underWay++
    try {
      await this.#complete(sent.map(({ claimed }) => claimed))
      for (const { resolve } of sent) resolve()
    } catch (error) {
      for (const { reject } of sent) reject(error)
    }
    this.#underWay--
    this.#schedule()
  }
}
