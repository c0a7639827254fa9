import { checkOptions } from '../../core/checks.ts'
import { checkTable, quoted } from '../../databases/sqlite/names.ts'
import { presetTable } from '../limits.ts'
import { pruningOptions } from '../pruning.ts'

/**
 * Gives the SQL with which `migrate()` makes the store's table, for those who run their own
 * migrations. It can be run again.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 * @example
 * ```ts
 * import { sqliteMigration } from 'ringhook/stores/sqlite'
 *
 * console.log(sqliteMigration({ table: 'webhook_events' }))
 * ```
 */
export function sqliteMigration(options: { readonly table?: string } = {}): string {
  checkOptions('sqliteMigration()', options, ['table', 'clock', ...pruningOptions])
  const { table = presetTable } = options
  checkTable(table, presetTable)
  return `CREATE TABLE IF NOT EXISTS ${quoted(table)} (
  key TEXT NOT NULL PRIMARY KEY,
  owner TEXT NOT NULL,
  fence INTEGER NOT NULL,
  state INTEGER NOT NULL, -- 0 running, 1 completed, 2 released
  fingerprint TEXT NOT NULL,
  ends_at INTEGER NOT NULL -- in ms since 1970: when the lease ends, or when the row is forgotten
) STRICT;
CREATE INDEX IF NOT EXISTS ${quoted(`${table}_ends_at`)} ON ${quoted(table)} (ends_at, state);
`
}

/** The statements on a table. Their parameters are `?`, the only form that every driver takes as an array. */
export function statementsFor(name: string) {
  const table = quoted(name)
  const isHeld = 'key = ? AND owner = ? AND fence = ?'
  return {
    claim: `INSERT INTO ${table} AS held (key, owner, fence, state, fingerprint, ends_at)
VALUES (?, ?, 1, 0, ?, ?)
ON CONFLICT (key COLLATE BINARY) DO UPDATE SET
  owner = excluded.owner,
  fence = held.fence + iif(held.state = 0 AND held.owner = excluded.owner, 0, 1),
  state = 0,
  fingerprint = iif(held.state = 0 AND held.owner = excluded.owner, held.fingerprint, excluded.fingerprint),
  ends_at = excluded.ends_at
WHERE held.ends_at <= ? OR held.state = 2 OR (held.state = 0 AND held.owner = excluded.owner)
RETURNING fence`,
    read: `SELECT state, ends_at, fingerprint FROM ${table} WHERE key = ?`,
    extend: `UPDATE ${table} SET ends_at = ? WHERE ${isHeld} AND state = 0`,
    complete: `UPDATE ${table} SET state = 1, ends_at = ?
WHERE ${isHeld} AND (state = 0 OR (state = 1 AND ends_at > ?)) RETURNING fence`,
    release: `UPDATE ${table} SET state = 2, ends_at = ? WHERE ${isHeld} AND state = 0`,
    forget: `UPDATE ${table} SET state = 2, ends_at = max(ends_at, ?)
WHERE key = ? AND ((state = 0 AND ends_at <= ?) OR (state = 1 AND ends_at > ?))`,
    prune: `DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table}
WHERE ends_at <= ? AND (state <> 0 OR ends_at <= ?) ORDER BY ends_at LIMIT ?)`,
  } as const
}
