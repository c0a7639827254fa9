import { keptMs } from '../limits.ts'

/** Milliseconds since 1970 by the server's clock, whatever the session's time zone. */
const now = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000"

/** Asks for the isolation level of the session, under the names that MySQL and MariaDB have for it. */
export const isolation =
  "SHOW SESSION VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation')"

/** What the column `state` holds. */
export const running = 0
export const completed = 1
export const released = 2

/** A claim, in the form in which the table has it. */
export interface Held {
  readonly key: string
  readonly owner: string
  readonly fence: number
}

/** A claim that is to be written. */
export interface Wanted extends Held {
  readonly fingerprint: string
  readonly leaseMs: number
}

/** What a claim that is held is to become, and until when, counted from now. */
export interface Change extends Held {
  readonly ms: number
}

/** A row of the table. */
export interface Row extends Held {
  readonly state: number
  /** What is left until its time is over, in ms by the server's clock. */
  readonly leftMs: number
  readonly fingerprint: string
}

/**
 * The statements, over the table `table`, which is quoted already. Those that change rows skip the
 * ones that somebody has locked: a transaction that stays open holds up its own event only.
 *
 * Values stand in the text: keys and owners are of letters, digits and `_.:-#` alone, so that no
 * setting of server or session can make them end early, and fingerprints are written in hex.
 */
export class Statements {
  readonly #table: string

  constructor(table: string) {
    this.#table = table
  }

  create(): string {
    return `CREATE TABLE IF NOT EXISTS ${this.#table} (
  event_key VARBINARY(128) NOT NULL,
  owner VARBINARY(128) NOT NULL,
  fence BIGINT UNSIGNED NOT NULL,
  state TINYINT NOT NULL COMMENT '0 running, 1 completed, 2 released',
  fingerprint VARBINARY(128) NOT NULL,
  ends_at BIGINT NOT NULL COMMENT 'ms since 1970: end of the lease, or of what is remembered',
  PRIMARY KEY (event_key),
  KEY ends_at (ends_at)
) ENGINE=InnoDB`
  }

  columns(): string {
    return `SHOW COLUMNS FROM ${this.#table}`
  }

  /** Reads rows without a lock, each as one text: how a driver gives numbers and bytes can be set. */
  read(keys: readonly string[]): string {
    return `SELECT CONCAT_WS(' ', event_key, owner, fence, state, ends_at - ${now}, fingerprint) AS event FROM ${this.#byKeys(keys)}`
  }

  /** Inserts rows for keys that have none. Only rows that were inserted count as affected. */
  insert(claims: readonly Wanted[]): string {
    const rows = claims.map(
      ({ key, owner, fence, fingerprint, leaseMs }) =>
        `(${text(key)}, ${text(owner)}, ${fence}, ${running}, ${hex(fingerprint)}, ${now} + ${leaseMs})`,
    )
    return `INSERT IGNORE INTO ${this.#table} (event_key, owner, fence, state, fingerprint, ends_at) VALUES ${rows.join(', ')}`
  }

  /** Gives rows that were seen with `from`, and can still be claimed, to the claims `to`. */
  takeOver(from: readonly Held[], to: readonly Wanted[]): string {
    const takers = to.map(
      ({ key, owner, fingerprint, leaseMs }) =>
        `SELECT ${hex(key)} AS taken_key, ${text(owner)} AS owner, ${hex(fingerprint)} AS fingerprint, ${leaseMs} AS lease_ms`,
    )
    return `UPDATE ${this.#unlocked(from, `(state = ${released} OR ends_at <= ${now})`)} STRAIGHT_JOIN (${takers.join(' UNION ALL ')}) AS taker ON taker.taken_key = event.event_key SET event.owner = taker.owner, event.fence = event.fence + 1, event.state = ${running}, event.fingerprint = taker.fingerprint, event.ends_at = ${now} + taker.lease_ms`
  }

  /** Changes rows that run under the claims given. */
  change(claims: readonly Change[], state: number): string {
    return `UPDATE ${this.#unlocked(claims, `state = ${running}`)} SET event.state = ${state}, event.ends_at = ${now} + ${millisecondsOf(claims)}`
  }

