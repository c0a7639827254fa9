import type { Clock } from '../../core/clock.ts'
import type { Process, WorkerOptions } from '../inbox.ts'
import { WorkerLoop } from '../worker-loop.ts'
import type { SqliteClaim, SqliteQueue } from './queue.ts'

/** What a worker goes by. */
export interface SqliteWorkerOptions extends WorkerOptions {
  readonly clock: Clock
  readonly leaseMs: number
  readonly pollMs: number
}

/** Runs what it claims from a queue, and keeps it until it is done. */
export class SqliteWorker {
  readonly #queue: SqliteQueue
  readonly #process: Process
  readonly #options: SqliteWorkerOptions
  readonly #loop: WorkerLoop<SqliteClaim>
  readonly #renewalMs: number
  #renewedAt = 0
  #timer: unknown
  #isOver = false
  #stopped: Promise<void> | undefined

  constructor(queue: SqliteQueue, process: Process, options: SqliteWorkerOptions) {
    const { clock, concurrency, leaseMs, pollMs } = options
    this.#queue = queue
    this.#process = process
    this.#options = options
    this.#renewalMs = leaseMs / 3
    this.#loop = new WorkerLoop({
      clock,
      concurrency,
      pollMs,
      take: (free) => this.#take(free),
      run: (claim) => this.#run(claim),
      onError: (error) => options.onError(error),
    })
  }

  start(): void {
    this.#renewLater()
    this.#loop.wake()
  }

  /** Looks for deliveries at once. */
  wake(): void {
    this.#loop.wake()
  }

  stop(drainMs: number): Promise<void> {
    this.#stopped ??= this.#stop(drainMs)
    return this.#stopped
  }

  async #stop(drainMs: number): Promise<void> {
    const left = await this.#loop.stop(drainMs)
    this.#isOver = true
    this.#options.clock.clearTimeout(this.#timer)
    try {
      if (left.length > 0) await this.#queue.giveBack(left)
    } catch (error) {
      // They are claimed again when their leases end.
      this.#tell(error)
    }
  }

  async #take(free: number): Promise<readonly SqliteClaim[]> {
    if (!(await this.#queue.hasDue())) return []
    const now = this.#options.clock.now()
    const isLate = now - this.#renewedAt >= this.#renewalMs
    const { claims, mayBeMore } = await this.#queue.claim(
      free,
      isLate ? [...this.#loop.running] : [],
    )
    if (isLate) this.#renewedAt = now
    if (mayBeMore) this.#loop.wake()
    return claims
  }

  async #run(claim: SqliteClaim): Promise<void> {
    const verdict = await this.#process(claim.delivery, {
      id: claim.id,
      number: claim.number,
      complete: (transaction) => this.#queue.complete(claim, transaction),
    })
    // It was given back, and the database may be closed by now.
    if (this.#isOver) return
    await this.#queue.settle(claim, verdict)
    // One that waited for it may be free.
    this.#loop.wake()
  }

  #renewLater(): void {
    this.#renewedAt = this.#options.clock.now()
    this.#timer = this.#options.clock.setTimeout(() => void this.#renew(), this.#renewalMs)
  }

  async #renew(): Promise<void> {
    try {
      const { running } = this.#loop
      if (running.size > 0) await this.#queue.renew([...running])
    } catch (error) {
      this.#tell(error)
    }
    if (!this.#isOver) this.#renewLater()
  }

  #tell(error: unknown): void {
    try {
      this.#options.onError(error)
    } catch {
      // There is nobody else to be told, and the leases have to be renewed.
    }
  }
}
