import { type Clock, nextTurn } from '../../core/clock.ts'
import type { SqliteConnection } from '../../databases/sqlite/connection.ts'
import { columnsOf, type SqliteValue } from '../../databases/sqlite/database.ts'
import { quoted } from '../../databases/sqlite/names.ts'
import type { EntryFilter, Failure, InboxCounts, InboxState, StoredEntry } from '../inbox.ts'
import type { Statements } from './table.ts'

/** How many rows one look at the table goes through, whether they fit or not. */
const pageSize = 200

/** Reads an inbox: what is shown to operators. */
export class SqliteListing {
  readonly #connection: SqliteConnection
  readonly #table: string
  readonly #sql: Statements
  readonly #clock: Clock

  constructor(connection: SqliteConnection, table: string, sql: Statements, clock: Clock) {
    this.#connection = connection
    this.#table = table
    this.#sql = sql
    this.#clock = clock
  }

  /** Those that fit, by their place. Bodies are read one at a time, and not a page of them. */
  async *entries(filter: EntryFilter): AsyncIterable<StoredEntry> {
    for (let after = 0; ; ) {
      const page = await this.#page(filter, after)
      for (const [, key, isFit] of page) {
        const entry = Number(isFit) === 1 ? await this.entry(String(key)) : undefined
        if (entry !== undefined && isIn(entry, filter)) yield entry
      }
      if (page.length < pageSize) return
      after = Number(page.at(-1)?.[0])
      // A long table must not keep the process from everything else.
      await nextTurn()
    }
  }

  entry(id: string): Promise<StoredEntry | undefined> {
    return this.#connection.outsideTransactions(() => {
      const row = this.#connection.prepare(this.#sql.entry).get(id)
      return row === undefined || row === null
        ? undefined
        : entryOf(columnsOf(row), this.#clock.now())
    })
  }

  counts(): Promise<InboxCounts> {
    return this.#connection.outsideTransactions(() => {
      const row = this.#connection.prepare(this.#sql.counts).get(Math.round(this.#clock.now()))
      const [waiting, running, dead, oldest, delayed] = columnsOf(row)
      return {
        waiting: Number(waiting) - Number(delayed),
        running: Number(running),
        delayed: Number(delayed),
        dead: Number(dead),
        ...(oldest !== null && { oldest: Number(oldest) }),
      }
    })
  }

  #page(filter: EntryFilter, after: number): Promise<unknown[][]> {
    const { sql, values } = pageOf(this.#table, filter, after)
    return this.#connection.outsideTransactions(() =>
      this.#connection
        .prepare(sql)
        .all(...values)
        .map(columnsOf),
    )
  }
}

/** The states of rows that entries of a state can have. */
const rowStates: Readonly<Record<InboxState, string>> = {
  waiting: 'state IN (0, 3)',
  running: 'state = 1',
  delayed: 'state = 0',
  dead: 'state = 2',
}

/**
 * The statement for the next page behind a place: rows, and which of them may fit. Where those of a
 * state lie together it goes through these alone.
 */
export function pageOf(table: string, { state, type, since }: EntryFilter, after: number) {
  const values: SqliteValue[] = []
  const conditions = state === undefined ? [] : [rowStates[state]]
  if (type !== undefined) {
    conditions.push('type = ?')
    values.push(type)
  }
  if (since !== undefined) {
    conditions.push('received_at >= ?')
    values.push(since.getTime())
  }
  const place =
    state === undefined || state === 'waiting' ? 'seq > ?' : `${rowStates[state]} AND seq > ?`
  const sql = `SELECT seq, key, ${conditions.join(' AND ') || '1'} AS fits FROM ${quoted(table)}
WHERE ${place} ORDER BY seq LIMIT ${pageSize}`
  return { sql, values: [...values, after] }
}

/** What a row holds of JSON, or its text if somebody has changed it into something else. */
export function jsonOrText(column: unknown): unknown {
  try {
    return JSON.parse(String(column))
  } catch {
    return column
  }
}

/** Whether it still is in the state that its page was read for. */
function isIn(entry: StoredEntry, { state }: EntryFilter): boolean {
  return state === undefined || entry.state === state
}

function entryOf(row: readonly unknown[], now: number): StoredEntry {
  const [key, rowState, dueAt, attempts, failure, delivery] = row
  const state = stateOf(Number(rowState), Number(dueAt), now)
  const failed = failureIn(failure)
  return {
    id: String(key),
    state,
    attempts: Number(attempts),
    ...(state === 'delayed' && { dueAt: Number(dueAt) }),
    ...(failed !== undefined && { failure: failed }),
    delivery: jsonOrText(delivery),
  }
}

function stateOf(rowState: number, dueAt: number, now: number): InboxState {
  if (rowState === 1) return 'running'
  if (rowState === 2) return 'dead'
  return rowState === 0 && dueAt > now ? 'delayed' : 'waiting'
}

/** Unless somebody has changed it into something else. */
function failureIn(column: unknown): Failure | undefined {
  const found = jsonOrText(column) as Partial<Failure> | null
  const { at, code, reason } = found ?? {}
  const isWhole = typeof code === 'string' && typeof reason === 'string' && typeof at === 'number'
  return isWhole ? { code, reason, at } : undefined
}
