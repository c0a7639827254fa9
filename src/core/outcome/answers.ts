import type { AttemptCode, DeliveryCode } from '../errors.ts'
import type { Outcome, OutcomeName } from './outcome.ts'

/** What the pipeline decided about a delivery: the outcome without what every outcome has. */
export interface Answer
  extends Pick<
    Outcome,
    | 'bodyChanged'
    | 'completionLost'
    | 'deduplicated'
    | 'undocumented'
    | 'ageMs'
    | 'reason'
    | 'issues'
    | 'error'
  > {
  readonly outcome: OutcomeName
  readonly status: number
  readonly code?: DeliveryCode | AttemptCode
  /** For the `Retry-After` header: what is left of a lease, or a pause. */
  readonly retryAfterMs?: number
}

/** How long a sender is asked to wait when nothing better is known. */
const pauseMs = 30_000

/** The answers that never change, made once. */
export const handled: Answer = { outcome: 'handled', status: 200 }
export const accepted: Answer = { outcome: 'accepted', status: 200 }
export const duplicate: Answer = { outcome: 'duplicate', status: 200 }
export const ignored: Answer = { outcome: 'ignored', status: 200 }

/** The HTTP status of each code. The same table stands in docs/errors.md. */
const statuses: Readonly<Record<DeliveryCode, number>> & Partial<Record<AttemptCode, number>> = {
  RINGHOOK_ADAPTER_MISMATCH: 500,
  RINGHOOK_REQUEST_INVALID: 500,
  RINGHOOK_METHOD_NOT_ALLOWED: 405,
  RINGHOOK_IP_NOT_ALLOWED: 403,
  RINGHOOK_BODY_ENCODED: 415,
  RINGHOOK_BODY_TOO_LARGE: 413,
  RINGHOOK_BODY_TIMEOUT: 408,
  RINGHOOK_BODY_ABORTED: 400,
  RINGHOOK_BODY_ALREADY_READ: 500,
  RINGHOOK_NOT_AUTHENTIC: 401,
  RINGHOOK_BODY_NOT_UTF8: 400,
  RINGHOOK_BODY_NOT_JSON: 400,
  RINGHOOK_BODY_TOO_DEEP: 400,
  RINGHOOK_EVENT_MISSING: 400,
  RINGHOOK_TIMESTAMP_MISSING: 400,
  RINGHOOK_TIMESTAMP_INVALID: 400,
  RINGHOOK_TIMESTAMP_TOO_OLD: 400,
  RINGHOOK_TIMESTAMP_IN_FUTURE: 400,
  RINGHOOK_EVENT_INVALID: 422,
  RINGHOOK_IN_FLIGHT: 503,
  RINGHOOK_HANDLER_FAILED: 500,
  RINGHOOK_HANDLER_DID_NOT_RUN: 500,
  RINGHOOK_PERMANENT_FAILURE: 200,
  RINGHOOK_DEADLINE_EXCEEDED: 503,
  RINGHOOK_STORE_UNAVAILABLE: 503,
  RINGHOOK_INBOX_UNAVAILABLE: 503,
  RINGHOOK_SECRET_UNAVAILABLE: 503,
  RINGHOOK_SHUTTING_DOWN: 503,
  RINGHOOK_INTERNAL_ERROR: 500,
}

const outcomes: Partial<Record<DeliveryCode | AttemptCode, OutcomeName>> = {
  RINGHOOK_EVENT_INVALID: 'invalid',
  RINGHOOK_IN_FLIGHT: 'in_flight',
  RINGHOOK_HANDLER_FAILED: 'failed',
  RINGHOOK_HANDLER_DID_NOT_RUN: 'failed',
  RINGHOOK_PERMANENT_FAILURE: 'failed',
  RINGHOOK_INTERNAL_ERROR: 'failed',
  RINGHOOK_DEADLINE_EXCEEDED: 'timed_out',
  RINGHOOK_STORE_UNAVAILABLE: 'unavailable',
  RINGHOOK_INBOX_UNAVAILABLE: 'unavailable',
  RINGHOOK_SECRET_UNAVAILABLE: 'unavailable',
  RINGHOOK_SHUTTING_DOWN: 'unavailable',
  RINGHOOK_ATTEMPTS_EXHAUSTED: 'failed',
  RINGHOOK_HANDLER_MISSING: 'failed',
  RINGHOOK_RECEIVER_MISSING: 'failed',
  RINGHOOK_DELIVERY_UNREADABLE: 'failed',
}

/**
 * The answer that goes with a code, with more details where there are any. Codes of attempts have no
 * status: nobody waits for them.
 */
export function answerFor(code: DeliveryCode | AttemptCode, details?: Partial<Answer>): Answer {
  const status = statuses[code] ?? 500
  return {
    outcome: outcomes[code] ?? 'rejected',
    status,
    code,
    ...(status === 503 && { retryAfterMs: pauseMs }),
    ...details,
  }
}
