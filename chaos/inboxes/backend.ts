import type { Inbox } from '../../src/inboxes/inbox.ts'
import type { PersistentStore } from '../../src/stores/store.ts'
import type { Place } from '../backends/backend.ts'
import type { InboxName } from './settings.ts'

/** An inbox and the store that goes with it, on clients of their own. */
export interface OpenInbox {
  readonly inbox: Inbox
  readonly store: PersistentStore
  close(): Promise<void>
}

/** What a run needs to know of an inbox. */
export interface InboxBackend {
  /** The server that it is in. Absent: it is in a file. */
  readonly server?: InboxServer
  /** For how long workers are halted, in ms: the most is longer than the inbox's lease. */
  readonly haltMs: readonly [number, number]
  /** By then others have mostly taken over what a halted worker had, in ms. */
  readonly takeoverMs: number
  /** Opens both as an application would. `slot`: which process, where there are several ways. */
  open(place: Place, slot: number): Promise<OpenInbox>
}

/** A server that each run has to itself, because it is killed. */
export interface InboxServer {
  readonly name: 'redis' | 'postgres'
  /** What must be installed. */
  readonly programs: string
  /** With these no crash of it loses what it has answered. */
  readonly settings: readonly string[]
}

/** The backend with this name: each loads its driver only when it is used. */
export async function inboxBackendOf(inbox: InboxName): Promise<InboxBackend> {
  switch (inbox) {
    case 'sqlite':
      return (await import('./sqlite.ts')).sqlite
    case 'bullmq':
      return (await import('./bullmq.ts')).bullmq
    case 'pg-boss':
      return (await import('./pg-boss.ts')).pgBoss
  }
}
