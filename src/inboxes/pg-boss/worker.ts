import { systemClock } from '../../core/clock.ts'
import { pause } from '../../databases/pause.ts'
import type { Attempt, AttemptResult, Process, WorkerOptions } from '../inbox.ts'
import { WorkerLoop } from '../worker-loop.ts'
import { Completions } from './completions.ts'
import { Heartbeat } from './heartbeat.ts'
import { type Claimed, claimedOf, isOneJob } from './job-data.ts'
import type { PgBossJob } from './pg-boss-types.ts'
import { Prefetch } from './prefetch.ts'
import type { Queue } from './queue.ts'
import { completeAll, release, settle } from './settle.ts'
import { completeWithin } from './transaction.ts'

/** The pauses before each try to write a result. */
const pausesMs = [0, 200, 2_000]

/** Settings of a {@link Worker}. */
export interface WorkerSettings extends WorkerOptions {
  readonly pollMs: number
  readonly heartbeatSeconds: number
  /** Whether a transaction of the user's can complete a delivery. */
  readonly transactional: boolean
}

/** Claims the deliveries of a queue and processes them. */
export class Worker {
  readonly #queue: Queue
  readonly #process: Process
  readonly #settings: WorkerSettings
  readonly #loop: WorkerLoop<Claimed>
  readonly #prefetch: Prefetch<Claimed>
  readonly #completions: Completions<Claimed>
  readonly #heartbeat: Heartbeat
  #isStopped = false

  constructor(queue: Queue, process: Process, settings: WorkerSettings) {
    this.#queue = queue
    this.#process = process
    this.#settings = settings
    const { concurrency, pollMs, heartbeatSeconds, onError } = settings
    this.#prefetch = new Prefetch({
      claim: (limit) => this.#claim(limit),
      release: (claims) => this.#release(claims),
      bytesOf: ({ bytes }) => bytes,
      onClaimed: () => this.wake(),
      onError,
    })
    this.#loop = new WorkerLoop({
      concurrency,
      pollMs,
      take: (free) => this.#prefetch.take(free),
      run: (claimed) => this.#run(claimed),
      onError,
    })
    this.#heartbeat = new Heartbeat(
      queue,
      heartbeatSeconds,
      () => [...this.#loop.running, ...this.#prefetch.waiting],
      onError,
    )
    this.#completions = new Completions(async (claims) => {
      await this.#heartbeat.idle()
      await completeAll(queue, claims)
    })
  }

  /** Looks for deliveries at once. */
  wake(): void {
    this.#loop.wake()
  }

  /** Waits up to `drainMs` for what runs, and gives the rest back. */
  async stop(drainMs: number): Promise<void> {
    const left = await this.#loop.stop(drainMs)
    this.#isStopped = true
    const waiting = await this.#prefetch.stop()
    this.#heartbeat.stop()
    await Promise.all([
      ...left.filter(({ isBegun }) => isBegun).map((claimed) => this.#giveBack(claimed)),
      this.#release([...left.filter(({ isBegun }) => !isBegun), ...waiting]),
    ])
  }

  async #claim(limit: number): Promise<readonly Claimed[]> {
    const claimed = (jobs: readonly PgBossJob[]) => {
      const now = systemClock.now()
      return jobs.map((job) => claimedOf(job, now))
    }
    return claimed(await this.#queue.fetch(limit, (late) => void this.#release(claimed(late))))
  }

  async #run(claimed: Claimed): Promise<void> {
    const { kept } = claimed
    claimed.isBegun = true
    const result = await this.#process(kept.delivery, this.#attemptOf(claimed))
    // It was given back, and pg-boss may be stopped by now.
    if (this.#isStopped) return
    await this.#settle(claimed, result)
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

  async #settle(claimed: Claimed, result: AttemptResult): Promise<void> {
    // A row that a transaction of the user's has would keep those of all others waiting.
    const isBatched = result.state === 'completed' && isOneJob(claimed) && !claimed.isCompleting
    claimed.isSettling = isBatched
    await tryAgain(() =>
      isBatched ? this.#completions.add(claimed) : settle(this.#queue, claimed, result),
    )
  }

  async #giveBack(claimed: Claimed): Promise<void> {
    try {
      await this.#settle(claimed, { state: 'postponed', delayMs: 0 })
    } catch (error) {
      this.#settings.onError(error)
    }
  }

  async #release(claims: readonly Claimed[]): Promise<void> {
    try {
      await this.#heartbeat.idle()
      await tryAgain(() => release(this.#queue, claims))
    } catch (error) {
      this.#settings.onError(error)
    }
  }
}

/** Tries again what fails: a result that isn't written costs the delivery another attempt. */
async function tryAgain(write: () => Promise<unknown>): Promise<void> {
  for (const [index, pauseMs] of pausesMs.entries()) {
    if (pauseMs > 0) await pause(pauseMs)
    try {
      await write()
      return
    } catch (error) {
      if (index === pausesMs.length - 1) throw error
    }
  }
}
