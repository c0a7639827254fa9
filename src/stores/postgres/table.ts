import { hash } from 'node:crypto'
import { nameInvalid } from '../../databases/names.ts'
import { presetTable } from '../limits.ts'

/** The table of a `postgresStore`. */
export interface PostgresTableOptions {
  /** The table's name, as it is: the store quotes it. Default: `ringhook_events`. 1 to 63 bytes. */
  readonly table?: string
  /** The schema that the table is in. Default: the first of the connection's `search_path`. */
  readonly schema?: string
}

/** What the table must have, as Postgres prints the types. */
export const expectedColumns: Readonly<Record<string, string>> = {
  key: 'text',
  owner: 'text',
  fence: 'bigint',
  state: 'smallint',
  fingerprint: 'text',
  ends_at: 'timestamp with time zone',
}

/** The states of a row. */
export const running = 0
export const completed = 1
export const released = 2

/**
 * Gives the table's name as SQL.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function quotedTable({ schema, table = presetTable }: PostgresTableOptions): string {
  const name = quoted(checkName('table', table))
  return schema === undefined ? name : `${quoted(checkName('schema', schema))}.${name}`
}

/** Gives the statements that create the table and its index, unless they are there. */
export function migrationText(options: PostgresTableOptions): string {
  const table = quotedTable(options)
  return `CREATE TABLE IF NOT EXISTS ${table} (
  key text COLLATE "C" PRIMARY KEY,
  owner text COLLATE "C" NOT NULL,
  fence bigint NOT NULL,
  state smallint NOT NULL, -- ${running}: running, ${completed}: completed, ${released}: released
  fingerprint text COLLATE "C" NOT NULL,
  ends_at timestamptz NOT NULL -- when the lease ends, or when the row may be deleted
) WITH (autovacuum_vacuum_scale_factor = 0.05, vacuum_truncate = false);

CREATE INDEX IF NOT EXISTS ${quoted(indexName(options))} ON ${table} (state, ends_at);

-- Makes the file of a new table 20 pages long, and vacuum_truncate = false keeps it so: a plan that
-- was made for a table of one page would read all of it, also when it has grown.
INSERT INTO ${table} (key, owner, fence, state, fingerprint, ends_at)
SELECT 'ringhook.room.' || n, '', 0, ${released}, repeat('x', 1500), '-infinity'
FROM generate_series(1, 100) AS n WHERE NOT EXISTS (SELECT FROM ${table});

DELETE FROM ${table} WHERE state = ${released} AND ends_at = '-infinity';
`
}

/** Gives them as one statement, for clients that take one at a time; behind whoever is at it already. */
export function migrationBlock(options: PostgresTableOptions): string {
  const body = `BEGIN
PERFORM pg_advisory_xact_lock(7261202611);
${migrationText(options)}END`
  return `DO '${body.replaceAll("'", "''")}'`
}

/** A name of its own, because Postgres would shorten one that is too long, maybe to the table's. */
function indexName({ table = presetTable }: PostgresTableOptions): string {
  const name = `${table}_ends_at`
  if (Buffer.byteLength(name) <= 63) return name
  return `ringhook_${hash('sha256', name, 'hex').slice(0, 40)}`
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

function checkName(option: string, name: unknown): string {
  const isName =
    typeof name === 'string' &&
    name !== '' &&
    name.isWellFormed() &&
    !name.includes('\0') &&
    Buffer.byteLength(name) <= 63
  if (isName) return name
  throw nameInvalid(
    option,
    '1 to 63 bytes of text without NUL',
    option === 'table' ? presetTable : 'that of the connection',
  )
}
