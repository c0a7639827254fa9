import { checkOptions, wholeNumber } from '../core/checks.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { SqliteConnection } from '../databases/sqlite/connection.ts'
import { checkDatabase, columnsOf, type SqliteDatabase } from '../databases/sqlite/database.ts'
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
import { SqliteListing } from './sqlite/listing.ts'
import { SqliteQueue } from './sqlite/queue.ts'
import {
  presetTable,
  type Statements,
  sqliteInboxMigration,
  statementsFor,
} from './sqlite/table.ts'
import { SqliteWorker } from './sqlite/worker.ts'

export type { SqliteDatabase, SqliteStatement, SqliteValue } from '../databases/sqlite/database.ts'
export { sqliteInboxMigration } from './sqlite/table.ts'

/** Options of {@link sqliteInbox}. */
export interface SqliteInboxOptions {
  /** The name of its table. Default: `ringhook_inbox`. */
  readonly table?: string
  /**
   * For how long a delivery is kept from others when its worker does not renew this, as when it
   * dies, in ms. It is renewed each third of it. Default: 30 000. From 1 000 to 3 600 000.
   */
  readonly leaseMs?: number
  /**
   * How often a worker looks for what other processes have put, and for what is to be tried again,
   * in ms. What its own process puts it sees at once. Default: 100. From 1 to 60 000.
   */
  readonly pollMs?: number
  /** Default: the machine's clock, which all processes on a file share. */
  readonly clock?: Clock
}

/**
 * Gives a durable inbox in a SQLite file, for the processes of one machine. `database` is one of
 * better-sqlite3 or `node:sqlite`, and may be that of a `sqliteStore` too.
 *
 * A delivery is on the disk when `put` resolves: the inbox sets `synchronous` to `FULL` on the
 * connection, and again if somebody sets it lower. What is put in the same turn of the event loop
 * shares one commit. Where another connection holds the lock, the inbox waits for up to 5 s, and the
 * event loop goes on; then it rejects RINGHOOK_STORE_BUSY.
 *
 * `complete` of an attempt takes the database on which your transaction is open, if that is on the
 * same file.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID, RINGHOOK_INBOX_INVALID
 * @example
 * ```ts
 * import Database from 'better-sqlite3'
 * import { sqliteInbox } from 'ringhook/inboxes/sqlite'
 *
 * export const inbox = sqliteInbox(new Database(':memory:'))
 * await inbox.migrate()
 * console.log((await inbox.stats()).waiting) // 0
 * ```
 */
export function sqliteInbox(database: SqliteDatabase, options: SqliteInboxOptions = {}): Inbox {
  checkOptions('sqliteInbox()', options, ['table', 'leaseMs', 'pollMs', 'clock'])
  return new SqliteInbox(database, options)
}

class SqliteInbox implements Inbox {
  readonly name = 'sqliteInbox'
  readonly keepsOrder = true
  readonly #connection: SqliteConnection
  readonly #database: SqliteDatabase
  readonly #migration: string
  readonly #sql: Statements
  readonly #queue: SqliteQueue
  readonly #listing: SqliteListing
  readonly #pace: { readonly clock: Clock; readonly leaseMs: number; readonly pollMs: number }
  #worker: SqliteWorker | undefined

  constructor(database: SqliteDatabase, options: SqliteInboxOptions) {
    const { table = presetTable, clock = systemClock } = options
    checkDatabase(database, this.name, 'RINGHOOK_INBOX_INVALID')
    const leaseMs = wholeNumber('leaseMs', options.leaseMs, {
      default: 30_000,
      min: 1_000,
      max: 3_600_000,
    })
    const pollMs = wholeNumber('pollMs', options.pollMs, { default: 100, min: 1, max: 60_000 })
    this.#migration = sqliteInboxMigration({ table })
    this.#database = database
    this.#sql = statementsFor(table)
    this.#connection = new SqliteConnection(database, this.name, { isDurable: true })
    this.#queue = new SqliteQueue(this.#connection, database, this.#sql, clock, leaseMs)
    this.#listing = new SqliteListing(this.#connection, table, this.#sql, clock)
    this.#pace = { clock, leaseMs, pollMs }
  }

  async migrate(): Promise<void> {
    await this.#connection.outsideTransactions(() => {
      this.#database.exec('PRAGMA journal_mode = WAL')
    })
    await this.#connection.transact(() => {
      this.#database.exec(this.#migration)
      this.#tryOut()
    })
  }

  async put(delivery: StoredDelivery, options: PutOptions): Promise<'accepted' | 'duplicate'> {
    if (!(await this.#queue.put(delivery, options))) return 'duplicate'
    this.#worker?.wake()
    return 'accepted'
  }

  async start(process: Process, options: WorkerOptions): Promise<void> {
    // A table that is missing is not found out later, in a log.
    await this.#queue.hasDue()
    this.#worker = new SqliteWorker(this.#queue, process, { ...options, ...this.#pace })
    this.#worker.start()
  }

  async stop({ drainMs = 0 }: { readonly drainMs?: number } = {}): Promise<void> {
    await this.#worker?.stop(drainMs)
  }

  entries(filter: EntryFilter): AsyncIterable<StoredEntry> {
    return this.#listing.entries(filter)
  }

  entry(id: string): Promise<StoredEntry | undefined> {
    return this.#listing.entry(id)
  }

  async replay(id: string): Promise<boolean> {
    const isReplayed = await this.#queue.replay(id)
    this.#worker?.wake()
    return isReplayed
  }

  async discard(id: string): Promise<boolean> {
    const isDiscarded = await this.#queue.discard(id)
    // One that waited for it may be free.
    this.#worker?.wake()
    return isDiscarded
  }

  stats(): Promise<InboxCounts> {
    return this.#listing.counts()
  }

  /** Whether the table is as the statements need it: a delivery is put, and taken back. */
  #tryOut(): void {
    for (const sql of Object.values(this.#sql)) this.#connection.prepare(sql)
    this.#database.exec('SAVEPOINT ringhook')
    try {
      const seq = columnsOf(
        this.#connection
          .prepare(`${this.#sql.put} RETURNING seq`)
          .get(...['', '', 0, '', 0, '{}', 0, 0]),
      )
      this.#connection.prepare(this.#sql.claim).get(0, 0, Number(seq[0]))
    } finally {
      this.#database.exec('ROLLBACK TO ringhook; RELEASE ringhook')
    }
  }
}
