import { checkOptions } from '../core/checks.ts'
import { storeFailure } from '../databases/failures.ts'
import { pause } from '../databases/pause.ts'
import type { Batches } from './batches.ts'
import { checkDuration, checkFingerprint, checkPruneLimit, isFence } from './checks.ts'
import { keptMs, lockedMs } from './limits.ts'
import {
  type AskedChange,
  type AskedClaim,
  type ChangeAnswer,
  type ClaimAnswer,
  changeBatches,
  claimBatches,
  wholeNumber,
} from './postgres/batches.ts'
import { type PostgresClient, PostgresServer } from './postgres/client.ts'
import { strangeRows, strangeTable } from './postgres/failures.ts'
import { type PostgresStatements, statementsFor } from './postgres/sql.ts'
import {
  completed,
  expectedColumns,
  migrationBlock,
  migrationText,
  type PostgresTableOptions,
  quotedTable,
  released,
  running,
} from './postgres/table.ts'
import { type PruningOptions, pruneRegularly, pruningOptions } from './pruning.ts'
import type {
  Claim,
  ClaimOptions,
  CompleteOptions,
  Forgotten,
  HeldClaim,
  KeyStatus,
  PersistentStore,
} from './store.ts'
import { storedForm } from './stored-form.ts'

export type { PostgresClient } from './postgres/client.ts'
export type { PostgresTableOptions } from './postgres/table.ts'

/** Options of {@link postgresStore}. */
export interface PostgresStoreOptions extends PostgresTableOptions, PruningOptions {
  /**
   * Whether statements are prepared by name on a Pool or Client of `pg`. Default: `true`. `false`
   * for a pooler that hands out connections by transaction and does not keep names, such as
   * PgBouncer before 1.21.
   */
  readonly prepare?: boolean
}

/**
 * Gives an idempotency store in a PostgreSQL table. Several processes share it, and go by the
 * server's clock. Marks can be part of the handler's own transaction. PostgreSQL 12 or later.
 *
 * @param client - A Pool of `pg`, a PGlite, or anything with `query(text, values)`.
 * @throws {RinghookError} RINGHOOK_STORE_INVALID, RINGHOOK_OPTION_INVALID
 * @example
 * ```ts
 * import pg from 'pg'
 * import { postgresStore } from 'ringhook/stores/postgres'
 *
 * export const pool = new pg.Pool({
 *   connectionString: process.env.DATABASE_URL,
 *   connectionTimeoutMillis: 5_000,
 * })
 * pool.on('error', (error) => console.error('postgres:', error.message))
 * export const store = postgresStore(pool)
 * ```
 */
export function postgresStore(
  client: PostgresClient,
  options: PostgresStoreOptions = {},
): PersistentStore {
  checkOptions('postgresStore()', options, optionNames)
  const server = new PostgresServer(client, options.prepare ?? true)
  const store = new PostgresStore(server, options)
  pruneRegularly('postgresStore', store, options)
  return store
}

/**
 * Gives the SQL that `migrate()` runs, for those who run their own migrations.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 * @example
 * ```ts
 * import { postgresMigration } from 'ringhook/stores/postgres'
 *
 * console.log(postgresMigration({ schema: 'webhooks' }))
 * ```
 */
export function postgresMigration(options: PostgresTableOptions = {}): string {
  checkOptions('postgresMigration()', options, optionNames)
  return migrationText(options)
}

const optionNames = ['table', 'schema', 'prepare', ...pruningOptions]
/** The pauses before an item that met a lock is asked for again. */
const pausesMs = [0, 2, 20, 50]
/** Rows that one statement of `prune` deletes, so that it is over in milliseconds. */
const pruneRows = 500

class PostgresStore implements PersistentStore {
  readonly transaction?: NonNullable<PersistentStore['transaction']>
  readonly #server: PostgresServer
  readonly #statements: PostgresStatements
  readonly #table: PostgresTableOptions
  readonly #claims: Batches<AskedClaim, ClaimAnswer>
  readonly #extensions: Batches<AskedChange, ChangeAnswer>
  readonly #completions: Batches<AskedChange, ChangeAnswer>
  readonly #releases: Batches<AskedChange, ChangeAnswer>

  constructor(server: PostgresServer, table: PostgresTableOptions) {
    this.#server = server
    if (server.transact !== undefined) this.transaction = server.transact
    this.#table = table
    this.#statements = statementsFor(quotedTable(table))
    const { claim, extend, complete, release } = this.#statements
    this.#claims = claimBatches(server, claim)
    this.#extensions = changeBatches(server, extend)
    this.#completions = changeBatches(server, complete)
    this.#releases = changeBatches(server, release)
  }

