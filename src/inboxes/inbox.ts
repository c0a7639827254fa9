/**
 * The durable inbox: keeps what was received until it has been processed. An endpoint with an inbox
 * answers 200 when a delivery is committed to it; a worker, in this process or another, runs the
 * handlers later.
 *
 * A delivery is waiting, running (claimed by a worker), delayed (to be tried again) or dead (a dead
 * letter: tried no more until somebody replays it). Once it is done the inbox need not remember it:
 * which events have finished is for the idempotency store to say.
 *
 * - `put` resolves when the delivery is committed, and not before: no crash loses it after that. Of
 *   any number of copies under one key the inbox keeps one.
 * - Each delivery is with one worker at a time. A worker that dies, or is halted beyond its lease,
 *   loses it to another; what the first decides after that changes nothing.
 * - An attempt counts from the moment that the delivery is claimed, so that one which kills its
 *   worker every time comes to its last attempt too.
 * - Deliveries of one ordering key run one after another, in the order in which they were put; one
 *   that is tried again holds the others back, for at most `maxHoldMs`. An inbox that cannot says so
 *   (`keepsOrder`).
 * - A dead letter stays, with its bytes, until it is replayed or discarded.
 * - What cannot be read, such as a row that somebody changed by hand, is given to `process` as it
 *   is, and never stops the worker.
 *
 * `inboxContract` of `ringhook/conformance` holds an inbox to all of this.
 */
export interface Inbox {
  /** The function that made it, as in `sqliteInbox`: for messages. */
  readonly name: string
  /** Whether it keeps the order of an ordering key. */
  readonly keepsOrder: boolean
  /** Creates what the inbox needs in its database, unless it is there. For every start. */
  migrate(): Promise<void>
  /** Resolves after the commit. `duplicate`: it has a delivery under this key. */
  put(delivery: StoredDelivery, options: PutOptions): Promise<'accepted' | 'duplicate'>
  /**
   * Begins to hand out deliveries: at most `concurrency` at a time. Resolves when it does. Called
   * once, and again only after `stop`.
   */
  start(process: Process, options: WorkerOptions): Promise<void>
  /**
   * Claims nothing more, waits up to `drainMs` for what runs, and gives back what is not done by
   * then: to be claimed again at once, by whoever is there, without its attempt being counted.
   * `put` still works. Without a worker it does nothing.
   */
  stop(options?: { readonly drainMs?: number }): Promise<void>
  /** What it keeps, oldest first. What changes meanwhile may be missing, and nothing comes twice. */
  entries(filter: EntryFilter): AsyncIterable<StoredEntry>
  /** One of them. */
  entry(id: string): Promise<StoredEntry | undefined>
  /**
   * Makes a dead letter wait again, with all its attempts, its key and its place in the order.
   * `false`: there is no dead letter with this id.
   */
  replay(id: string): Promise<boolean>
  /** Removes a delivery that does not run. `false`: there is none with this id. */
  discard(id: string): Promise<boolean>
  /**
   * Only of an inbox that remembers what is done, and answers `duplicate` to repeats of it: no
   * longer for this one. What is not done it leaves as it is.
   */
  forget?(id: string): Promise<void>
  stats(): Promise<InboxCounts>
}

/**
 * A delivery as an inbox keeps it: fit for JSON, and with the bytes instead of the parsed object, so
 * that a schema or handler that was mended can run it again.
 */
export interface StoredDelivery {
  /** The version of this form. A worker parks what is newer than it knows. */
  readonly version: 1
  /** The idempotency key: at most 64 characters of ASCII, as in `krosai~evt_1`. */
  readonly key: string
  readonly provider: string
  readonly namespace: string
  /** The tenant whose secret verified it. Absent: the receiver names none. */
  readonly tenant?: string
  /** Canonical, as far as it was known on arrival; shortened and cleaned for display, like the next two. */
  readonly type: string
  readonly sentAs: string
  readonly eventId: string
  /** In ms since 1970. */
  readonly receivedAt: number
  /** Those that handlers and the provider need: none that authenticate, and none that repeat the URL. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  /** The exact bytes, in base64. */
  readonly body: string
}

export interface PutOptions {
  /** The delivery's id in the inbox: the same as its `key`. Any text without control characters, at most 200 characters. */
  readonly key: string
  /** Only for an inbox that `keepsOrder`. */
  readonly order?: {
    /** What deliveries that run one after another have in common: 64 hex digits. */
    readonly key: string
    /** For how long after its first failure a delivery holds back those behind it. */
    readonly maxHoldMs: number
  }
}

/**
 * Processes one delivery, and says what is to become of it. Never rejects.
 *
 * @param delivery - What `put` was given, or whatever else was found in its place.
 */
export type Process = (delivery: unknown, attempt: Attempt) => Promise<AttemptResult>

export interface Attempt {
  /** The `key` that the delivery was put under. */
  readonly id: string
  /** How often it was claimed since it was put or replayed, this time included. What was `postponed` or given back does not count. */
  readonly number: number
  /**
   * Marks the delivery as done inside the caller's open database transaction. `false`: this worker
   * has lost it. `undefined`: the transaction is none of the inbox's own database, and nothing was
   * done. Absent where the inbox cannot. Synchronous where the driver is.
   */
  complete?(transaction: unknown): Promise<boolean | undefined> | boolean | undefined
}

/** What is to become of a delivery. */
export type AttemptResult =
  | { readonly state: 'completed' }
  /** It failed, and is tried again after `delayMs`. */
  | { readonly state: 'retry'; readonly delayMs: number; readonly failure: Failure }
  /** It becomes a dead letter. */
  | { readonly state: 'dead'; readonly failure: Failure }
  /** It could not be tried: again after `delayMs`, and the attempt does not count. */
  | { readonly state: 'postponed'; readonly delayMs: number }

/** Why an attempt failed: fit to be kept and shown. */
export interface Failure {
  readonly code: string
  /** In words, without anything that was sent. At most 1000 characters. */
  readonly reason: string
  /** In ms since 1970. */
  readonly at: number
}

export interface WorkerOptions {
  readonly concurrency: number
  /** Told what goes wrong in the worker itself, as when its database is away. It goes on by itself. */
  onError(error: unknown): void
}

export type InboxState = 'waiting' | 'running' | 'delayed' | 'dead'

/** Which entries are meant: those that fit all that is given. */
export interface EntryFilter {
  readonly state?: InboxState
  /** The canonical name of the event. */
  readonly type?: string
  /** Received at this time or later. */
  readonly since?: Date
}

/** A delivery that an inbox has. */
export interface StoredEntry {
  readonly id: string
  readonly state: InboxState
  /** How many attempts counted. */
  readonly attempts: number
  /** When a delayed one is tried again, in ms since 1970. */
  readonly dueAt?: number
  /** Why its last attempt failed, or what made it a dead letter. */
  readonly failure?: Failure
  /** What `put` was given, or whatever else was found in its place. */
  readonly delivery: unknown
}

export interface InboxCounts {
  readonly waiting: number
  readonly running: number
  readonly delayed: number
  readonly dead: number
  /** When the oldest of those that are not dead was received, in ms since 1970. */
  readonly oldest?: number
}
