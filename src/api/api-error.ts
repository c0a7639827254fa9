import { inspect } from 'node:util'
import { isRecord } from '../core/checks.ts'
import { type ApiCode, RinghookError } from '../core/errors.ts'

/** What is known of a call that failed. */
export interface ApiFailure {
  readonly code: ApiCode
  /** The call, as in `webhooks.create`. */
  readonly operation: string
  /** What happened, as a sentence. */
  readonly reason: string
  /** What to do about it, as a sentence. */
  readonly remedy: string
  readonly status?: number | undefined
  readonly apiCode?: string | undefined
  readonly apiMessage?: string | undefined
  readonly details?: unknown
  readonly requestId?: string | undefined
  readonly retryAfterMs?: number | undefined
  readonly outcomeUnknown?: boolean
  readonly cause?: unknown
}

/**
 * A call of a provider's management API that failed. `code` says how, and `status`, `apiCode` and
 * `details` what the API said about it. The API key is in none of its properties: where the API or
 * a driver quotes it, it is replaced by `[API key]`.
 *
 * @example
 * ```ts
 * import { ApiError, createKrosaiApi } from 'ringhook/krosai-api'
 *
 * const api = createKrosaiApi({ apiKey: 'kros_test_example' })
 *
 * export async function removeWebhook(id: string) {
 *   try {
 *     await api.webhooks.delete(id)
 *   } catch (error) {
 *     if (error instanceof ApiError && error.code === 'RINGHOOK_API_NOT_FOUND') return
 *     throw error
 *   }
 * }
 * ```
 */
export class ApiError extends RinghookError {
  override readonly name = 'ApiError'
  declare readonly code: ApiCode
  /** The call that failed, as in `webhooks.create`. */
  readonly operation: string
  /** The HTTP status. `undefined`: there was no answer. */
  readonly status: number | undefined
  /** The `code` of the API's own error, where it has one. */
  readonly apiCode: string | undefined
  /** The API's own message, where there is one: text from outside. */
  readonly apiMessage: string | undefined
  /** The `details` of the API's own error, where it has them. */
  readonly details: unknown
  /** The answer's `x-request-id`, to quote to the provider's support. No page documents one. */
  readonly requestId: string | undefined
  /** How long the API asked to wait before the next call, in ms. */
  readonly retryAfterMs: number | undefined
  /** Whether the API may have done it all the same: its answer was lost, late, unreadable or a 5xx. */
  readonly outcomeUnknown: boolean
  /** How often the call was made. */
  readonly attempts: number

  constructor(failure: ApiFailure, attempts: number) {
    const { code, operation, reason, remedy, cause } = failure
    const times = attempts > 1 ? ` (${attempts} attempts)` : ''
    super(
      code,
      `${operation} ${reason}${times}. ${remedy}`,
      cause === undefined ? undefined : { cause },
    )
    this.operation = operation
    this.status = failure.status
    this.apiCode = failure.apiCode
    this.apiMessage = failure.apiMessage
    this.details = failure.details
    this.requestId = failure.requestId
    this.retryAfterMs = failure.retryAfterMs
    this.outcomeUnknown = failure.outcomeUnknown ?? false
    this.attempts = attempts
  }
}

/** Removes the API key from text and JSON from outside. Created once per client. */
export class Redaction {
  readonly #apiKey: string

  constructor(apiKey: string) {
    this.#apiKey = apiKey
  }

  text(text: string): string {
    return text.replaceAll(this.#apiKey, '[API key]')
  }

  /** Replaces it in a JSON value, at any depth. */
  json(value: unknown): unknown {
    if (value === undefined) return undefined
    return JSON.parse(JSON.stringify(value), (_name, found: unknown) => {
      if (typeof found === 'string') return this.text(found)
      return isRecord(found) ? this.#names(found) : found
    })
  }

  /** Drivers quote headers, and so may wrappers of `fetch`: such a cause is dropped. */
  cause(cause: unknown): unknown {
    try {
      const shown = inspect(cause, { depth: 12, showHidden: true, maxStringLength: null })
      return shown.includes(this.#apiKey) ? undefined : cause
    } catch {
      // A proxy or a getter that throws: its content is unknown.
      return undefined
    }
  }

  #names(record: Readonly<Record<string, unknown>>): unknown {
    return Object.fromEntries(
      Object.entries(record).map(([name, value]) => [this.text(name), value]),
    )
  }
}