  async claim(key: string, { owner, leaseMs, fingerprint }: ClaimOptions): Promise<Claim> {
    const asked: AskedClaim = {
      key: storedForm(key),
      owner: storedForm(owner),
      ms: checkDuration('leaseMs', leaseMs),
      fingerprint: checkFingerprint(fingerprint),
    }
    for (const pauseMs of pausesMs) {
      if (pauseMs > 0) await pause(pauseMs)
      const answer = await this.#claims.add(asked)
      switch (answer.verdict) {
        case 'claimed':
          return { state: 'claimed', key, owner, fence: answer.fence, attempt: answer.fence }
        case 'in_flight':
          return { state: 'in_flight', retryAfterMs: answer.leftMs }
        case 'completed':
          return { state: 'completed', fingerprint: answer.fingerprint }
      }
    }
    return { state: 'in_flight', retryAfterMs: Math.min(lockedMs, leaseMs) }
  }

  async extend(claim: HeldClaim, { leaseMs }: { readonly leaseMs: number }): Promise<boolean> {
    return change(this.#extensions, claim, checkDuration('leaseMs', leaseMs))
  }

  async complete(
    claim: HeldClaim,
    { retentionMs, transaction }: CompleteOptions,
  ): Promise<boolean> {
    checkDuration('retentionMs', retentionMs)
    if (transaction === undefined) return change(this.#completions, claim, retentionMs)
    const { key, owner, ms, fence } = changeOf(claim, retentionMs)
    if (!isFence(fence)) return false
    const values = [key, owner, String(fence), String(ms)]
    const rows = await this.#server.rowsWithin(transaction, this.#statements.completeNow, values)
    return rows.length > 0
  }

  release(claim: HeldClaim): Promise<boolean> {
    return change(this.#releases, claim, keptMs)
  }

  async forget(key: string): Promise<Forgotten> {
    for (const pauseMs of pausesMs) {
      if (pauseMs > 0) await pause(pauseMs)
      const [row] = await this.#server.rowsInTime(this.#statements.forget, [storedForm(key)])
      if (row === undefined) continue
      const verdict = row['verdict']
      if (verdict === 'forgotten' || verdict === 'in_flight' || verdict === 'unknown') {
        return verdict
      }
      throw strangeRows()
    }
    return 'in_flight'
  }

  async status(key: string): Promise<KeyStatus> {
    const [row] = await this.#server.rowsInTime(this.#statements.status, [storedForm(key)])
    const verdict = row === undefined ? 'unknown' : row['verdict']
    if (verdict === 'completed' || verdict === 'in_flight' || verdict === 'unknown') return verdict
    throw strangeRows()
  }

  async migrate(): Promise<void> {
    if (await this.#isMigrated()) return
    await this.#server.create(migrationBlock(this.#table))
    if (!(await this.#isMigrated())) {
      throw storeFailure('postgresStore', 'RINGHOOK_STORE_NOT_MIGRATED')
    }
  }

  async prune({ limit }: { readonly limit?: number } = {}): Promise<number> {
    let left = checkPruneLimit(limit)
    let pruned = 0
    for (const state of [completed, released, running]) {
      for (let isMore = true; isMore && left > 0; ) {
        const rows = Math.min(left, pruneRows)
        const values = [String(state), String(rows)]
        const [row] = await this.#server.rowsInTime(this.#statements.prune, values)
        const count = wholeNumber(row?.['count'])
        left -= count
        pruned += count
        isMore = count === rows
      }
    }
    return pruned
  }

  /** `false`: there is no table. */
  async #isMigrated(): Promise<boolean> {
    const { columns } = this.#statements
    const rows = await this.#server.rowsInTime(columns, [quotedTable(this.#table)])
    if (rows.length === 0) return false
    if (rows.some(({ name }) => name === undefined)) throw strangeRows()
    const types = new Map(rows.map((row) => [row['name'], row['type']]))
    for (const [name, type] of Object.entries(expectedColumns)) {
      if (types.get(name) === type) continue
      throw strangeTable()
    }
    return true
  }
}

/** Makes a change, and again if somebody else was at the row. */
async function change(
  changes: Batches<AskedChange, ChangeAnswer>,
  claim: HeldClaim,
  ms: number,
): Promise<boolean> {
  const asked = changeOf(claim, ms)
  if (!isFence(claim.fence)) return false
  for (const pauseMs of pausesMs) {
    if (pauseMs > 0) await pause(pauseMs)
    const answer = await changes.add(asked)
    if (answer !== 'undecided') return answer === 'done'
  }
  throw storeFailure('postgresStore', 'RINGHOOK_STORE_BUSY')
}

function changeOf({ key, owner, fence }: HeldClaim, ms: number): AskedChange {
  return { key: storedForm(key), owner: storedForm(owner), ms, fence }
}
