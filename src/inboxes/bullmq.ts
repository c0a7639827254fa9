import { checkOptions } from '../core/checks.ts'
import { type Logger, printable, safeLogger } from '../core/log.ts'
import { failoverWarnings } from '../databases/redis-warnings.ts'
import type { BullmqQueue, BullmqWorkerClass, BullmqWorkerSettings } from './bullmq/bullmq-types.ts'
import { checkQueue, checkWorker, workerSettings } from './bullmq/checks.ts'
import { Connection } from './bullmq/connection.ts'
import { CopyCounter } from './bullmq/copy-counter.ts'
import { discardJob, replayJob } from './bullmq/dead-letters.ts'
import {
  countsOf,
  entryPagesOf,
  findJob,
  findJobs,
  readEntries,
  readEntry,
} from './bullmq/entries.ts'
import { countForeignWorkers } from './bullmq/foreign-workers.ts'
import { jobIdOf } from './bullmq/job-ids.ts'
import { runScript } from './bullmq/scripts.ts'
import { beyondCounting, RunningWorker, type WorkerParts } from './bullmq/worker.ts'
import type {
  EntryFilter,
  Inbox,
  InboxCounts,
  Process,
  PutOptions,
  StoredDelivery,
  StoredEntry,
  WorkerOptions,
} from './inbox.ts'

export type {
  BullmqQueue,
  BullmqWorker,
  BullmqWorkerClass,
  BullmqWorkerSettings,
} from './bullmq/bullmq-types.ts'

/** Options of {@link bullmqInbox}. */
export interface BullmqInboxOptions {
  /** The class `Worker` of the same BullMQ as the queue: ringhook imports no library of yours. */
  readonly Worker: BullmqWorkerClass
  /** Settings of the worker. */
  readonly worker?: BullmqWorkerSettings
  /** Where its warnings go. Default: `console`. `false`: silence. */
  readonly logger?: Logger | false
}

/**
 * Gives a durable inbox in a queue of BullMQ 5.50 or later, in Redis. Each delivery is a job, and
 * each dead letter a failed one, which BullMQ's dashboards show and can retry. It keeps no order.
 *
 * The queue is yours: give it to the inbox alone, with a connection that gives up soon
 * (`enableOfflineQueue: false`), listen to its `error` events, and close it after the receiver. The
 * worker is made at the start, on connections of its own.
 *
 * While Redis is away `put` rejects at once, and what has no answer after 10 s rejects with
 * RINGHOOK_STORE_TIMEOUT. What is in Redis is as durable as Redis is told to be: with
 * `appendfsync always` a delivery that was answered 200 is on the disk.
 *
 * @throws {RinghookError} RINGHOOK_INBOX_INVALID, RINGHOOK_OPTION_INVALID
 * @example
 * ```ts
 * import { Queue, Worker } from 'bullmq'
 * import { bullmqInbox } from 'ringhook/inboxes/bullmq'
 *
 * export function openInbox(host: string) {
 *   const connection = { host, enableOfflineQueue: false, maxRetriesPerRequest: 1 }
 *   const queue = new Queue('webhooks', { connection })
 *   queue.on('error', (error) => console.error('redis:', error.message))
 *   return bullmqInbox(queue, { Worker })
 * }
 * ```
 */
export function bullmqInbox(queue: BullmqQueue, options: BullmqInboxOptions): Inbox {
  checkOptions('bullmqInbox()', options, ['Worker', 'worker', 'logger'])
  const { Worker, worker = {}, logger } = options
  checkOptions('bullmqInbox()', worker, workerSettings)
  checkQueue(queue)
  checkWorker(Worker)
  return new BullmqInbox({ queue, Worker, settings: worker }, logger)
}

/** What every job is added with. Its attempts are counted by the core. */
const jobOptions = {
  attempts: beyondCounting,
  backoff: { type: 'custom' },
  removeOnComplete: true,
  removeOnFail: false,
  // A stack would show the machine of whoever processes it, and nothing of the handler.
  stackTraceLimit: 0,
}

