import type { Inbox, PersistentStore } from 'ringhook'

/** What an engine is opened with. */
export interface EngineOptions {
  /** What everything of this endpoint is called in a database that others use too. */
  readonly name: string
  /** How long a delivery stays with a worker that was killed, in ms. */
  readonly leaseMs: number
}

/** An inbox, and the store beside it that knows which events have finished. Both are migrated. */
export interface Engine {
  readonly inbox: Inbox
  readonly store: PersistentStore
  /** For after `receiver.close()`. */
  close(): Promise<void>
}
