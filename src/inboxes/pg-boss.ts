import { checkOptional, checkOptions, milliseconds, wholeNumber } from '../core/checks.ts'
import { type Logger, safeLogger } from '../core/log.ts'
import { storeFailure } from '../databases/failures.ts'
import { nameInvalid } from '../databases/names.ts'
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
import { checkBoss } from './pg-boss/checks.ts'
import { discardIn, replayIn } from './pg-boss/dead-letters.ts'
import { countsOf, entriesIn, entryOf, findJob, forgetIn, hasJob } from './pg-boss/entries.ts'
import { jobIdOf } from './pg-boss/job-data.ts'
import type { PgBossClient } from './pg-boss/pg-boss-types.ts'
import { Queue } from './pg-boss/queue.ts'
import { Worker } from './pg-boss/worker.ts'

export type {
  PgBossAttempt,
  PgBossClient,
  PgBossConnection,
  PgBossDatabase,
  PgBossJob,
  PgBossJobOptions,
  PgBossQueueOptions,
  PgBossSendOptions,
  PgBossStatements,
  PgBossTransaction,
  PgBossUpdateOptions,
} from './pg-boss/pg-boss-types.ts'

/** Options of {@link pgBossInbox}. */
export interface PgBossInboxOptions {
  /**
   * The queue of pg-boss that deliveries wait in: letters, digits and `_-./`. Nothing else may be
   * sent to it or work on it. Default: `ringhook`.
   */
  readonly queue?: string
  /**
   * How often a worker that found nothing looks again, in ms. What was put in the same process is
   * found at once. Default: 500.
   */
  readonly pollMs?: number
  /**
   * After this long without a sign of life from its worker a delivery is given to another one, by
   * the supervision of pg-boss; 10 at least. Default: 30.
   */
  readonly heartbeatSeconds?: number
  /**
   * Whether pg-boss keeps its tables in the database of your handlers' transactions, so that
   * `context.complete(transaction)` takes a delivery out of the inbox with their commit. Default:
   * `false`.
   */
  readonly transactional?: boolean
  /** Where its warnings go. Default: `console`. `false`: silence. */
  readonly logger?: Logger | false
}

interface Settings extends Required<Omit<PgBossInboxOptions, 'logger'>> {
  readonly logger: Logger | false | undefined
}

/**
 * Gives a durable inbox in a queue of pg-boss, which keeps it in PostgreSQL. Any number of processes
 * put deliveries into it and work on them. Deliveries of one ordering key keep their order.
 *
 * pg-boss is yours: start it before the first delivery comes, and stop it after the receiver was
 * closed. pg-boss 12.35 or later.
 *
 * @param boss - An instance of `PgBoss`.
 * @throws {RinghookError} RINGHOOK_INBOX_INVALID, RINGHOOK_OPTION_INVALID
 * @example
 * ```ts
 * import { PgBoss } from 'pg-boss'
 * import { pgBossInbox } from 'ringhook/inboxes/pg-boss'
 *
 * export const boss = new PgBoss(process.env.DATABASE_URL ?? 'postgres://localhost/app')
 * boss.on('error', (error) => console.error('pg-boss:', error.message))
 * export const inbox = pgBossInbox(boss)
 * ```
 */
export function pgBossInbox(boss: PgBossClient, options: PgBossInboxOptions = {}): Inbox {
  checkBoss(boss)
  return new PgBossInbox(boss, settingsOf(options))
}

const optionNames = ['queue', 'pollMs', 'heartbeatSeconds', 'transactional', 'logger']
const longestHeartbeat = 24 * 60 * 60
const longestPollMs = 60 * 60_000

class PgBossInbox implements Inbox {
  readonly name = 'pgBossInbox'
  readonly keepsOrder = true
  readonly #boss: PgBossClient
  readonly #settings: Settings
  readonly #queue: Queue
  #worker: Worker | undefined

  constructor(boss: PgBossClient, settings: Settings) {
    this.#boss = boss
    this.#settings = settings
    this.#queue = new Queue(boss, settings.queue, settings.heartbeatSeconds)
  }

  async migrate(): Promise<void> {
    await this.#queue.create()
    await this.#queue.check()
  }

  async put(
    delivery: StoredDelivery,
    { key, order }: PutOptions,
  ): Promise<'accepted' | 'duplicate'> {
    const id = jobIdOf(key)
    const kept = { key, delivery, ...(order !== undefined && { order }), offset: 0, moves: 0 }
    for (let attempt = 0; attempt < 2; attempt++) {
      if (await this.#queue.send(kept, id, order?.key ?? key)) {
        this.#worker?.wake()
        return 'accepted'
      }
      if (await hasJob(this.#queue, id)) return 'duplicate'
      // Its queue was deleted, which pg-boss has not noticed, or the job it met is gone by now.
      await this.#queue.check()
    }
    throw storeFailure('pgBossInbox', 'RINGHOOK_STORE_BUSY')
  }

  async start(process: Process, options: WorkerOptions): Promise<void> {
    await this.#queue.check()
    this.#warnOfForeignWorkers()
    this.#worker = new Worker(this.#queue, process, { ...this.#settings, ...options })
    this.#worker.wake()
  }

  /** Only those of this instance: pg-boss keeps no list of workers in its database. */
  #warnOfForeignWorkers(): void {
    const { queue, logger } = this.#settings
    const workers = this.#boss.getWipData?.() ?? []
    if (!workers.some(({ name }) => name === queue)) return
    safeLogger(logger).warn(
      `ringhook: boss.work("${queue}") was called on the queue of pgBossInbox(). That worker takes deliveries away, which are then lost. Take it off, or give the inbox another queue with the option queue.`,
    )
  }

  async stop({ drainMs = 0 }: { readonly drainMs?: number } = {}): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    await worker?.stop(drainMs)
  }

  entries(filter: EntryFilter): AsyncIterable<StoredEntry> {
    return entriesIn(this.#queue, filter)
  }

  async entry(id: string): Promise<StoredEntry | undefined> {
    const job = await findJob(this.#queue, id)
    return job && entryOf(job)
  }

  async replay(id: string): Promise<boolean> {
    const isReplayed = await this.#queue.within((jobs) => replayIn(jobs, id))
    if (isReplayed) this.#worker?.wake()
    return isReplayed
  }

  discard(id: string): Promise<boolean> {
    return this.#queue.within((jobs) => discardIn(jobs, id))
  }

  forget(id: string): Promise<void> {
    return this.#queue.within((jobs) => forgetIn(jobs, id))
  }

  stats(): Promise<InboxCounts> {
    return countsOf(this.#queue)
  }
}

function settingsOf(options: PgBossInboxOptions): Settings {
  checkOptions('pgBossInbox()', options, optionNames)
  const { queue = 'ringhook', transactional = false } = options
  if (typeof queue !== 'string' || !/^[\w.\-/]{1,200}$/.test(queue)) {
    throw nameInvalid('queue', '1 to 200 letters, digits and _-./', 'ringhook')
  }
  checkOptional('transactional', transactional, 'boolean')
  return {
    queue,
    pollMs: milliseconds('pollMs', options.pollMs, { default: 500, min: 1, max: longestPollMs }),
    heartbeatSeconds: wholeNumber('heartbeatSeconds', options.heartbeatSeconds, {
      default: 30,
      min: 10,
      max: longestHeartbeat,
    }),
    transactional,
    logger: options.logger,
  }
}
