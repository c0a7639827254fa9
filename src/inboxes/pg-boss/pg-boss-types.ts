/** What the inbox needs of pg-boss: an instance of its class `PgBoss` fits as it is. */
export interface PgBossClient {
  send(name: string, data: object, options: PgBossSendOptions): Promise<string | null>
  fetch(
    name: string,
    options: { readonly batchSize: number; readonly includeMetadata: true },
  ): Promise<readonly PgBossJob[]>
  complete(
    name: string,
    jobs: PgBossAttempt[],
    output: null,
    options: PgBossConnection,
  ): Promise<unknown>
  fail(
    name: string,
    jobs: PgBossAttempt[],
    output: object | null,
    options: PgBossConnection,
  ): Promise<unknown>
  touch(name: string, jobs: PgBossAttempt[]): Promise<unknown>
  cancel(name: string, id: string, options: PgBossConnection): Promise<unknown>
  resume(name: string, id: string, options: PgBossConnection): Promise<unknown>
  retry(name: string, id: string, options: PgBossConnection): Promise<unknown>
  deleteJob(name: string, id: string, options: PgBossConnection): Promise<unknown>
  update(
    name: string,
    data: object | undefined,
    options: PgBossUpdateOptions,
  ): Promise<{ readonly updated: number }>
  findJobs(
    name: string,
    options: PgBossConnection & { readonly id?: string; readonly data?: object },
  ): Promise<readonly unknown[]>
  createQueue(name: string, options: PgBossQueueOptions): Promise<void>
  getQueue(name: string): Promise<{ readonly policy?: string } | null>
  getDb(): PgBossDatabase
  /** The workers of this instance, by the queues that they are on. */
  getWipData?(): readonly { readonly name: string }[]
}

/** Sends statements of pg-boss: its own database, or a connection that has a transaction open. */
export interface PgBossStatements {
  executeSql(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
}

/** The database of a pg-boss, as its `getDb()` gives it. */
export interface PgBossDatabase extends PgBossStatements {
  beginTransaction?(): Promise<PgBossTransaction>
}

/** A transaction that pg-boss has opened. */
export interface PgBossTransaction {
  readonly db: PgBossStatements
  commit(): Promise<void>
  rollback(): Promise<void>
}

/** Where a statement is to go, if not to the database of pg-boss. */
export interface PgBossConnection {
  readonly db?: PgBossStatements
}

/** A job as one worker claimed it: each claim of it has another count. */
export interface PgBossAttempt {
  readonly id: string
  readonly retryCount: number
}

/** A job that was fetched. */
export interface PgBossJob extends PgBossAttempt {
  readonly data: unknown
  readonly singletonKey: string | null
  readonly heartbeatSeconds: number | null
}

/** How long a job is kept, and how often it is claimed. */
export interface PgBossJobOptions {
  readonly retryLimit: number
  readonly retryDelay: number
  readonly retryBackoff: boolean
  readonly expireInSeconds: number
  readonly heartbeatSeconds: number
  readonly retentionSeconds: number
}

/** Options of `send`. */
export interface PgBossSendOptions extends PgBossConnection, PgBossJobOptions {
  readonly id: string
  readonly singletonKey: string
  readonly startAfter?: string
}

/** Options of `update`. */
export interface PgBossUpdateOptions extends PgBossConnection {
  readonly id: string
  readonly startAfter?: string
  readonly deleteAfterSeconds?: number
}

/** Options of `createQueue`. */
export interface PgBossQueueOptions extends PgBossJobOptions {
  readonly policy: 'key_strict_fifo'
  readonly deleteAfterSeconds: number
}
