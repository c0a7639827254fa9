import { captureContext } from '../core/async-context.ts'
import { type Clock, nextTurn, systemClock } from '../core/clock.ts'

/** What a {@link WorkerLoop} works with. */
export interface WorkerLoopOptions<Claimed> {
  /** How many run at a time at most. */
  readonly concurrency: number
  /** After a look that found less than it had room for: how long until the next, unless it is woken. */
  readonly pollMs: number
  /** Default: the machine's clock. */
  readonly clock?: Clock
  /**
   * Claims at most `free` deliveries. Must settle: `stop` waits for it, so that what it claims is
   * not forgotten.
   */
  take(free: number): Promise<readonly Claimed[]> | readonly Claimed[]
  /** Processes one and carries out its verdict. What it rejects with goes to `onError`. */
  run(claimed: Claimed): Promise<void>
  /** Told what `take` and `run` failed with. */
  onError(error: unknown): void
}

/** The pauses after a look that failed: each twice as long as the one before. */
const firstPauseMs = 100
const longestPauseMs = 10_000

/**
 * Takes from an inbox and runs what it took, until it is stopped. It looks again at once when there
 * may be more: after a full take, as soon as there is room, and when it is woken.
 */
export class WorkerLoop<Claimed extends object> {
  readonly #options: WorkerLoopOptions<Claimed>
  readonly #clock: Clock
  /** Whoever wakes it: it works in the async context in which it was made. */
  readonly #inContext = captureContext()
  readonly #running = new Set<Claimed>()
  /** What a take brought when it was too late to begin with it. */
  readonly #unbegun: Claimed[] = []
  #mayBeMore = false
  #taking: Promise<void> | undefined
  #timer: unknown
  /** How many looks failed in a row. After one the timer is waited for, whoever calls. */
  #failures = 0
  #stopped: Promise<readonly Claimed[]> | undefined
  #becameIdle = () => {}

  constructor(options: WorkerLoopOptions<Claimed>) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** What runs at present, for those who renew leases. */
  get running(): ReadonlySet<Claimed> {
    return this.#running
  }

  /** Looks as soon as there is room: at the start, and when there may be something new. */
  wake(): void {
    this.#mayBeMore = true
    this.#inContext(() => this.#look())
  }

  /**
   * Takes no more, and waits up to `drainMs` for what runs.
   *
   * @returns what is not done by then, so that the inbox can give it back. It may still run on.
   */
  stop(drainMs: number): Promise<readonly Claimed[]> {
    this.#stopped ??= this.#drain(drainMs)
    return this.#stopped
  }

  #look(): void {
    if (this.#taking !== undefined || this.#stopped !== undefined || this.#room() <= 0) return
    if (this.#failures > 0 && this.#timer !== undefined) return
    if (!this.#mayBeMore) {
      this.#timer ??= this.#wakeAfter(this.#options.pollMs)
      return
    }
    this.#clearTimer()
    this.#taking = this.#take().then(() => {
      this.#taking = undefined
      this.#goOn()
    })
  }

  async #take(): Promise<void> {
    // Not in this turn of the event loop: places that get free together are filled by one take, and
    // a driver and handlers that never wait leave room for requests.
    await nextTurn()
    if (this.#stopped !== undefined) return
    const room = this.#room()
    this.#mayBeMore = false
    try {
      const claimed = await this.#options.take(room)
      this.#failures = 0
      if (claimed.length >= room) this.#mayBeMore = true
      if (this.#stopped !== undefined) this.#unbegun.push(...claimed)
      else for (const one of claimed) void this.#run(one)
    } catch (error) {
      const pauseMs = Math.min(firstPauseMs * 2 ** this.#failures++, longestPauseMs)
      if (this.#stopped === undefined) this.#timer = this.#wakeAfter(pauseMs)
      this.#report(error)
    }
  }

  async #run(claimed: Claimed): Promise<void> {
    this.#running.add(claimed)
    try {
      await this.#options.run(claimed)
    } catch (error) {
      this.#report(error)
    }
    this.#running.delete(claimed)
    this.#goOn()
  }

  #goOn(): void {
    if (this.#running.size === 0 && this.#taking === undefined) this.#becameIdle()
    this.#look()
  }

  async #drain(drainMs: number): Promise<readonly Claimed[]> {
    this.#clearTimer()
    if (drainMs > 0 && (this.#running.size > 0 || this.#taking !== undefined))
      await this.#idleWithin(drainMs)
    // A take under way is waited for beyond the time: what it claims would be nobody's.
    await this.#taking
    return [...this.#running, ...this.#unbegun]
  }

  #idleWithin(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.setTimeout(resolve, ms)
      this.#becameIdle = () => {
        this.#clock.clearTimeout(timer)
        resolve()
      }
    })
  }

  #room(): number {
    return this.#options.concurrency - this.#running.size
  }

  #wakeAfter(ms: number): unknown {
    return this.#clock.setTimeout(() => {
      this.#timer = undefined
      this.wake()
    }, ms)
  }

  #clearTimer(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #report(error: unknown): void {
    try {
      this.#options.onError(error)
    } catch {
      // What it throws must not stop the worker, and there is nobody else to be told.
    }
  }
}
