import type { Place } from '../backends/backend.ts'
import type { ProcessSettings } from '../endpoint.ts'

export const inboxNames = ['sqlite', 'bullmq', 'pg-boss'] as const
export type InboxName = (typeof inboxNames)[number]

/** The faults that can be planted into an inbox. */
export const inboxMutants = ['ack', 'forget', 'count', 'order'] as const
export type InboxMutant = (typeof inboxMutants)[number]

/** Attempts follow each other soon, and there are enough of them for a run full of crashes. */
export const retry = { maxAttempts: 6, initialDelayMs: 50, maxDelayMs: 500 } as const

/** How many deliveries each worker runs at a time. */
export const concurrency = 5

/**
 * The endpoints, and for how long an event that was sent there holds back those behind it: at the
 * first for longer than any run takes, at the second so shortly that many are overtaken.
 */
export const endpoints = {
  '/hooks': { namespace: '', maxHoldMs: 3_600_000 },
  '/hasty': { namespace: 'hasty', maxHoldMs: 200 },
} as const

/** What a process does: receive deliveries, run them, or both. */
export type Role = 'web' | 'worker' | 'both'

/** The processes of every run. At least three run deliveries, so that two may be halted. */
export const roles: readonly Role[] = ['web', 'web', 'both', 'worker', 'worker']

/** What a process is told when it is started. */
export interface InboxWorkerSettings extends ProcessSettings {
  readonly inbox: InboxName
  readonly role: Role
  /** Where the journal is, which no fault touches. */
  readonly journal: Place
  /** Where the inbox is and its store: through the proxy. */
  readonly place: Place
  readonly mutant: InboxMutant | undefined
}
