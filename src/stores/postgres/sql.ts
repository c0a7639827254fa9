import { hash } from 'node:crypto'
import { keptMs } from '../limits.ts'
import { completed, released, running } from './table.ts'

/** The statements of a store, for one table. Every parameter and every column of a result is text. */
export interface PostgresStatements {
  readonly claim: BatchStatement
  readonly extend: BatchStatement
  readonly complete: BatchStatement
  readonly release: BatchStatement
  /** Marks one event in a transaction of the user's: waits for locks, as their own writes do. */
  readonly completeNow: string
  readonly forget: string
  readonly status: string
  readonly prune: string
  /** Names and types of the table's columns; no rows where there is no table. */
  readonly columns: string
}

/** A statement for many items, and the same for one, which is cheaper for a delivery that comes alone. */
export interface BatchStatement {
  readonly many: string
  readonly one: string
}

const releasedFor = `interval '${keptMs} ms'`

const isHeldBy = (owner: string) => `t.state = ${running} AND t.owner = ${owner}`
/** A row that the owner's claim gets. One of its own it gets again: the reply may have been lost. */
const isFree = (owner: string) =>
  `(t.state = ${released} OR t.ends_at <= clock_timestamp() OR ${isHeldBy(owner)})`

/**
 * Gives the statements for a table, whose name is quoted already.
 *
 * Those for batches have three steps. `seen` looks at every key in the statement's snapshot; LIMIT
 * keeps the planner from reading the whole table instead, as it would while that is small. A row
 * that may be changed is then locked, unless somebody else has locked it, and looked at again,
 * because it may have changed since the snapshot. An answer that the snapshot gives was true while
 * the statement ran. A key without an answer is to be asked for again.
 */
export function statementsFor(table: string): PostgresStatements {
  return {
    claim: bothForms(
      ['key', 'owner', 'ms', 'fingerprint'],
      (asked) => claimText(table, asked),
      (asked) => loneClaimText(table, asked),
    ),
    extend: changeStatement(table, running, 'false'),
    // A completion whose reply was lost may be repeated by the one who made it.
    complete: changeStatement(
      table,
      completed,
      `t.state = ${completed} AND t.ends_at > clock_timestamp()`,
    ),
    release: changeStatement(table, released, 'false'),
    completeNow: `UPDATE ${table} AS t
SET state = ${completed}, ends_at = CASE t.state WHEN ${running}
  THEN clock_timestamp() + $4::text::float8 * interval '1 ms' ELSE t.ends_at END
WHERE t.key = $1::text AND t.owner = $2::text AND t.fence = $3::text::bigint
  AND (t.state = ${running} OR t.state = ${completed} AND t.ends_at > clock_timestamp())
RETURNING t.key`,
    forget: forgetText(table),
    status: statusText(table),
    prune: pruneText(table),
    columns: `SELECT attname::text AS name, format_type(atttypid, NULL) AS type
FROM pg_attribute WHERE attrelid = to_regclass($1::text) AND attnum > 0 AND NOT attisdropped`,
  }
}

/** Looks at the asked keys, and at what the asking owner may do with each. */
const claimsSeen = (table: string, asked: string) => `WITH seen AS MATERIALIZED (
  SELECT asked.*, t.owner AS holder, t.fingerprint AS mark, t.ends_at, CASE
    WHEN t.state IS NULL THEN 'absent'
    WHEN ${isFree('asked.owner')} THEN 'free'
    WHEN t.state = ${running} THEN 'in_flight'
    ELSE 'completed' END AS verdict
  FROM ${asked}
  LEFT JOIN LATERAL (SELECT * FROM ${table} AS t WHERE t.key = asked.key LIMIT 1) AS t ON true
), won AS (
  INSERT INTO ${table} AS t (key, owner, fence, state, fingerprint, ends_at)
  SELECT key, owner, 1, ${running}, fingerprint, clock_timestamp() + ms * interval '1 ms'
  FROM seen WHERE verdict = 'absent'`

const claimsAnswered = (verdicts: string) => `
  RETURNING t.key, t.fence
)
SELECT key, 'claimed' AS verdict, fence::text AS detail FROM won
UNION ALL SELECT key, verdict, CASE verdict WHEN 'completed' THEN mark
  ELSE holder || ' ' || ceil(extract(epoch FROM ends_at - clock_timestamp()) * 1000)::text END
FROM seen WHERE verdict IN (${verdicts})`

function claimText(table: string, asked: string): string {
  return `${claimsSeen(table, asked)} OR verdict = 'free' AND EXISTS (
    SELECT FROM ${table} AS t WHERE t.key = seen.key FOR NO KEY UPDATE SKIP LOCKED
  )
  ON CONFLICT (key) DO UPDATE SET
    owner = excluded.owner, state = excluded.state, ends_at = excluded.ends_at,
    fence = CASE WHEN ${isHeldBy('excluded.owner')} THEN t.fence ELSE t.fence + 1 END,
    fingerprint = CASE WHEN ${isHeldBy('excluded.owner')}
      THEN t.fingerprint ELSE excluded.fingerprint END
  WHERE ${isFree('excluded.owner')}${claimsAnswered("'in_flight', 'completed'")}`
}

