import { systemClock } from '../../core/clock.ts'
import { pause } from '../../databases/pause.ts'
import type { Attempt, AttemptResult, Process, WorkerOptions } from '../inbox.ts'
import { WorkerLoop } from '../worker-loop.ts'
import { carryOut } from './attempt-results.ts'
import type { PgBossJob } from './client.ts'
import { attemptOf, type Claimed, claimedOf } from './jobs.ts'
import { Prefetch } from './prefetch.ts'
import type { Queue } from './queue.ts'
import { completeWithin } from './transaction.ts'

/** The pauses before a verdict is tried again that the server did not take. */
const pausesMs = [0, 200, 2_000]

/** How a {@link Worker} works. */
export interface WorkerSettings extends WorkerOptions {
  readonly pollMs: number
  readonly heartbeatSeconds: number
  /** Whether a transaction of the user's can mark a delivery as done. */
  readonly transactional: boolean
}

/** Claims the deliveries of a queue and processes them. */
export class Worker {
  readonly #queue: Queue
  readonly #process: Process
  readonly #settings: WorkerSettings
  readonly #loop: WorkerLoop<Claimed>
  readonly #prefetch = new Prefetch()
  /** Claimed ahead, and run as soon as there is room. */
  readonly #ahead: Claimed[] = []
  #heartbeat: unknown
  #isOver = false

  constructor(queue: Queue, process: Process, settings: WorkerSettings) {
    this.#queue = queue
    this.#process = process
    this.#settings = settings
    const { concurrency, pollMs, onError } = settings
    this.#loop = new WorkerLoop({
      concurrency,
      pollMs,
      take: (free) => this.#take(free),
      run: (claimed) => this.#run(claimed),
      onError,
    })
    this.#armHeartbeat()
  }

  /** Looks for deliveries at once. */
  wake(): void {
    this.#loop.wake()
  }

  async stop(drainMs: number): Promise<void> {
    const left = await this.#loop.stop(drainMs)
    this.#isOver = true
    const unfinished = [...left, ...this.#ahead.splice(0)]
    await Promise.all(unfinished.map((claimed) => this.#giveBack(claimed)))
    systemClock.clearTimeout(this.#heartbeat)
    this.#heartbeat = undefined
  }

  async #take(free: number): Promise<readonly Claimed[]> {
    const missing = free - this.#ahead.length
    if (missing > 0) {
      const limit = missing + this.#prefetch.ahead
      const claimed = await this.#prefetch.measure(limit, () => this.#claim(limit))
      this.#ahead.push(...claimed)
    }
    return this.#ahead.splice(0, free)
  }

  async #claim(limit: number): Promise<readonly Claimed[]> {
    const claimed = (job: PgBossJob) => claimedOf(job, systemClock.now())
    const jobs = await this.#queue.fetch(limit, (late) => {
      for (const job of late) void this.#giveBack(claimed(job))
    })
    return jobs.map(claimed)
  }

  async #run(claimed: Claimed): Promise<void> {
    const { kept } = claimed
    const verdict = await this.#process(kept.delivery, this.#attemptOf(claimed))
    // It was given back, and pg-boss may be stopped by now.
    if (this.#isOver) return
    await this.#carryOut(claimed, verdict)
    this.#prefetch.countEnd()
    // The next one of its order may be claimed now.
    if (kept.order !== undefined) this.wake()
  }

  #attemptOf(claimed: Claimed): Attempt {
    const { kept, number } = claimed
    const attempt = { id: kept.key, number }
    if (!this.#settings.transactional) return attempt
    return {
      ...attempt,
      complete: (transaction) => completeWithin(this.#queue, claimed, transaction),
    }
  }

  /** A verdict that does not arrive costs the delivery another attempt: it is worth another try. */
  async #carryOut(claimed: Claimed, verdict: AttemptResult): Promise<void> {
    for (const [index, pauseMs] of pausesMs.entries()) {
      if (pauseMs > 0) await pause(pauseMs)
      try {
        await carryOut(this.#queue, claimed, verdict)
        return
      } catch (error) {
        if (index === pausesMs.length - 1) throw error
      }
    }
  }

  async #giveBack(claimed: Claimed): Promise<void> {
    try {
      await this.#carryOut(claimed, { state: 'postponed', delayMs: 0 })
    } catch (error) {
      this.#settings.onError(error)
    }
  }

  #armHeartbeat(): void {
    const seconds = this.#claimed().map(({ job }) => job.heartbeatSeconds ?? Infinity)
    const least = Math.min(this.#settings.heartbeatSeconds, ...seconds)
    this.#heartbeat = systemClock.setTimeout(() => void this.#beat(), (least * 1_000) / 3)
  }

  async #beat(): Promise<void> {
    // A row that a transaction of the user's has would keep those of all others waiting.
    const claimed = this.#claimed().filter(({ isCompleting }) => !isCompleting)
    try {
      if (claimed.length > 0) await this.#queue.touch(claimed.map(attemptOf))
    } catch (error) {
      this.#settings.onError(error)
    }
    if (this.#heartbeat !== undefined) this.#armHeartbeat()
  }

  #claimed(): Claimed[] {
    return [...this.#loop.running, ...this.#ahead]
  }
}
