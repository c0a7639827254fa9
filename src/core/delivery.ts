import type { Attempt, AttemptResult } from '../inboxes/inbox.ts'
import type { TimeoutHandle } from './clock.ts'
import type { Handler, WebhookEvent } from './event/event.ts'
import type { RetryPolicy } from './inbox/retry.ts'
import { type Answer, answerFor, handled } from './outcome/answers.ts'
import type { DeliveryOutcome, Outcome } from './outcome/outcome.ts'
import type { CheckedRequest } from './request/request.ts'
import type { UnderWay } from './under-way.ts'

/** What a delivery waits for. It decides what is answered when its deadline comes. */
export type Phase =
  | 'body'
  | 'secret'
  | 'inbox'
  | 'claim'
  | 'turn'
  | 'handler'
  | 'mark'
  | 'confirm'
  | 'release'

/** One delivery on its way through the pipeline. */
export interface Delivery {
  readonly request: CheckedRequest
  readonly receivedAtMs: number
  /** When this attempt began: on arrival, or when the inbox handed it out. */
  readonly beganAtMs: number
  /** When the answer must be out; from the inbox, when a store that does not answer is given up. */
  readonly deadlineMs: number
  phase: Phase
  /** Set once the answer is out: what is still going on then goes on without a sender. */
  answered: boolean
  /** What counts it until it is over. `undefined`: nothing waits for it. */
  countedBy: UnderWay | undefined
  deadline: TimeoutHandle | undefined
  /** What to answer at the deadline in the phases from `turn` on. */
  result: Answer | undefined
  /** Set when the deadline came during the claim or the handler: what it comes to then is only logged. */
  isLate: boolean
  /** Known once the delivery is authentic. */
  type: string | undefined
  sentAs: string | undefined
  eventId: string | undefined
  /** The tenant whose secret verified the delivery. */
  tenant: string | undefined
  /** Known once the event is claimed. */
  key: string | undefined
  attempt: number | undefined
  fence: number | undefined
  /** The attempt of the inbox's worker, for a delivery that came out of it. */
  readonly job: Attempt | undefined
}

/** An authentic, validated event with the handler that it goes to. */
export interface RoutedEvent {
  readonly event: WebhookEvent
  readonly handler: Handler
  /** How attempts of it are repeated, where there is an inbox. */
  readonly retry: RetryPolicy
  readonly key: string
  readonly rawBody: Uint8Array
}

/** The answer to a delivery whose deadline has come. */
export function answerAtDeadline({ phase, result }: Delivery, leaseMs: number): Answer {
  switch (phase) {
    case 'body':
      return answerFor('RINGHOOK_BODY_TIMEOUT')
    case 'secret':
      return answerFor('RINGHOOK_SECRET_UNAVAILABLE')
    case 'inbox':
      return answerFor('RINGHOOK_INBOX_UNAVAILABLE')
    case 'claim':
      return answerFor('RINGHOOK_STORE_UNAVAILABLE')
    case 'confirm':
      // Nobody knows whether the handler's transaction was committed. The next delivery will.
      return result ?? answerFor('RINGHOOK_STORE_UNAVAILABLE')
    case 'turn':
      return result ?? answerFor('RINGHOOK_IN_FLIGHT', { retryAfterMs: leaseMs })
    case 'handler':
      return answerFor('RINGHOOK_DEADLINE_EXCEEDED', { retryAfterMs: leaseMs })
    case 'mark':
      // The handler has finished: asking for another delivery would only run it again.
      return { ...(result ?? handled), completionLost: true }
    case 'release':
      return result ?? answerFor('RINGHOOK_HANDLER_FAILED')
  }
}

/** Puts together what `onOutcome` is told: what was decided, and about what. */
export function outcomeOf(
  provider: string,
  { beganAtMs, type, sentAs, eventId, tenant, key, attempt, fence }: Delivery,
  { retryAfterMs: _, ...decided }: Answer,
  now: number,
): DeliveryOutcome {
  const durationMs = now - beganAtMs
  // One property after the other: a literal with spreads in it costs more than the HMAC.
  const outcome: Mutable<DeliveryOutcome> = Object.assign(decided, { provider, durationMs })
  if (type !== undefined) outcome.type = type
  if (sentAs !== undefined) outcome.sentAs = sentAs
  if (eventId !== undefined) outcome.eventId = eventId
  if (tenant !== undefined) outcome.tenant = tenant
  if (key !== undefined) outcome.idempotencyKey = key
  if (attempt !== undefined) outcome.attempt = attempt
  if (fence !== undefined) outcome.fence = fence
  return outcome
}

/** Puts together what `onOutcome` is told of an attempt. */
export function attemptOutcome(
  provider: string,
  delivery: Delivery,
  answer: Answer,
  verdict: AttemptResult,
  now: number,
): Outcome {
  const { status: _, ...outcome } = outcomeOf(provider, delivery, answer, now)
  const next = { ...outcome, next: verdict.state }
  return 'delayMs' in verdict ? { ...next, nextInMs: verdict.delayMs } : next
}

type Mutable<Shape> = { -readonly [Key in keyof Shape]: Shape[Key] }
