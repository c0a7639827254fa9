import { withServerTimeout } from '../../databases/server-timeout.ts'
import { failureOf, inboxInvalid, noQueueFailure, noTransactions, silent } from './failures.ts'
import { dataOf, type Kept, type Place } from './job-data.ts'
import { completedSeconds, jobOptions, secondsOf } from './job-options.ts'
import type {
  PgBossAttempt,
  PgBossClient,
  PgBossConnection,
  PgBossJob,
  PgBossStatements,
} from './pg-boss-types.ts'

/** How an update leaves a job that is not running. */
export interface Change {
  /** When it may be claimed, from now. */
  readonly delayMs?: number
  /** Whether it is kept until somebody removes it, or for as long as one that is done. */
  readonly isKept?: boolean
}

/** A row of a result, by the names of its columns. */
export type Row = Readonly<Record<string, unknown>>

/** The jobs in one queue of a pg-boss. What fails is the inbox's failure. */
export class Queue {
  readonly name: string
  readonly #boss: PgBossClient
  readonly #heartbeatSeconds: number
  readonly #connection: PgBossConnection
  #isKnown = false

  constructor(
    boss: PgBossClient,
    name: string,
    heartbeatSeconds: number,
    connection: PgBossConnection = {},
  ) {
    this.#boss = boss
    this.name = name
    this.#heartbeatSeconds = heartbeatSeconds
    this.#connection = connection
  }

