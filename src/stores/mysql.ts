import { checkOptions } from '../core/checks.ts'
import { RinghookError } from '../core/errors.ts'
import { type ClientKind, clientKindOf, whatWasGiven } from '../databases/clients.ts'
import { storeFailure } from '../databases/failures.ts'
import { pause } from '../databases/pause.ts'
import { Batches } from './batches.ts'
import { checkDuration, checkFingerprint, checkPruneLimit, isFence } from './checks.ts'
import { keptMs } from './limits.ts'
import { type Changed, changeAll } from './mysql/changes.ts'
import { answerBehind, type ClaimAnswer, type ClaimItem, claimAll } from './mysql/claims.ts'
import {
  isPool,
  type MysqlClient,
  type MysqlQueryable,
  MysqlSessions,
  queryableOf,
  storeName,
} from './mysql/client.ts'
import { transactOn } from './mysql/owned-transaction.ts'
import { committed, rowsOf, textsOf } from './mysql/replies.ts'
import { type Change, completed, released, running, Statements } from './mysql/sql.ts'
import { hasColumns, tableOf } from './mysql/table.ts'
import { completeIn, noTransaction } from './mysql/transaction.ts'
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

export type { MysqlClient, MysqlQueryable } from './mysql/client.ts'

/** Options of {@link mysqlStore}. */
export interface MysqlStoreOptions extends PruningOptions {
  /** The name of its table, in the database of the client. Default: `ringhook_events`. */
  readonly table?: string
}

/**
 * Gives an idempotency store in a table of MySQL 8 or MariaDB 10.6 and later. All times are those of
 * the server's clock. What is claimed or finished in one turn of the event loop goes there together.
 *
 * The client is a pool of `mysql2` or `mysql2/promise`, or one connection that nothing else uses. Its
 * sessions have autocommit on, and lead to the primary.
 *
 * @throws {RinghookError} RINGHOOK_STORE_INVALID for another client; RINGHOOK_OPTION_INVALID
 * @example
 * ```ts
 * import { createPool } from 'mysql2/promise'
 * import { mysqlStore } from 'ringhook/stores/mysql'
 *
 * export const store = mysqlStore(createPool('mysql://app@127.0.0.1:3306/app'))
 * ```
 */
export function mysqlStore(client: MysqlClient, options: MysqlStoreOptions = {}): PersistentStore {
  checkOptions('mysqlStore()', options, optionNames)
  const store = new MysqlStore(client, options)
  pruneRegularly(storeName, store, options)
  return store
}

/**
 * Gives the SQL that `migrate()` runs, for those who run their own migrations.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 * @example
 * ```ts
 * import { mysqlMigration } from 'ringhook/stores/mysql'
 *
 * console.log(mysqlMigration({ table: 'webhook_events' }))
 * ```
 */
export function mysqlMigration(options: MysqlStoreOptions = {}): string {
  checkOptions('mysqlMigration()', options, optionNames)
  return `${new Statements(tableOf(options.table)).create()};\n`
}

const optionNames = ['table', ...pruningOptions]

/** Waits before the tries to change a row that somebody has locked. */
const pausesMs = [20, 50, 100, 200, 400]
/** Short deletes: whoever meets one waits for as long as it takes. */
const pruneBatch = 500
const mostStale = 10_000

class MysqlStore implements PersistentStore {
  readonly transaction?: NonNullable<PersistentStore['transaction']>
  readonly #client: MysqlQueryable
  readonly #given: unknown
  readonly #sessions: MysqlSessions
  readonly #sql: Statements
  readonly #claims: Batches<ClaimItem, ClaimAnswer>
  readonly #extensions: Batches<Change, Changed>
  readonly #completions: Batches<Change, Changed>
  readonly #releases: Batches<Change, Changed>

