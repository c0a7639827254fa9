import { systemClock, withTimeout } from '../../core/clock.ts'
import { withServerTimeout } from '../../databases/server-timeout.ts'
import type { Process, WorkerOptions } from '../inbox.ts'
import type {
  BullmqQueue,
  BullmqWorker,
  BullmqWorkerClass,
  BullmqWorkerSettings,
  Job,
} from './bullmq-types.ts'
import { type WorkerConnection, workerConnection } from './connection.ts'
import { bullmqFailure, bullmqUnreachable } from './failures.ts'
import { workerName } from './foreign-workers.ts'
import { keyOf } from './job-ids.ts'
import { backoffStrategy, type Ending, errorFor, moveAway } from './settle.ts'

/** BullMQ gives up jobs by itself that stalled or failed too often. That is for the core to decide. */
export const beyondCounting = 1_000_000_000

/** How long a worker that has nothing left to do may take to close its connections, in ms. */
const closingMs = 5_000

/** What the inbox makes its workers of. */
export interface WorkerParts {
  readonly queue: BullmqQueue
  readonly Worker: BullmqWorkerClass
  readonly settings: BullmqWorkerSettings
}

/** A worker of BullMQ that runs deliveries. */
export class RunningWorker {
  readonly #worker: BullmqWorker
  readonly #connection: WorkerConnection
  readonly #process: Process
  readonly #onError: (error: unknown) => void
  /** One for each delivery that runs: gives it back. */
  readonly #handBacks = new Set<() => void>()
  #stopping = false
  #connectionError: unknown

  constructor(parts: WorkerParts, process: Process, { concurrency, onError }: WorkerOptions) {
    const { queue, Worker, settings } = parts
    this.#process = process
    this.#onError = (error) => onError(bullmqFailure(error))
    this.#connection = workerConnection(settings.connection ?? queue.opts.connection)
    const options = {
      ...settings,
      name: workerName(settings.name),
      connection: this.#connection.connection,
      ...(queue.opts.prefix !== undefined && { prefix: queue.opts.prefix }),
      ...(queue.opts.skipVersionCheck !== undefined && {
        skipVersionCheck: queue.opts.skipVersionCheck,
      }),
      concurrency,
      autorun: false,
      maxStalledCount: beyondCounting,
      // For jobs of somebody else's: ours say it themselves.
      removeOnComplete: { count: 0 },
      settings: { backoffStrategy },
    }
    const processor = (job: Job, token?: string) => this.#run(job, token)
    this.#worker = new Worker(queue.name, processor as never, options as never)
    this.#worker.on('error', (error) => {
      this.#connectionError = error
      this.#onError(error)
    })
    readWhateverIsThere(this.#worker)
  }

  /**
   * Begins to run deliveries when it has its connections.
   *
   * @throws {RinghookError} RINGHOOK_STORE_*
   */
  async start(): Promise<void> {
    try {
      await withServerTimeout(this.#worker.waitUntilReady(), () =>
        bullmqUnreachable(this.#connectionError),
      )
    } catch (error) {
      await this.#close(this.#worker.close(true))
      throw bullmqFailure(error, this.#connectionError)
    }
    this.#worker.run().catch(this.#onError)
  }

  /** Gives back what is not done after `drainMs`, and closes. */
  async stop(drainMs: number): Promise<void> {
    this.#stopping = true
    // Claims nothing from now on, and resolves when nothing runs any more. Locks are renewed until then.
    const closed = this.#worker.close()
    await withTimeout(systemClock, closed, drainMs).catch(() => {
      // It is over, or BullMQ has told it to `onError`.
    })
    for (const handBack of this.#handBacks) handBack()
    await this.#close(closed)
  }

  /** BullMQ's processor: it takes what is done from the return, and the rest from what is thrown. */
  async #run(job: Job, token = ''): Promise<void> {
    const ending = await this.#endingOf(job, token)
    const error = errorFor(ending)
    if (error !== undefined) throw error
  }

  async #endingOf(job: Job, token: string): Promise<Ending> {
    try {
      const ending = await this.#attemptResultFor(job)
      await moveAway(ending, job, token)
      return ending
    } catch (error) {
      this.#onError(error)
      // It is not this worker's any more, or it comes again when the lock has run out.
      return 'given back'
    }
  }

  /** What is given back while it runs has no verdict any more. */
  async #attemptResultFor(job: Job): Promise<Ending> {
    // BullMQ may have been in the middle of a claim when it was told to stop.
    if (this.#stopping) return 'given back'
    const { id = '', data, attemptsMade, stalledCounter } = job
    const attempt = { id: keyOf(id), number: attemptsMade + stalledCounter + 1 }
    let handBack = () => {}
    const givenBack = new Promise<'given back'>((resolve) => {
      handBack = () => resolve('given back')
    })
    this.#handBacks.add(handBack)
    try {
      return await Promise.race([this.#process(data, attempt), givenBack])
    } finally {
      this.#handBacks.delete(handBack)
    }
  }

  /** With a server that is away BullMQ would wait for its return. */
  async #close(closed: Promise<unknown>): Promise<void> {
    try {
      await withTimeout(systemClock, closed, closingMs)
    } catch {
      this.#worker.disconnect().catch(() => {})
    } finally {
      this.#connection.end()
    }
  }
}

/**
 * BullMQ would throw at a job whose data is no JSON, and claim it again for ever. The core parks it,
 * if it is given the text.
 */
function readWhateverIsThere(worker: BullmqWorker): void {
  const reader = worker as unknown as Partial<JobReader>
  const read = reader.createJob
  if (read === undefined) return
  reader.createJob = (stored, jobId) => {
    try {
      return read.call(worker, stored, jobId)
    } catch {
      return read.call(worker, { ...stored, data: JSON.stringify(stored.data) }, jobId)
    }
  }
}

interface JobReader {
  createJob(stored: { readonly data: string }, jobId: string): unknown
}