class BullmqInbox implements Inbox {
  readonly name = 'bullmqInbox'
  readonly keepsOrder = false
  readonly #parts: WorkerParts
  readonly #queue: BullmqQueue
  readonly #connection: Connection
  readonly #copies: CopyCounter
  readonly #logger: Logger
  readonly #warnings = new Set<string>()
  #worker: RunningWorker | undefined
  #lastReceivedAt = 0
  #receivedThen = 0

  constructor(parts: WorkerParts, logger: Logger | false | undefined) {
    this.#logger = safeLogger(logger)
    this.#parts = parts
    this.#queue = parts.queue
    this.#connection = new Connection(parts.queue)
    this.#copies = new CopyCounter(parts.queue)
  }

  async migrate(): Promise<void> {
    await this.#connection.run(async (client) => {
      const reply = await runScript(client, 'probe', [this.#queue.toKey('ringhook-probe')])
      for (const line of failoverWarnings(this.name, client, String(reply))) this.#warn(line)
    })
  }

  put(delivery: StoredDelivery, { key }: PutOptions): Promise<'accepted' | 'duplicate'> {
    return this.#connection.run(async (client) => {
      const jobId = jobIdOf(key)
      const options = { ...jobOptions, jobId, timestamp: this.#timeOf(delivery) }
      const [copies] = await Promise.all([
        this.#copies.add(client, jobId),
        this.#queue.add(delivery.type || 'delivery', delivery, options),
      ])
      return copies === 1 ? 'accepted' : 'duplicate'
    })
  }

  async start(process: Process, options: WorkerOptions): Promise<void> {
    await this.#warnOfForeignWorkers()
    const worker = new RunningWorker(this.#parts, process, options)
    this.#worker = worker
    try {
      await worker.start()
    } catch (error) {
      this.#worker = undefined
      throw error
    }
  }

  async stop({ drainMs = 0 }: { readonly drainMs?: number } = {}): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    await worker?.stop(drainMs)
  }

  async *entries(filter: EntryFilter): AsyncIterable<StoredEntry> {
    const jobs = await this.#connection.run((client) => findJobs(this.#queue, client, filter))
    for (const page of entryPagesOf(jobs)) {
      yield* await this.#connection.run((client) => readEntries(this.#queue, client, page, filter))
    }
  }

  entry(id: string): Promise<StoredEntry | undefined> {
    return this.#connection.run(async (client) => {
      const found = await findJob(this.#queue, id)
      return found && readEntry(this.#queue, client, found)
    })
  }

  replay(id: string): Promise<boolean> {
    return this.#connection.run((client) => replayJob(this.#queue, client, id))
  }

  discard(id: string): Promise<boolean> {
    return this.#connection.run((client) => discardJob(this.#queue, client, id))
  }

  stats(): Promise<InboxCounts> {
    return this.#connection.run((client) => countsOf(this.#queue, client))
  }

  /** A queue whose workers cannot be listed may still be worked on. */
  async #warnOfForeignWorkers(): Promise<void> {
    const strangers = await this.#connection
      .run(() => countForeignWorkers(this.#queue))
      .catch(() => 0)
    if (strangers === 0) return
    this.#warn(
      `ringhook: the queue "${printable(this.#queue.name)}" of bullmqInbox() has workers that are not ringhook's: ${strangers}. They take deliveries away, which are then lost. Close them, or give the inbox a queue of its own.`,
    )
  }

  /** Once of each thing, however often it is found. */
  #warn(line: string): void {
    if (this.#warnings.has(line)) return
    this.#warnings.add(line)
    this.#logger.warn(line)
  }

  /** When a delivery was received, with a fraction that tells it from others of that millisecond. */
  #timeOf({ receivedAt }: StoredDelivery): number {
    this.#receivedThen = receivedAt === this.#lastReceivedAt ? this.#receivedThen + 1 : 0
    this.#lastReceivedAt = receivedAt
    return receivedAt + Math.min(this.#receivedThen, 999) / 1_000
  }
}
