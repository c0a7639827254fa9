import { systemClock } from '../../core/clock.ts'
import { attemptOf, type Claimed } from './job-data.ts'
import type { Queue } from './queue.ts'

/** Shows pg-boss that a worker is alive, three times within the shortest `heartbeatSeconds`. */
export class Heartbeat {
  readonly #queue: Queue
  readonly #seconds: number
  readonly #claims: () => readonly Claimed[]
  readonly #onError: (error: unknown) => void
  #timer: unknown
  #sending: Promise<void> | undefined

  constructor(
    queue: Queue,
    seconds: number,
    claims: () => readonly Claimed[],
    onError: (error: unknown) => void,
  ) {
    this.#queue = queue
    this.#seconds = seconds
    this.#claims = claims
    this.#onError = onError
    this.#arm()
  }

  /**
   * Resolves when no heartbeat is under way. Two statements that change several of the same rows
   * could wait for each other for ever.
   */
  async idle(): Promise<void> {
    await this.#sending
  }

  stop(): void {
    systemClock.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #arm(): void {
    const seconds = this.#claims().map(({ job }) => job.heartbeatSeconds ?? Infinity)
    const least = Math.min(this.#seconds, ...seconds)
    this.#timer = systemClock.setTimeout(
      () => {
        this.#sending = this.#send()
      },
      (least * 1_000) / 3,
    )
  }

  async #send(): Promise<void> {
    // A row that a transaction of the user's has would keep those of all others waiting.
    const claims = this.#claims().filter((claimed) => !claimed.isCompleting && !claimed.isSettling)
    try {
      if (claims.length > 0) await this.#queue.touch(claims.map(attemptOf))
    } catch (error) {
      this.#onError(error)
    }
    if (this.#timer !== undefined) this.#arm()
  }
}
