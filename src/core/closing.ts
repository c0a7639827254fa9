import { checkOptions, milliseconds } from './checks.ts'
import { type Clock, longestTimer, withTimeout } from './clock.ts'

/** What `receiver.close()` takes. */
export interface CloseOptions {
  /**
   * How long to go on accepting deliveries, in ms: a load balancer sends some until it has noticed
   * that this instance is leaving. Default: 0.
   */
  readonly acceptForMs?: number
  /** How long to wait for running handlers after that, in ms. Default: 10 000. */
  readonly drainMs?: number
}

export interface CloseReport {
  /** Whether every handler that had begun has finished. */
  readonly drained: boolean
  /** How many deliveries were still under way when `drainMs` was over. Those answered 503 don't count. */
  readonly running: number
}

/** What a receiver does at each step of its shutdown. */
export interface ClosingSteps {
  /** Claims nothing more from the inbox, and gives back what isn't done within `drainMs`. */
  stopWorker(drainMs: number): Promise<void> | undefined
  /** Answers 503 to every delivery that has no claim yet. Begins no handler any more. */
  refuse(): void
  /** Resolves when nothing is under way. */
  idle(): Promise<void>
  /** How many deliveries are under way. */
  running(): number
  /** Tells the handlers that still run to stop. */
  abort(): void
}

/** How long closing waits for the inbox to take back what is not done, in ms. */
const giveBackMs = 5_000

/** Shuts a receiver down: it accepts for a while, then refuses, drains, and aborts what is left. */
export class Closing {
  readonly #clock: Clock
  readonly #steps: ClosingSteps
  readonly #accepting: Countdown
  readonly #draining: Countdown
  #report: Promise<CloseReport> | undefined
  #hasBegun = false
  #isRefusing = false

  constructor(clock: Clock, steps: ClosingSteps) {
    this.#clock = clock
    this.#steps = steps
    this.#accepting = new Countdown(clock, 0)
    this.#draining = new Countdown(clock, 10_000)
  }

  /** Whether `close()` was called: senders are asked to use another connection. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** Whether new deliveries are refused. */
  get isRefusing(): boolean {
    return this.#isRefusing
  }

  /**
   * Begins to close. A later call returns the same report, and can only shorten the times.
   *
   * @throws {RinghookError} RINGHOOK_OPTION_INVALID
   */
  async close(options: CloseOptions): Promise<CloseReport> {
    checkOptions('receiver.close()', options, ['acceptForMs', 'drainMs'])
    const accepting = milliseconds('acceptForMs', options.acceptForMs, { default: 0, min: 0 })
    const draining = milliseconds('drainMs', options.drainMs, { default: 10_000, min: 0 })
    // Before it begins a countdown takes any time, and after that only a shorter one.
    if (options.acceptForMs !== undefined) this.#accepting.set(Math.min(accepting, longestTimer))
    if (options.drainMs !== undefined) this.#draining.set(Math.min(draining, longestTimer))
    this.#report ??= this.#run()
    return await this.#report
  }

  async #run(): Promise<CloseReport> {
    this.#hasBegun = true
    const workMs = Math.min(this.#accepting.ms + this.#draining.ms, longestTimer)
    const stopped = this.#steps.stopWorker(workMs)
    if (this.#accepting.ms > 0) await this.#accepting.run()
    this.#isRefusing = true
    this.#steps.refuse()
    await Promise.race([this.#steps.idle(), this.#draining.run()])
    this.#draining.stop()
    const running = this.#steps.running()
    this.#steps.abort()
    // By now it only has to give back what is not done. A database that is away cannot be told.
    if (stopped !== undefined) await withTimeout(this.#clock, stopped, giveBackMs).catch(() => {})
    return { drained: running === 0, running }
  }
}

/** A wait that can be cut short. */
class Countdown {
  readonly #clock: Clock
  #ms: number
  /** When it is over, once it runs. */
  #endsAt: number | undefined
  #timer: unknown
  #end = () => {}

  constructor(clock: Clock, ms: number) {
    this.#clock = clock
    this.#ms = ms
  }

  get ms(): number {
    return this.#ms
  }

  /** Sets how long it takes. While it runs, it can only be made to end sooner. */
  set(ms: number): void {
    if (this.#endsAt === undefined) {
      this.#ms = ms
      return
    }
    if (this.#clock.now() + ms >= this.#endsAt) return
    this.#clock.clearTimeout(this.#timer)
    this.#begin(ms)
  }

  run(): Promise<void> {
    return new Promise((resolve) => {
      this.#end = resolve
      this.#begin(this.#ms)
    })
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer)
  }

  #begin(ms: number): void {
    this.#endsAt = this.#clock.now() + ms
    this.#timer = this.#clock.setTimeout(this.#end, ms)
  }
}