  constructor(client: MysqlClient, { table }: MysqlStoreOptions) {
    this.#given = client
    this.#client = checkedClient(client)
    this.#sessions = new MysqlSessions(this.#client)
    const pool = this.#client
    // On a single connection the statements of other events would become part of the transaction.
    if (isPool(pool)) this.transaction = (work) => transactOn(pool, work)
    this.#sql = new Statements(tableOf(table))
    this.#claims = new Batches<ClaimItem, ClaimAnswer>({
      store: storeName,
      keyOf: ({ wanted }) => wanted.key,
      run: (items) => this.#sessions.use((ask) => claimAll(ask, this.#sql, items)),
      follow: answerBehind,
    })
    this.#extensions = this.#changing(running)
    this.#completions = this.#changing(completed)
    this.#releases = this.#changing(released)
  }

  async claim(key: string, { owner, leaseMs, fingerprint }: ClaimOptions): Promise<Claim> {
    const wanted = {
      key: storedForm(key),
      owner: storedForm(owner),
      fence: 1,
      fingerprint: checkFingerprint(fingerprint),
      leaseMs: duration('leaseMs', leaseMs),
    }
    for (;;) {
      const answer = await this.#claims.add({ key, owner, wanted })
      if (answer.state === 'in_flight') {
        return { state: 'in_flight', retryAfterMs: answer.retryAfterMs }
      }
      if (answer.state !== 'again') return answer
    }
  }

  async extend(claim: HeldClaim, { leaseMs }: { readonly leaseMs: number }): Promise<boolean> {
    return await settled(this.#extensions, changeOf(claim, duration('leaseMs', leaseMs)))
  }

  async complete(
    claim: HeldClaim,
    { retentionMs, transaction }: CompleteOptions,
  ): Promise<boolean> {
    const change = changeOf(claim, duration('retentionMs', retentionMs))
    if (!isFence(change.fence)) return false
    return transaction === undefined
      ? await settled(this.#completions, change)
      : await completeIn(this.#transactionOf(transaction), this.#sql, change)
  }

  async release(claim: HeldClaim): Promise<boolean> {
    return await settled(this.#releases, changeOf(claim, keptMs))
  }

  async forget(key: string): Promise<Forgotten> {
    const stored = storedForm(key)
    return await this.#sessions.use(async (ask) => {
      for (const pauseMs of [...pausesMs, undefined]) {
        if (committed(await ask(this.#sql.forget(stored))) > 0) return 'forgotten'
        const row = rowsOf(await ask(this.#sql.read([stored]))).get(stored)
        if (row?.state === running && row.leftMs > 0) return 'in_flight'
        const isLocked = row?.state === running || (row?.state === completed && row.leftMs > 0)
        if (!isLocked) return 'unknown'
        if (pauseMs !== undefined) await pause(pauseMs)
      }
      throw storeFailure(storeName, 'RINGHOOK_STORE_BUSY')
    })
  }

  async status(key: string): Promise<KeyStatus> {
    const stored = storedForm(key)
    return await this.#sessions.use(async (ask) => {
      const row = rowsOf(await ask(this.#sql.read([stored]))).get(stored)
      // A transaction that somebody left open would show the row as it was when that began.
      committed(await ask(this.#sql.nothing()))
      if (row === undefined || row.leftMs <= 0 || row.state === released) return 'unknown'
      return row.state === running ? 'in_flight' : 'completed'
    })
  }

  async migrate(): Promise<void> {
    await this.#sessions.use(async (ask) => {
      // Before it creates: the account of a program is often not allowed to.
      const columns = await ask(this.#sql.columns()).catch((error: unknown) => {
        if (error instanceof RinghookError && error.code === 'RINGHOOK_STORE_NOT_MIGRATED')
          return []
        throw error
      })
      if (hasColumns(columns)) return
      await ask(this.#sql.create())
      if (!hasColumns(await ask(this.#sql.columns()))) {
        throw storeFailure(storeName, 'RINGHOOK_STORE_NOT_MIGRATED')
      }
    })
  }

  async prune({ limit }: { readonly limit?: number } = {}): Promise<number> {
    const most = checkPruneLimit(limit)
    let count = 0
    while (count < most) {
      const wanted = Math.min(most - count, mostStale)
      const found = await this.#sessions.use(async (ask) =>
        textsOf(await ask(this.#sql.stale(wanted))),
      )
      const deleted = await this.#delete(found.map(([key = '']) => key).sort())
      count += deleted
      // Those that are left are locked, or another process is pruning too.
      if (found.length < wanted || deleted === 0) break
    }
    return count
  }

  async #delete(keys: readonly string[]): Promise<number> {
    let count = 0
    for (let start = 0; start < keys.length; start += pruneBatch) {
      const statement = this.#sql.prune(keys.slice(start, start + pruneBatch))
      count += await this.#sessions.use(async (ask) => committed(await ask(statement)))
    }
    return count
  }

  #changing(state: number): Batches<Change, Changed> {
    return new Batches<Change, Changed>({
      store: storeName,
      keyOf: ({ key }) => key,
      run: (changes) => this.#sessions.use((ask) => changeAll(ask, this.#sql, state, changes)),
    })
  }

  #transactionOf(given: unknown): MysqlQueryable {
    const transaction = queryableOf(given)
    const isOwn = given === this.#given || transaction === this.#client
    if (transaction === undefined || isOwn || isPool(given) || isPool(transaction)) {
      throw noTransaction()
    }
    return transaction
  }
}

/** Changes a claim, and again while somebody has it locked: with later batches, which it does not hold up. */
async function settled(batches: Batches<Change, Changed>, change: Change): Promise<boolean> {
  if (!isFence(change.fence)) return false
  for (const pauseMs of [...pausesMs, undefined]) {
    const changed = await batches.add(change)
    if (changed !== 'locked') return changed
    if (pauseMs !== undefined) await pause(pauseMs)
  }
  throw storeFailure(storeName, 'RINGHOOK_STORE_BUSY')
}

function changeOf({ key, owner, fence }: HeldClaim, ms: number): Change {
  return {
    key: storedForm(key),
    owner: storedForm(owner),
    fence,
    ms,
  }
}

/** Whole, as the column is. */
function duration(name: string, ms: number): number {
  return Math.trunc(checkDuration(name, ms))
}

function checkedClient(client: MysqlClient): MysqlQueryable {
  const kind = clientKindOf(client)
  const isOne = kind === undefined || ownKinds.includes(kind)
  const queryable = isOne ? queryableOf(client) : undefined
  if (queryable !== undefined) return queryable
  throw new RinghookError(
    'RINGHOOK_STORE_INVALID',
    `mysqlStore() was given ${whatWasGiven(client)} Give it a pool or connection of mysql2, as in mysqlStore(createPool(…)) with createPool of mysql2/promise.`,
  )
}

const ownKinds: readonly ClientKind[] = ['mysql2', 'mysql2Promise']
