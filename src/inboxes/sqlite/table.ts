import { checkOptions } from '../../core/checks.ts'
import { checkTable, quoted } from '../../databases/sqlite/names.ts'

/** The table of an inbox that was given no other name. */
export const presetTable = 'ringhook_inbox'

/**
 * Gives the SQL with which `migrate()` makes the inbox's table, for those who run their own
 * migrations. It can be run again.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 * @example
 * ```ts
 * import { sqliteInboxMigration } from 'ringhook/inboxes/sqlite'
 *
 * console.log(sqliteInboxMigration({ table: 'webhook_inbox' }))
 * ```
 */
export function sqliteInboxMigration(options: { readonly table?: string } = {}): string {
  checkOptions('sqliteInboxMigration()', options, ['table'])
  const { table = presetTable } = options
  checkTable(table, presetTable)
  const index = (name: string) =>
    `CREATE INDEX IF NOT EXISTS ${quoted(`${table}_${name}`)} ON ${quoted(table)}`
  return `CREATE TABLE IF NOT EXISTS ${quoted(table)} (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL UNIQUE,
  ordering_key TEXT, -- what runs one after another has the same
  hold_ms INTEGER NOT NULL,
  hold_until INTEGER, -- from its first failure on: until when it holds back those behind it
  type TEXT NOT NULL,
  received_at INTEGER NOT NULL, -- this and all times in ms since 1970
  state INTEGER NOT NULL, -- 0 waiting or delayed, 1 running, 2 dead, 3 waiting behind another
  due_at INTEGER, -- when it may be claimed. Running: when its lease ends. NULL: not by time alone
  attempts INTEGER NOT NULL,
  fence INTEGER NOT NULL, -- rises with every claim
  failure TEXT, -- JSON
  delivery TEXT NOT NULL -- JSON
) STRICT;
${index('due')} (due_at, seq, state) WHERE due_at IS NOT NULL;
${index('order')} (ordering_key, state) WHERE ordering_key IS NOT NULL;
${index('state')} (state, seq, received_at);
`
}

/**
 * The statements on a table. Their parameters are `?`, the only form that every driver takes as an
 * array.
 *
 * A delivery that has to wait for another of its ordering key is taken out of the index by which
 * claims are made (state 3), so that a claim does not pass over thousands of them each time. When
 * something becomes of one, the first of those that wait is looked at again.
 */
export function statementsFor(name: string) {
  const table = quoted(name)
  const isHeld = 'seq = ? AND fence = ? AND state = 1'
  const holds = '(hold_until IS NULL OR hold_until > ?)'
  return {
    // No time of ours is -1: values are text and numbers, and this one stands for NULL.
    put: `INSERT INTO ${table}
(key, ordering_key, hold_ms, type, received_at, delivery, state, due_at, attempts, fence)
VALUES (?, nullif(?, ''), ?, ?, ?, ?, ?, nullif(?, -1), 0, 0)
ON CONFLICT (key COLLATE BINARY) DO NOTHING`,
    due: `SELECT 1 FROM ${table} WHERE due_at <= ? LIMIT 1`,
    candidates: `SELECT seq, ordering_key, state FROM ${table}
WHERE due_at <= ? ORDER BY due_at, seq LIMIT ?`,
    holder: `SELECT hold_until FROM ${table}
WHERE ordering_key = ? AND state = 1 AND seq <> ? AND ${holds}
UNION ALL SELECT hold_until FROM ${table}
WHERE ordering_key = ? AND state IN (0, 3) AND seq < ? AND ${holds}
LIMIT 1`,
    park: `UPDATE ${table} SET state = 3, due_at = nullif(?, -1) WHERE seq = ?`,
    claim: `UPDATE ${table} SET
  hold_until = iif(state = 1, coalesce(hold_until, ? + hold_ms), hold_until),
  state = 1, due_at = ?, attempts = attempts + 1, fence = fence + 1
WHERE seq = ? RETURNING key, fence, attempts, hold_until, delivery`,
    lookAgain: `UPDATE ${table} SET due_at = ? WHERE seq =
(SELECT seq FROM ${table} WHERE ordering_key = ? AND state = 3 ORDER BY seq LIMIT 1)`,
    renew: `UPDATE ${table} SET due_at = ? WHERE ${isHeld}`,
    done: `DELETE FROM ${table} WHERE ${isHeld} RETURNING ordering_key`,
    retry: `UPDATE ${table} SET state = 0, due_at = ?, failure = ?,
  hold_until = coalesce(hold_until, ? + hold_ms)
WHERE ${isHeld} RETURNING ordering_key`,
    dead: `UPDATE ${table} SET state = 2, due_at = NULL, failure = ?
WHERE ${isHeld} RETURNING ordering_key`,
    later: `UPDATE ${table} SET state = 0, due_at = ?, attempts = max(0, attempts - 1)
WHERE ${isHeld} RETURNING ordering_key`,
    replay: `UPDATE ${table} SET state = 0, due_at = ?, attempts = 0, hold_until = NULL
WHERE key = ? AND state = 2 RETURNING seq`,
    discard: `DELETE FROM ${table} WHERE key = ? AND state <> 1 RETURNING ordering_key`,
    entry: `SELECT key, state, due_at, attempts, failure, delivery, type, received_at
FROM ${table} WHERE key = ?`,
    // The sign keeps to the index on times, which has the state beside them.
    counts: `SELECT
  count(*) FILTER (WHERE state IN (0, 3)) AS waiting,
  count(*) FILTER (WHERE state = 1) AS running,
  count(*) FILTER (WHERE state = 2) AS dead,
  min(received_at) FILTER (WHERE state <> 2) AS oldest,
  (SELECT count(*) FROM ${table} WHERE +state = 0 AND due_at > ?) AS delayed
FROM ${table}`,
  } as const
}

export type Statements = ReturnType<typeof statementsFor>
