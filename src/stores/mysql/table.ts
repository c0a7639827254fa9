import { nameInvalid } from '../../databases/names.ts'
import { presetTable } from '../limits.ts'
import { textsOf } from './replies.ts'
import { quoted } from './sql.ts'

/**
 * Gives the name of a table as it is written in a statement.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function tableOf(table: unknown = presetTable): string {
  // What MySQL takes for a name: up to 64 characters, of those that have 16 bits, and no blank at the end.
  if (
    typeof table === 'string' &&
    /^[^\0\ud800-\udfff]{1,64}$/.test(table) &&
    !table.endsWith(' ')
  ) {
    return quoted(table)
  }
  throw nameInvalid(
    'table',
    '1 to 64 characters without NUL, emoji or a trailing space',
    presetTable,
  )
}

/** Whether a table, as `SHOW COLUMNS` describes it, is one that the store can work with. */
export function hasColumns(reply: unknown): boolean {
  const found = new Map(
    textsOf(reply).map(([name = '', type, , key]) => [name.toLowerCase(), `${type} ${key}`]),
  )
  return [...columnTypes].every(([name, type]) => type.test(found.get(name) ?? ''))
}

/** Room for 128 bytes and more. */
const wide = String.raw`varbinary\((12[89]|1[3-9]\d|[2-9]\d\d|\d{4,})\)`
/** The columns of the table: name, type, and what key it is part of. */
const columnTypes: ReadonlyMap<string, RegExp> = new Map([
  ['event_key', new RegExp(`^${wide} PRI$`, 'i')],
  ['owner', new RegExp(`^${wide} `, 'i')],
  ['fence', /^bigint(\(\d+\))? unsigned /i],
  ['state', /^tinyint(\(\d+\))? /i],
  ['fingerprint', new RegExp(`^${wide} `, 'i')],
  ['ends_at', /^bigint(\(\d+\))? MUL$/i],
])
