import type { Clock } from '../../core/clock.ts'
import type { SqliteConnection } from '../../databases/sqlite/connection.ts'
import {
  columnsOf,
  failureOf,
  isDatabase,
  type SqliteDatabase,
  type SqliteValue,
} from '../../databases/sqlite/database.ts'
import type { AttemptResult, PutOptions, StoredDelivery } from '../inbox.ts'
import { jsonOrText } from './listing.ts'
import type { Statements } from './table.ts'
import { isTransactionOn } from './transaction.ts'

/** A delivery that a worker has: what decides about it names its row and fence. */
export interface SqliteClaim {
  readonly id: string
  readonly seq: number
  readonly fence: number
  readonly number: number
  readonly delivery: unknown
}

/** What a look at the queue brought. */
interface Claimed {
  readonly claims: readonly SqliteClaim[]
  /** Whether it ended early, and there may be some behind those that have to wait. */
  readonly mayBeMore: boolean
}

/** Stands for NULL where a time is bound. */
const noTime = -1
/** The state of a row that is with a worker. */
const running = 1
/** The last place in the order, for what has none yet. */
const lastPlace = Number.MAX_SAFE_INTEGER
/** How many rows one claim looks at: some milliseconds of them, which nobody else can write beside. */
const maxLooks = 500
const pageSize = 50

/** The rows of an inbox, and what may become of them. */
export class SqliteQueue {
  readonly #connection: SqliteConnection
  readonly #database: SqliteDatabase
  readonly #sql: Statements
  readonly #clock: Clock
  readonly #leaseMs: number

  constructor(
    connection: SqliteConnection,
    database: SqliteDatabase,
    sql: Statements,
    clock: Clock,
    leaseMs: number,
  ) {
    this.#connection = connection
    this.#database = database
    this.#sql = sql
    this.#clock = clock
    this.#leaseMs = leaseMs
  }