  /** Creates the queue, unless it is there. */
  async create(): Promise<void> {
    const creation = this.#boss.createQueue(this.name, {
      policy: 'key_strict_fifo',
      ...jobOptions(this.#heartbeatSeconds),
      deleteAfterSeconds: completedSeconds,
    })
    await this.#answer(creation)
    // It forgets what it knew.
    this.#isKnown = false
  }

  /**
   * Refuses a queue that is not there, or that cannot be the inbox's.
   *
   * @throws {RinghookError} RINGHOOK_STORE_NOT_MIGRATED, RINGHOOK_INBOX_INVALID
   */
  async check(): Promise<void> {
    const queue = await this.#answer(this.#boss.getQueue(this.name))
    if (queue === null) throw noQueueFailure()
    if (queue.policy !== 'key_strict_fifo') {
      throw inboxInvalid(
        `The queue "${this.name}" of pgBossInbox() was made by somebody else: its policy is not key_strict_fifo, so it does not keep the order of deliveries. Give the inbox another name with the option queue.`,
      )
    }
    if (typeof this.#boss.getDb().beginTransaction !== 'function') {
      throw noTransactions()
    }
  }

  /** `false`: there is a job with this id. */
  async send(kept: Kept, id: string, singletonKey: string, delayMs = 0): Promise<boolean> {
    const sending = this.#boss.send(this.name, dataOf(kept), {
      id,
      singletonKey,
      ...(delayMs > 0 && { startAfter: secondsOf(delayMs) }),
      ...jobOptions(this.#heartbeatSeconds),
      ...this.#connection,
    })
    return (await this.#answer(sending)) !== null
  }

  /** Claims up to `limit` jobs, in their order. What comes too late goes to `onLate`. */
  fetch(
    limit: number,
    onLate: (jobs: readonly PgBossJob[]) => void,
  ): Promise<readonly PgBossJob[]> {
    const fetching = this.#boss.fetch(this.name, { batchSize: limit, includeMetadata: true })
    return this.#answer(fetching, onLate)
  }

  /** Completes jobs. `false`: all of these claims are lost. */
  async complete(attempts: PgBossAttempt[]): Promise<boolean> {
    const completing = this.#boss.complete(this.name, attempts, null, this.#connection)
    return await this.#affects(completing)
  }

  /** Gives claims up: the jobs wait again, with `output` as their last. `false`: all are lost. */
  async fail(attempts: PgBossAttempt[], output: object | null): Promise<boolean> {
    const failing = this.#boss.fail(this.name, attempts, output, this.#connection)
    return await this.#affects(failing)
  }

  /** Locks the jobs of claims that aren't lost, for a transaction, and returns their ids. */
  async lock(attempts: readonly PgBossAttempt[]): Promise<ReadonlySet<unknown>> {
    const rows = await this.select(
      (jobs, next) => `SELECT id::text AS id FROM ${jobs}
        WHERE id = ANY($${next}::uuid[]) AND state = 'active'
          AND id::text || ':' || "retryCount" = ANY($${next + 1}::text[])
        ORDER BY id FOR UPDATE`,
      [attempts.map(({ id }) => id), attempts.map(({ id, retryCount }) => `${id}:${retryCount}`)],
    )
    return new Set(rows.map(({ id }) => id))
  }

  /** Shows that the workers of these claims are alive. */
  async touch(attempts: PgBossAttempt[]): Promise<void> {
    await this.#answer(this.#boss.touch(this.name, attempts))
  }

  /** Changes a job that waits. `false`: it does not. */
  async change(
    id: string,
    kept: Kept | Place | undefined,
    { delayMs, isKept }: Change = {},
  ): Promise<boolean> {
    const updating = this.#boss.update(this.name, kept && dataOf(kept), {
      id,
      ...(delayMs !== undefined && { startAfter: secondsOf(delayMs) }),
      ...(isKept !== undefined && { deleteAfterSeconds: isKept ? 0 : completedSeconds }),
      ...this.#connection,
    })
    return (await this.#answer(updating)).updated > 0
  }

  /** Takes a job that waits out of the queue, and keeps it. */
  async cancel(id: string): Promise<void> {
    await this.#answer(this.#boss.cancel(this.name, id, this.#connection))
  }

  /**
   * Makes a job wait again that was taken out, or that somebody else made fail for good. `false`: it
   * is neither.
   */
  async resume(id: string): Promise<boolean> {
    const resuming = this.#boss.resume(this.name, id, this.#connection)
    if (await this.#affects(resuming)) return true
    return await this.#affects(this.#boss.retry(this.name, id, this.#connection))
  }

  /** Deletes a job, whatever its state. */
  async remove(id: string): Promise<void> {
    await this.#answer(this.#boss.deleteJob(this.name, id, this.#connection))
  }

  /**
   * Asks more of the jobs than `findJobs` can, such as a count or a page: pg-boss hands its statement
   * to what is to send it, and it is sent as the FROM of another one. So this knows the columns that
   * `findJobs` documents, and nothing of the tables behind it.
   *
   * @param text - Gives the statement for the jobs, and for the number of its first parameter.
   */
  async select(
    text: (jobs: string, next: number) => string,
    values: readonly unknown[],
    filter: { readonly id?: string; readonly data?: object } = {},
  ): Promise<readonly Row[]> {
    const database = this.#connection.db ?? this.#boss.getDb()
    const db: PgBossStatements = {
      executeSql: (jobs, known = []) =>
        database.executeSql(text(`(${jobs}) AS job`, known.length + 1), [...known, ...values]),
    }
    const rows = await this.#answer(this.#boss.findJobs(this.name, { ...filter, db }))
    return rows as readonly Row[]
  }

  /** Whether something is the database of pg-boss itself. */
  isOn(database: unknown): boolean {
    return database === this.#boss.getDb()
  }

  /** The same jobs, through a connection that has a transaction open. */
  on(db: PgBossStatements): Queue {
    return new Queue(this.#boss, this.name, this.#heartbeatSeconds, { db })
  }

  /** Runs several changes in one transaction. */
  async within<Result>(run: (queue: Queue) => Promise<Result>): Promise<Result> {
    await this.#makeKnown()
    const opening = this.#boss.getDb().beginTransaction?.()
    if (opening === undefined) throw noTransactions()
    const transaction = await this.#answer(opening, (late) => void late.rollback())
    try {
      const result = await this.#answer(run(this.on(transaction.db)))
      await this.#answer(transaction.commit())
      return result
    } catch (error) {
      await transaction.rollback()
      throw error
    }
  }

  /**
   * Has pg-boss read where the queue's jobs are, which it then remembers. Otherwise it would do so on
   * another connection while transactions wait with theirs, which may be all that its pool has.
   */
  async #makeKnown(): Promise<void> {
    if (this.#isKnown) return
    await this.select((jobs) => `SELECT id FROM ${jobs} LIMIT 0`, [])
    this.#isKnown = true
  }

  /** Whether a change has changed something, which is documented and in no type of pg-boss. */
  async #affects(changing: Promise<unknown>): Promise<boolean> {
    const answer = await this.#answer(changing)
    const affected = (answer as { readonly affected?: unknown } | null | undefined)?.affected
    if (typeof affected !== 'number') throw failureOf(undefined)
    return affected > 0
  }

  async #answer<Value>(asked: Promise<Value>, onLate?: (value: Value) => void): Promise<Value> {
    try {
      return await withServerTimeout(asked, () => {
        if (onLate !== undefined) asked.then(onLate, () => {})
        return silent()
      })
    } catch (error) {
      throw failureOf(error)
    }
  }
}
