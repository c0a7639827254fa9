import { checkOptions } from '../core/checks.ts'
import { type Logger, printable, safeLogger } from '../core/log.ts'
import { failoverWarnings } from '../databases/redis-warnings.ts'
import { serverTimeoutMs } from '../databases/server-timeout.ts'
import { Announcements } from './bullmq/announcements.ts'
import { checkQueue, checkWorker, workerSettings } from './bullmq/checks.ts'
import { Connection } from './bullmq/connection.ts'
import { jobIdOf } from './bullmq/job-ids.ts'
import {
  entryPagesOf,
  type Found,
  findJobs,
  oldestOf,
  readEntries,
  readEntry,
  stateOf,
} from './bullmq/jobs.ts'
import type {
  BullmqQueue,
  BullmqWorkerClass,
  BullmqWorkerSettings,
  Client,
  Job,
} from './bullmq/library.ts'
import { runScript } from './bullmq/scripts.ts'
import { countStrangers } from './bullmq/strangers.ts'
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
} from './bullmq/library.ts'

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
  readonly #announcements: Announcements
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
    this.#announcements = new Announcements(parts.queue)
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
        this.#announcements.add(client, jobId),
        this.#queue.add(delivery.type || 'delivery', delivery, options),
      ])
      return copies === 1 ? 'accepted' : 'duplicate'
    })
  }

  async start(process: Process, options: WorkerOptions): Promise<void> {
    await this.#warnOfStrangers()
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
      const found = await this.#find(id)
      return found && readEntry(this.#queue, client, found)
    })
  }

  replay(id: string): Promise<boolean> {
    return this.#connection.run(async (client) => {
      const found = await this.#find(id)
      if (found?.state !== 'dead') return false
      const job = await this.#readableJob(client, found.jobId)
      if (job === undefined) return false
      const [letters, jobKey] = [this.#queue.toKey('failed'), this.#queue.toKey(found.jobId)]
      await runScript(client, 'absolve', [letters, jobKey, found.jobId])
      try {
        await job.retry('failed')
        return true
      } catch (error) {
        // Somebody else was faster.
        if ((await stateOf(this.#queue, found.jobId)) !== 'dead') return false
        throw error
      }
    })
  }

  discard(id: string): Promise<boolean> {
    return this.#connection.run(async (client) => {
      const found = await this.#find(id)
      if (found === undefined || found.state === 'running') return false
      const jobKey = this.#queue.toKey(found.jobId)
      const mark = `${jobKey}:withdrawn`
      if ((await runScript(client, 'withdraw', [jobKey, mark, serverTimeoutMs])) !== 1) return false
      // Not if a worker was faster and has its lock.
      const removed = await this.#queue.remove(found.jobId)
      await client.del(mark)
      return removed === 1
    })
  }

  stats(): Promise<InboxCounts> {
    return this.#connection.run(async (client) => {
      const states = ['waiting', 'prioritized', 'active', 'delayed', 'failed']
      const [counts, oldest] = await Promise.all([
        this.#queue.getJobCounts(...states),
        oldestOf(this.#queue, client),
      ])
      // BullMQ 5 counts what waits in a paused queue apart.
      const {
        waiting = 0,
        paused = 0,
        prioritized = 0,
        active = 0,
        delayed = 0,
        failed = 0,
      } = counts
      return {
        waiting: waiting + paused + prioritized,
        running: active,
        delayed,
        dead: failed,
        ...(oldest !== undefined && { oldest }),
      }
    })
  }

  /** A queue whose workers cannot be listed may still be worked on. */
  async #warnOfStrangers(): Promise<void> {
    const strangers = await this.#connection.run(() => countStrangers(this.#queue)).catch(() => 0)
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

  /** Finds the job of a delivery, or one of somebody else's with this id. */
  async #find(id: string): Promise<Found | undefined> {
    for (const jobId of [jobIdOf(id), id]) {
      const state = await stateOf(this.#queue, jobId)
      if (state !== undefined) return { jobId, state }
    }
    return undefined
  }

  /** Gives a job, mended if its data is no JSON: BullMQ would throw at it. */
  async #readableJob(client: Client, jobId: string): Promise<Job | undefined> {
    try {
      return (await this.#queue.getJob(jobId)) as Job | undefined
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
      const key = this.#queue.toKey(jobId)
      const [data] = await client.hmget(key, 'data')
      await client.hset(key, { data: JSON.stringify(data) })
      return (await this.#queue.getJob(jobId)) as Job | undefined
    }
  }

  /** When a delivery was received, with a fraction that tells it from others of that millisecond. */
  #timeOf({ receivedAt }: StoredDelivery): number {
    this.#receivedThen = receivedAt === this.#lastReceivedAt ? this.#receivedThen + 1 : 0
    this.#lastReceivedAt = receivedAt
    return receivedAt + Math.min(this.#receivedThen, 999) / 1_000
  }
}
