/** A `Queue` of BullMQ, 5.50 or later: what of it {@link bullmqInbox} uses. */
export interface BullmqQueue {
  readonly name: string
  readonly opts: {
    readonly connection?: unknown
    readonly prefix?: string | undefined
    readonly skipVersionCheck?: boolean | undefined
  }
  /** BullMQ 5. */
  readonly client?: Promise<unknown>
  /** BullMQ 6. */
  getBackend?(): unknown
  toKey(type: string): string
  on(event: string | symbol, listener: (...values: never[]) => void): unknown
  add(name: string, data: unknown, options?: object): Promise<unknown>
  remove(jobId: string): Promise<number>
  getJob(jobId: string): Promise<unknown>
  getJobState(jobId: string): Promise<string>
  /** The connections of workers on it, by their names in `rawname`. */
  getWorkers?(): Promise<readonly { readonly rawname?: string }[]>
  getJobCounts(...states: string[]): Promise<{ readonly [state: string]: number }>
}

/**
 * The class `Worker` of BullMQ. Its overloads with their own types fit no signature but one that
 * leaves the processor and the options open.
 */
export type BullmqWorkerClass = new (name: string, processor: never, options: never) => BullmqWorker

/** What of a worker {@link bullmqInbox} uses. */
export interface BullmqWorker {
  on(event: 'error', listener: (error: Error) => void): unknown
  waitUntilReady(): Promise<unknown>
  run(): Promise<unknown>
  close(force?: boolean): Promise<unknown>
  disconnect(): Promise<unknown>
}

/** Settings of BullMQ's worker. Those that decide about attempts and stalled jobs are the inbox's. */
export interface BullmqWorkerSettings {
  /** Its own connection. Default: made like the queue's. */
  readonly connection?: unknown
  /** How long a worker that died keeps a delivery. Renewed at half of it. In ms. Default: 30 000. */
  readonly lockDuration?: number
  /** How often it looks for deliveries of workers that died. In ms. Default: 30 000. */
  readonly stalledInterval?: number
  /** How long one wait for the next delivery takes at most. In s. Default: 5. */
  readonly drainDelay?: number
  /** How long it waits after a failed look. In ms. Default: 15 000. */
  readonly runRetryDelay?: number
  /** Its name, which dashboards show as `ringhook:NAME`. Without one it is `ringhook`. */
  readonly name?: string
  /** How many deliveries it may begin in a time. */
  readonly limiter?: { readonly max: number; readonly duration: number }
  /** Counts of what was done and parked, for BullMQ's metrics. */
  readonly metrics?: { readonly maxDataPoints?: number }
  readonly telemetry?: unknown
}

/** A job, as the worker is given it. */
export interface Job {
  readonly id?: string
  readonly data: unknown
  readonly attemptsMade: number
  readonly stalledCounter: number
  moveToDelayed(timestamp: number, token?: string): Promise<unknown>
  moveToWait(token?: string): Promise<unknown>
  retry(state: 'failed'): Promise<unknown>
}

/** A connection of BullMQ's: ioredis, or one of BullMQ 6 around another client. */
export interface Client {
  readonly status: string
  readonly isCluster?: boolean
  defineCommand(name: string, definition: { numberOfKeys: number; lua: string }): void
  hgetall(key: string): Promise<Readonly<Record<string, string>>>
  hmget(key: string, ...fields: string[]): Promise<readonly (string | null)[]>
  hset(key: string, fields: Readonly<Record<string, string>>): Promise<number>
  del(...keys: string[]): Promise<number>
  zscore(key: string, member: string): Promise<string | null>
  zrange(key: string, start: number, end: number): Promise<string[]>
  lrange(key: string, start: number, end: number): Promise<string[]>
  ltrim(key: string, start: number, end: number): Promise<unknown>
  /** Only ioredis. */
  rpush?(key: string, value: string): Promise<number>
}
