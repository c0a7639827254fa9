import { type Answer, answerFor } from './answers.ts'
import type { DelayTicket } from './clock.ts'
import type { Handler, WebhookEvent } from './event.ts'
import type { DeliveryRequest } from './http.ts'
import type { Outcome } from './outcome.ts'

/** What a delivery waits for. It decides what is answered when its deadline comes. */
export type Phase = 'body' | 'secret' | 'claim' | 'turn' | 'handler' | 'mark' | 'release'

/** One delivery on its way through the pipeline. */
export interface Delivery {
  readonly request: DeliveryRequest
  readonly receivedAtMs: number
  /** When the answer must be out. */
  readonly deadlineMs: number
  phase: Phase
  /** Set once the answer is out: what is still going on then goes on without a sender. */
  answered: boolean
  deadline?: DelayTicket
  /** Known once the delivery is authentic. */
  type?: string
  sentAs?: string
  eventId?: string
  /** Known once the event is claimed. */
  key?: string
  attempt?: number
  fence?: number
}

/** An authentic, validated event with the handler that it goes to. */
export interface RoutedEvent {
  readonly event: WebhookEvent
  readonly handler: Handler
  readonly key: string
  readonly rawBody: Uint8Array
}

/** The answer to a delivery whose deadline has come. */
export function answerAtDeadline(phase: Phase, leaseMs: number): Answer {
  switch (phase) {
    case 'body':
      return answerFor('RINGHOOK_BODY_TIMEOUT')
    case 'secret':
      return answerFor('RINGHOOK_SECRET_UNAVAILABLE')
    case 'claim':
      return answerFor('RINGHOOK_STORE_UNAVAILABLE')
    case 'turn':
      return answerFor('RINGHOOK_IN_FLIGHT', { retryAfterMs: leaseMs })
    case 'handler':
      return answerFor('RINGHOOK_DEADLINE_EXCEEDED', { retryAfterMs: leaseMs })
    case 'mark':
      // The handler has finished: asking for another delivery would only run it again.
      return { outcome: 'handled', status: 200, unmarked: true }
    case 'release':
      return answerFor('RINGHOOK_HANDLER_FAILED')
  }
}

/** Puts together what `onOutcome` is told: what was decided, and about what. */
export function outcomeOf(
  provider: string,
  { receivedAtMs, type, sentAs, eventId, key, attempt, fence }: Delivery,
  { retryAfterMs: _, ...decided }: Answer,
  now: number,
): Outcome {
  return {
    ...decided,
    provider,
    durationMs: now - receivedAtMs,
    ...(type !== undefined && { type }),
    ...(sentAs !== undefined && { sentAs }),
    ...(eventId !== undefined && { eventId }),
    ...(key !== undefined && { idempotencyKey: key }),
    ...(attempt !== undefined && { attempt }),
    ...(fence !== undefined && { fence }),
  }
}
