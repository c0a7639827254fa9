import { types } from 'node:util'
import { RinghookError } from '../../core/errors.ts'
import { strangeReply } from './failures.ts'
import { type Row, rowOf } from './sql.ts'

/** The bits of a session's status that the server sends with the answer to every change. */
const inTransaction = 1
const autocommit = 2

interface ChangeReply {
  readonly affectedRows?: unknown
  readonly serverStatus?: unknown
  readonly warningStatus?: unknown
}

/** How many rows a statement affected. */
export function affectedBy(reply: unknown): number {
  const { affectedRows } = (reply ?? {}) as ChangeReply
  // As text where the driver is set to give large numbers so, as a bigint by some ORMs.
  const count = /^\d+$/.test(String(affectedRows)) ? Number(affectedRows) : Number.NaN
  if (Number.isSafeInteger(count)) return count
  throw strangeReply()
}

/**
 * How many rows a statement of the store affected, for good.
 *
 * @throws {RinghookError} RINGHOOK_STORE_INVALID where the session would not commit it by itself.
 */
export function committed(reply: unknown): number {
  const { serverStatus } = (reply ?? {}) as ChangeReply
  if (
    typeof serverStatus === 'number' &&
    ((serverStatus & inTransaction) !== 0 || (serverStatus & autocommit) === 0)
  ) {
    throw new RinghookError(
      'RINGHOOK_STORE_INVALID',
      'The client of mysqlStore() has a transaction open, or autocommit turned off, so that what the store writes is not kept. Give it a pool whose sessions have autocommit = 1.',
    )
  }
  return affectedBy(reply)
}

/** Whether the server said that the statement was part of no transaction. */
export function isCommitted(reply: unknown): boolean {
  const { serverStatus } = (reply ?? {}) as ChangeReply
  return typeof serverStatus === 'number' && (serverStatus & inTransaction) === 0
}

/** Whether the server bent what it was given, as to fit a column that is too short. */
export function wasBent(reply: unknown): boolean {
  const { warningStatus } = (reply ?? {}) as ChangeReply
  return typeof warningStatus === 'number' && warningStatus > 0
}

/** The rows of the table that a query gave, by their keys. */
export function rowsOf(reply: unknown): ReadonlyMap<string, Row> {
  const rows = new Map<string, Row>()
  for (const [line = ''] of textsOf(reply)) {
    const row = rowOf(line)
    if (row === undefined) throw strangeReply()
    rows.set(row.key, row)
  }
  return rows
}

/** The cells of a result, as texts: whether rows are objects, arrays, or objects by table. */
export function textsOf(reply: unknown): string[][] {
  if (!Array.isArray(reply)) throw strangeReply()
  return reply.map((row: unknown) => cellsOf(row).map(textOf))
}

function cellsOf(row: unknown): unknown[] {
  if (typeof row !== 'object' || row === null) throw strangeReply()
  const cells: unknown[] = Object.values(row)
  const [first] = cells
  const isByTable =
    cells.length === 1 && typeof first === 'object' && first !== null && !types.isUint8Array(first)
  return isByTable ? Object.values(first) : cells
}

function textOf(cell: unknown): string {
  return types.isUint8Array(cell) ? Buffer.from(cell).toString('latin1') : String(cell)
}