  /** Marks one row as completed, and waits for whoever has locked it: for a transaction of the user. */
  complete({ key, owner, fence, ms }: Change): string {
    return `UPDATE ${this.#table} SET state = ${completed}, ends_at = ${now} + ${ms} WHERE event_key = ${text(key)} AND owner = ${text(owner)} AND fence = ${fence} AND state = ${running}`
  }

  /** Takes back what {@link complete} did where there was no transaction. */
  reopen({ key, owner, fence, ms }: Change): string {
    return `UPDATE ${this.#table} SET state = ${running}, ends_at = ${now} + ${ms} WHERE event_key = ${text(key)} AND owner = ${text(owner)} AND fence = ${fence} AND state = ${completed}`
  }

  /** Reads one row as it is now, also where the transaction still sees it as it was. */
  readLatest(key: string): string {
    return `${this.read([key])} LOCK IN SHARE MODE`
  }

  /** Makes a finished key, or one whose lease is over, free to be claimed. */
  forget(key: string): string {
    const isFinished = `(state = ${completed} AND ends_at > ${now} OR state = ${running} AND ends_at <= ${now})`
    return `UPDATE ${this.#unlockedRows([key], isFinished)} SET event.state = ${released}, event.ends_at = ${now} + ${keptMs}`
  }

  /** Does nothing: the server answers it as a change, with the session's status. */
  nothing(): string {
    return 'DO 0'
  }

  /** Finds keys past their retention, the oldest first, without a lock. */
  stale(limit: number): string {
    return `SELECT CONCAT(event_key) AS event FROM ${this.#table} WHERE ends_at <= ${now} AND ${this.#isStale()} ORDER BY ends_at LIMIT ${limit}`
  }

  /** Deletes those of the keys that are still past their retention. */
  prune(keys: readonly string[]): string {
    return `DELETE event FROM ${this.#unlockedRows(keys, `ends_at <= ${now} AND ${this.#isStale()}`)}`
  }

  #isStale(): string {
    return `(state <> ${running} OR ends_at <= ${now} - ${keptMs})`
  }

  #unlocked(claims: readonly Held[], condition: string): string {
    const held = claims.map(({ key, owner, fence }) => text(`${key} ${owner} ${fence}`))
    return this.#unlockedRows(
      claims.map(({ key }) => key),
      `${condition} AND CONCAT_WS(' ', event_key, owner, fence) IN (${held.join(', ')})`,
    )
  }

  /**
   * Locks what can be locked at once, and gives the rows as `event`. The limit keeps the optimizer
   * from dissolving the inner query, and the straight join from reading, and so locking, others first.
   */
  #unlockedRows(keys: readonly string[], condition: string): string {
    const unlocked = `SELECT event_key AS unlocked_key FROM ${this.#byKeys(keys)} AND ${condition} LIMIT ${keys.length} FOR UPDATE SKIP LOCKED`
    return `(${unlocked}) AS unlocked STRAIGHT_JOIN ${this.#table} AS event ON event.event_key = unlocked.unlocked_key`
  }

  /** Always by the primary key: a scan of a small table would lock the rows of others. */
  #byKeys(keys: readonly string[]): string {
    return `${this.#table} FORCE INDEX (PRIMARY) WHERE event_key IN (${keys.map(text).join(', ')})`
  }
}

/** Reads what {@link Statements.read} gives. `undefined`: it is none of it. */
export function rowOf(line: string): Row | undefined {
  const match = /^(\S+) (\S+) (\d+) ([012]) (-?\d+) (.*)$/.exec(line)
  if (match === null) return undefined
  const [, key = '', owner = '', fence, state, leftMs, fingerprint = ''] = match
  return {
    key,
    owner,
    fence: Number(fence),
    state: Number(state),
    leftMs: Number(leftMs),
    fingerprint,
  }
}

/** Quotes a name, whatever is in it. */
export function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``
}

function millisecondsOf(changes: readonly Change[]): string {
  const [first] = changes
  if (changes.every(({ ms }) => ms === first?.ms)) return `${first?.ms}`
  const cases = changes.map(({ key, ms }) => `WHEN ${text(key)} THEN ${ms}`)
  return `CASE event.event_key ${cases.join(' ')} END`
}

function text(plain: string): string {
  if (/^[\w.:~# -]+$/.test(plain)) return `'${plain}'`
  throw new TypeError('only plain text is written between quotes')
}

function hex(ascii: string): string {
  return `X'${Buffer.from(ascii, 'latin1').toString('hex')}'`
}
