/**
 * Every code that ringhook throws, answers or logs. Each has a section in docs/errors.md.
 *
 * Codes for set-up mistakes are thrown as {@link RinghookError} when the receiver is built. Codes for
 * deliveries appear in the answer's body, in the log and in {@link Outcome.code}. The API clients
 * reject with codes in an {@link ApiError}.
 */
export type RinghookCode =
  | SetupCode
  | DeliveryCode
  | AttemptCode
  | HandlerCode
  | StoreCode
  | ApiCode

/** Thrown when something is built or started with a wrong set-up. */
export type SetupCode =
  | 'RINGHOOK_SECRET_MISSING'
  | 'RINGHOOK_SECRET_INVALID'
  | 'RINGHOOK_UNSIGNED_PROVIDER'
  | 'RINGHOOK_URL_TOKEN_INVALID'
  | 'RINGHOOK_IP_RULE_INVALID'
  | 'RINGHOOK_OPTION_INVALID'
  | 'RINGHOOK_EVENT_UNKNOWN'
  | 'RINGHOOK_EVENT_REPEATED'
  | 'RINGHOOK_HANDLER_INVALID'
  | 'RINGHOOK_PROVIDER_INVALID'
  | 'RINGHOOK_STORE_INVALID'
  | 'RINGHOOK_STORE_MISSING'
  | 'RINGHOOK_INBOX_INVALID'
  | 'RINGHOOK_INBOX_MISSING'
  | 'RINGHOOK_INBOX_SHARED'
  | 'RINGHOOK_ORDER_NOT_KEPT'
  | 'RINGHOOK_RECEIVER_INVALID'
  | 'RINGHOOK_FIXTURE_INVALID'
  | 'RINGHOOK_API_KEY_INVALID'
  | 'RINGHOOK_EVENT_NOT_SUBSCRIBABLE'

/** Answered to a sender, and reported to `onOutcome`. */
export type DeliveryCode =
  | 'RINGHOOK_ADAPTER_MISMATCH'
  | 'RINGHOOK_REQUEST_INVALID'
  | 'RINGHOOK_METHOD_NOT_ALLOWED'
  | 'RINGHOOK_IP_NOT_ALLOWED'
  | 'RINGHOOK_BODY_ENCODED'
  | 'RINGHOOK_BODY_TOO_LARGE'
  | 'RINGHOOK_BODY_TIMEOUT'
  | 'RINGHOOK_BODY_ABORTED'
  | 'RINGHOOK_BODY_ALREADY_READ'
  | 'RINGHOOK_NOT_AUTHENTIC'
  | 'RINGHOOK_BODY_NOT_UTF8'
  | 'RINGHOOK_BODY_NOT_JSON'
  | 'RINGHOOK_BODY_TOO_DEEP'
  | 'RINGHOOK_EVENT_MISSING'
  | 'RINGHOOK_TIMESTAMP_MISSING'
  | 'RINGHOOK_TIMESTAMP_INVALID'
  | 'RINGHOOK_TIMESTAMP_TOO_OLD'
  | 'RINGHOOK_TIMESTAMP_IN_FUTURE'
  | 'RINGHOOK_EVENT_INVALID'
  | 'RINGHOOK_IN_FLIGHT'
  | 'RINGHOOK_HANDLER_FAILED'
  | 'RINGHOOK_HANDLER_DID_NOT_RUN'
  | 'RINGHOOK_PERMANENT_FAILURE'
  | 'RINGHOOK_DEADLINE_EXCEEDED'
  | 'RINGHOOK_STORE_UNAVAILABLE'
  | 'RINGHOOK_INBOX_UNAVAILABLE'
  | 'RINGHOOK_SECRET_UNAVAILABLE'
  | 'RINGHOOK_SHUTTING_DOWN'
  | 'RINGHOOK_INTERNAL_ERROR'

/**
 * Why a delivery became a dead letter of its inbox, in addition to the codes that a delivery without
 * an inbox is answered with.
 */