/**
 * For a claim that comes alone: without the part that takes a free row over, which would cost every
 * new event a sixth more. A row that is free is answered as that, and asked for by the whole form.
 */
function loneClaimText(table: string, asked: string): string {
  return `${claimsSeen(table, asked)}
  ON CONFLICT (key) DO NOTHING${claimsAnswered("'in_flight', 'completed', 'free'")}`
}

/** Sets the state and the end of rows that are held, by key, owner and fence. */
function changeStatement(table: string, state: number, isDone: string): BatchStatement {
  return bothForms(
    ['key', 'owner', 'ms', 'fence'],
    (asked) => `WITH seen AS MATERIALIZED (
  SELECT asked.*, CASE
    WHEN t.state = ${running} THEN 'held' WHEN ${isDone} THEN 'done' ELSE 'lost' END AS verdict
  FROM ${asked}
  LEFT JOIN LATERAL (
    SELECT * FROM ${table} AS t WHERE t.key = asked.key LIMIT 1
  ) AS t ON t.owner = asked.owner AND t.fence = asked.fence
), changed AS (
  UPDATE ${table} AS t
  SET state = ${state}, ends_at = clock_timestamp() + held.ms * interval '1 ms'
  FROM (
    SELECT seen.key, seen.ms FROM seen, LATERAL (
      SELECT FROM ${table} AS t WHERE t.key = seen.key
      AND t.owner = seen.owner AND t.fence = seen.fence AND t.state = ${running}
      FOR NO KEY UPDATE SKIP LOCKED
    ) AS locked WHERE seen.verdict = 'held'
  ) AS held
  WHERE t.key = held.key RETURNING t.key
)
SELECT key, 'done' AS verdict FROM changed
UNION ALL SELECT key, verdict FROM seen WHERE verdict <> 'held'`,
  )
}

function forgetText(table: string): string {
  const isOver = '(t.ends_at <= clock_timestamp())'
  const canForget = `t.state = CASE WHEN ${isOver} THEN ${running} ELSE ${completed} END`
  return `WITH seen AS MATERIALIZED (
  SELECT t.key, CASE WHEN ${canForget} THEN 'free'
    WHEN t.state = ${running} THEN 'in_flight' ELSE 'unknown' END AS verdict
  FROM ${table} AS t WHERE t.key = $1::text
), forgotten AS (
  UPDATE ${table} AS t SET state = ${released}, ends_at = clock_timestamp() + ${releasedFor}
  FROM (
    SELECT t.key FROM ${table} AS t WHERE t.key = $1::text AND ${canForget}
    FOR NO KEY UPDATE SKIP LOCKED
  ) AS held
  WHERE t.key = held.key RETURNING t.key
)
SELECT 'forgotten' AS verdict FROM forgotten
UNION ALL SELECT verdict FROM seen WHERE verdict <> 'free'
UNION ALL SELECT 'unknown' WHERE NOT EXISTS (SELECT FROM seen)`
}

function statusText(table: string): string {
  return `SELECT CASE WHEN t.ends_at <= clock_timestamp() THEN 'unknown'
  WHEN t.state = ${running} THEN 'in_flight' WHEN t.state = ${completed} THEN 'completed'
  ELSE 'unknown' END AS verdict
FROM ${table} AS t WHERE t.key = $1::text`
}

/** By ctid, which cannot change while the row is locked. A subquery, because an index needs one time. */
function pruneText(table: string): string {
  return `WITH gone AS (
  DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM ${table} WHERE state = $1::text::smallint
    AND ends_at <= (SELECT clock_timestamp() - CASE $1::text WHEN '${running}'
      THEN ${releasedFor} ELSE interval '0' END)
    ORDER BY ends_at LIMIT $2::text::int FOR UPDATE SKIP LOCKED
  )) RETURNING 1
) SELECT count(*)::text AS count FROM gone`
}

const types: Readonly<Record<string, string>> = { ms: 'float8', fence: 'bigint' }

/**
 * The items of a batch as a table. Lists come as text with line ends between, which every driver
 * passes on alike, and behind a SELECT, because a plan that knew how many there are would be made
 * anew each time.
 */
function bothForms(
  columns: readonly string[],
  text: (asked: string) => string,
  loneText = text,
): BatchStatement {
  const typed = columns.map((name, index) => [name, `$${index + 1}::`, types[name] ?? 'text'])
  const lists = typed.map(
    ([, parameter, type]) => `(SELECT string_to_array(${parameter}text, chr(10))::${type}[])`,
  )
  const values = typed.map(([name, parameter, type]) => `${parameter}text::${type} AS ${name}`)
  return {
    many: text(`unnest(${lists.join(', ')}) AS asked(${columns.join(', ')})`),
    one: loneText(`(SELECT ${values.join(', ')}) AS asked`),
  }
}

/** A name for a statement, for drivers that keep what was prepared by its name. */
export function statementName(text: string): string {
  return `ringhook_${hash('sha256', text, 'hex').slice(0, 24)}`
}
