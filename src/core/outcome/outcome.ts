import type { AttemptCode, DeliveryCode } from '../errors.ts'

/** What became of one delivery, or of one attempt of an inbox's worker. README, "Answers", has the table with the status of each. */
export type OutcomeName =
  | 'handled'
  | 'accepted'
  | 'duplicate'
  | 'ignored'
  | 'in_flight'
  | 'failed'
  | 'timed_out'
  | 'unavailable'
  | 'invalid'
  | 'rejected'

/**
 * One delivery and what became of it, or one attempt of an inbox's worker: the argument of
 * `onOutcome`.
 */
export interface Outcome {
  readonly outcome: OutcomeName
  /** The HTTP status that was answered. Absent for an attempt, which answers nobody. */
  readonly status?: number
  /** For an attempt: what becomes of the delivery in the inbox. `postponed`: it could not be tried now. */
  readonly next?: 'completed' | 'retry' | 'dead' | 'postponed'
  /** For an attempt: how long the inbox waits before the next one, in ms. */
  readonly nextInMs?: number
  /** Why, for every outcome but `handled`, `accepted`, `duplicate` and `ignored`. */
  readonly code?: DeliveryCode | AttemptCode
  /** The provider's name, as in `krosai`. */
  readonly provider: string
  /** The event's canonical name. Known once the delivery is authentic. */
  readonly type?: string
  /** The event's name on the wire. */
  readonly sentAs?: string
  readonly eventId?: string
  /** The tenant whose secret verified the delivery, if the `secret` function named one. */
  readonly tenant?: string
  readonly idempotencyKey?: string
  /** Which claim of the event this was, from 1; for an attempt, of the delivery in the inbox. */
  readonly attempt?: number
  readonly fence?: number
  /** From the arrival of the headers to the answer, or of an attempt from its beginning to its end, in ms. */
  readonly durationMs: number
  /** A duplicate whose bytes differ from those of the completed event: anywhere, or at the ends or in length if over 8 KiB. */
  readonly bodyChanged?: true
  /** Finished, but the store could not be told: a repeat may run the handler again. */
  readonly completionLost?: true
  /** Ran without deduplication, because the store was down and `onStoreError` is `'process'`. */
  readonly deduplicated?: false
  /** The name is in none of the provider's pages and not in `events`. */
  readonly undocumented?: true
  /** How old a refused timestamp was, in ms; negative for one in the future. */
  readonly ageMs?: number
  /**
   * Why a delivery is not authentic, why its sender is not allowed, why it could not be read, or what
   * failed before its handler ran, in words: for you, not for the sender. It may hold the addresses of
   * the connection and of the client.
   */
  readonly reason?: string
  /** What the schema objected to: where and which kind, never the value. */
  readonly issues?: readonly SchemaIssue[]
  /** What the handler, the store, the inbox or the `secret` function threw. It may hold anything: log it with care. */
  readonly error?: unknown
}

/** The outcome of a delivery that was answered. */
export interface DeliveryOutcome extends Outcome {
  readonly status: number
}

/** One objection of a schema. */
export interface SchemaIssue {
  /** As in `data.call_id`. A segment that is not a plain identifier is shown as `?`. */
  readonly path: string
  /** The schema library's code, as in `invalid_type`. */
  readonly code: string
}