  /** Adds a delivery. `false`: there is one under its key. */
  async put(delivery: StoredDelivery, { key, order }: PutOptions): Promise<boolean> {
    const text = JSON.stringify(delivery)
    const { receivedAt, type } = delivery
    const { key: orderingKey = '', maxHoldMs = 0 } = order ?? {}
    const values = [key, orderingKey, Math.round(maxHoldMs), type, Math.round(receivedAt), text]
    return await this.#connection.transact(() => {
      const now = this.#now()
      const freeAt = this.#heldUntil(orderingKey, lastPlace, now)
      const place = freeAt === undefined ? [0, now] : [3, freeAt]
      return this.#change(this.#sql.put, [...values, ...place]) === 1
    })
  }

  /** Whether a claim has something to look at. It reads one entry of an index, and takes no lock. */
  hasDue(): Promise<boolean> {
    return this.#connection.outsideTransactions(
      () => this.#get(this.#sql.due, [this.#now()]) !== undefined,
    )
  }

  /**
   * Claims up to `count` deliveries that may run, those first that could for longest.
   *
   * @param mine - What this worker has and could not renew in time. It is renewed before anything
   * is claimed, or a worker that was halted would run its own deliveries beside themselves.
   */
  claim(count: number, mine: readonly SqliteClaim[]): Promise<Claimed> {
    return this.#connection.transact(() => {
      const now = this.#now()
      this.#renew(mine, now)
      const claims: SqliteClaim[] = []
      let looks = 0
      while (claims.length < count && looks < maxLooks) {
        const found = this.#all(this.#sql.candidates, [now, pageSize])
        if (found.length === 0) break
        for (const candidate of found) {
          if (claims.length === count) break
          looks++
          const claim = this.#claimUnlessHeld(candidate, now)
          if (claim !== undefined) claims.push(claim)
        }
      }
      return { claims, mayBeMore: looks >= maxLooks }
    })
  }

  /** Makes the leases of what a worker has last again for their full time. */
  async renew(claims: readonly SqliteClaim[]): Promise<void> {
    await this.#connection.transact(() => this.#renew(claims, this.#now()))
  }

  /** Carries out a verdict, unless the delivery was lost to somebody else. */
  async settle(claim: SqliteClaim, verdict: AttemptResult): Promise<void> {
    await this.#connection.transact(() => this.#settle(claim, verdict, this.#now()))
  }

  /** Makes deliveries wait again at once, without their attempts being counted. */
  async giveBack(claims: readonly SqliteClaim[]): Promise<void> {
    await this.#connection.transact(() => {
      const now = this.#now()
      for (const claim of claims) this.#settle(claim, { state: 'postponed', delayMs: 0 }, now)
    })
  }

  /**
   * Marks a delivery as done in a transaction of the user.
   *
   * @throws {RinghookError} every StoreCode
   */
  complete({ fence, seq }: SqliteClaim, transaction: unknown): boolean | undefined {
    try {
      if (!isTransactionOn(this.#database, transaction)) return undefined
      const row = this.#get(this.#sql.done, [seq, fence], transaction)
      if (row !== undefined) this.#lookAgain(orderingText(row[0]), this.#now(), transaction)
      return row !== undefined
    } catch (error) {
      if (isDatabase(transaction)) this.#connection.forgetStatements(transaction)
      throw failureOf(error, 'sqliteInbox')
    }
  }

  replay(id: string): Promise<boolean> {
    return this.#connection.transact(
      () => this.#get(this.#sql.replay, [this.#now(), id]) !== undefined,
    )
  }

  discard(id: string): Promise<boolean> {
    return this.#connection.transact(() => {
      const row = this.#get(this.#sql.discard, [id])
      if (row !== undefined) this.#lookAgain(orderingText(row[0]), this.#now())
      return row !== undefined
    })
  }

  #claimUnlessHeld(candidate: readonly unknown[], now: number): SqliteClaim | undefined {
    const seq = Number(candidate[0])
    const orderingKey = orderingText(candidate[1])
    const freeAt = this.#heldUntil(orderingKey, seq, now)
    if (freeAt !== undefined) {
      this.#change(this.#sql.park, [freeAt, seq])
      // Its worker is gone. What waits for it to end, such as one before it that was replayed
      // meanwhile, would wait for ever.
      if (Number(candidate[2]) === running) this.#lookAgain(orderingKey, now)
      return undefined
    }
    const row = this.#get(this.#sql.claim, [now, now + this.#leaseMs, seq])
    if (row === undefined) return undefined
    const [id, fence, attempts, holdUntil, delivery] = row
    // It may hold nothing back any more, and the next need not wait for its end.
    if (holdUntil !== null) this.#lookAgain(orderingKey, now)
    return {
      id: String(id),
      seq,
      fence: Number(fence),
      number: Number(attempts),
      delivery: jsonOrText(delivery),
    }
  }

  /**
   * Until when another of its ordering key holds a delivery back, as far as time says, or
   * `undefined` where none does: one that runs, or waits before it, and has not failed for too long.
   */
  #heldUntil(orderingKey: string, seq: number, now: number): number | undefined {
    if (orderingKey === '') return undefined
    const row = this.#get(this.#sql.holder, [orderingKey, seq, now, orderingKey, seq, now])
    if (row === undefined) return undefined
    return row[0] === null ? noTime : Number(row[0])
  }

  #renew(claims: readonly SqliteClaim[], now: number): void {
    for (const { fence, seq } of claims) {
      this.#change(this.#sql.renew, [now + this.#leaseMs, seq, fence])
    }
  }

  #settle({ fence, seq }: SqliteClaim, verdict: AttemptResult, now: number): void {
    const [sql, values] = settlementOf(verdict, now, this.#sql)
    const row = this.#get(sql, [...values, seq, fence])
    if (row !== undefined) this.#lookAgain(orderingText(row[0]), now)
  }

  /** The first that waits behind others of its ordering key may be free now, or at another time. */
  #lookAgain(orderingKey: string, now: number, database?: SqliteDatabase): void {
    if (orderingKey !== '') this.#change(this.#sql.lookAgain, [now, orderingKey], database)
  }

  #get(sql: string, values: SqliteValue[], database?: SqliteDatabase): unknown[] | undefined {
    const row = this.#connection.prepare(sql, database).get(...values)
    return row === undefined || row === null ? undefined : columnsOf(row)
  }

  #all(sql: string, values: SqliteValue[]): unknown[][] {
    return this.#connection
      .prepare(sql)
      .all(...values)
      .map(columnsOf)
  }

  #change(sql: string, values: SqliteValue[], database?: SqliteDatabase): number {
    return Number(this.#connection.prepare(sql, database).run(...values).changes)
  }

  /** Whole, as the columns are. */
  #now(): number {
    return Math.round(this.#clock.now())
  }
}

/** The statement that carries out a verdict, and its values before those of the claim. */
function settlementOf(
  verdict: AttemptResult,
  now: number,
  sql: Statements,
): [string, SqliteValue[]] {
  switch (verdict.state) {
    case 'completed':
      return [sql.done, []]
    case 'dead':
      return [sql.dead, [JSON.stringify(verdict.failure)]]
    case 'retry': {
      const dueAt = Math.round(now + verdict.delayMs)
      return [sql.retry, [dueAt, JSON.stringify(verdict.failure), now]]
    }
    case 'postponed':
      return [sql.later, [Math.round(now + verdict.delayMs)]]
  }
}

/** What has no ordering key runs whenever it may. */
function orderingText(column: unknown): string {
  return typeof column === 'string' ? column : ''
}