export type AttemptCode =
  | 'RINGHOOK_ATTEMPTS_EXHAUSTED'
  | 'RINGHOOK_HANDLER_MISSING'
  | 'RINGHOOK_RECEIVER_MISSING'
  | 'RINGHOOK_DELIVERY_UNREADABLE'

/** Thrown by the methods of a handler's context, or why its transaction didn't count. */
export type HandlerCode =
  | 'RINGHOOK_STORE_NOT_TRANSACTIONAL'
  | 'RINGHOOK_TRANSACTION_INVALID'
  | 'RINGHOOK_TRANSACTION_NOT_COMMITTED'
  | 'RINGHOOK_LEASE_LOST'

/**
 * Why a store or inbox in a database failed. Its operations and `migrate()` reject with it. A
 * delivery is then answered 503 RINGHOOK_STORE_UNAVAILABLE or RINGHOOK_INBOX_UNAVAILABLE, and the
 * log has both codes.
 */
export type StoreCode =
  | 'RINGHOOK_STORE_UNREACHABLE'
  | 'RINGHOOK_STORE_ACCESS_DENIED'
  | 'RINGHOOK_STORE_NOT_MIGRATED'
  | 'RINGHOOK_STORE_READ_ONLY'
  | 'RINGHOOK_STORE_FILE_REPLACED'
  | 'RINGHOOK_STORE_FULL'
  | 'RINGHOOK_STORE_BUSY'
  | 'RINGHOOK_STORE_TIMEOUT'
  | 'RINGHOOK_STORE_FAILED'

/** Why a call to a provider's management API failed: `ringhook/krosai-api`, `ringhook/odis-api`. */
export type ApiCode =
  | 'RINGHOOK_API_UNAUTHORIZED'
  | 'RINGHOOK_API_NOT_FOUND'
  | 'RINGHOOK_API_REFUSED'
  | 'RINGHOOK_API_RATE_LIMITED'
  | 'RINGHOOK_API_FAILED'
  | 'RINGHOOK_API_TIMEOUT'
  | 'RINGHOOK_API_UNREACHABLE'
  | 'RINGHOOK_API_REDIRECTED'
  | 'RINGHOOK_API_ANSWER_INVALID'

/**
 * A mistake in the set-up, or a request that it can't serve. The message names the cause and the
 * fix, and never contains a secret, a signature, a payload or a phone number.
 */
export class RinghookError extends Error {
  override readonly name: string = 'RinghookError'
  /** The code, stable across versions: branch on this and not on the message. */
  readonly code: RinghookCode

  constructor(code: RinghookCode, message: string, options?: { readonly cause?: unknown }) {
    super(`${message} [${code}, see ringhook/docs/errors.md#${code.toLowerCase()}]`, options)
    this.code = code
  }
}

const permanentFailure = Symbol.for('ringhook.PermanentFailure')

/**
 * Thrown by a handler to end an event: a retry would fail the same way. The delivery is answered
 * 200, the event is remembered as finished and reported to `onOutcome` as `failed` with the code
 * RINGHOOK_PERMANENT_FAILURE. With an inbox it becomes a dead letter, which can be replayed.
 *
 * @example
 * ```ts
 * import { PermanentFailure } from 'ringhook'
 *
 * export function requireCustomer(customer: { id: string } | undefined) {
 *   if (customer === undefined) throw new PermanentFailure('no such customer')
 *   return customer
 * }
 * ```
 */
export class PermanentFailure extends Error {
  override readonly name: string = 'PermanentFailure'
  // Registered, so that a copy of this class from another bundle is recognised too.
  readonly [permanentFailure] = true
}

/** Returns whether a handler ended its event for good. */
export function isPermanentFailure(error: unknown): boolean {
  try {
    return typeof error === 'object' && error !== null && permanentFailure in error
  } catch {
    // A proxy that throws.
    return false
  }
}
