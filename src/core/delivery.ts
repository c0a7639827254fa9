import type { Attempt, AttemptResult } from '../inboxes/inbox.ts'
import type { ActiveCount } from './active-count.ts'
import type { InContext } from './async-context.ts'
import type { WebhookEvent } from './event/event.ts'
import type { Route } from './event/routing.ts'
import { type Answer, answerFor, handled } from './outcome/answers.ts'
import type { DeliveryOutcome, Outcome } from './outcome/outcome.ts'
import type { Reply } from './request/http.ts'
import type { CheckedRequest } from './request/request.ts'
import { TimeoutEntry } from './timeout-queue.ts'

/** What a delivery is waiting for. It decides the answer when its deadline comes. */
export type Phase =
  | 'body'
  | 'secret'
  | 'inbox'
  | 'claim'
  | 'holder'
  | 'handler'
  | 'complete'
  | 'confirm'
  | 'release'

/** The times of a delivery, in ms since 1970. */
export interface DeliveryTimes {
  readonly receivedAtMs: number
  /** When this attempt began: on arrival, or when the inbox handed it out. */
  readonly startedAtMs: number
  /** When the answer must be out. In a worker: when a store that doesn't answer is given up. */
  readonly deadlineMs: number
}

const noBody = new Uint8Array()

/**
 * One delivery, from the request to the answer: what each step found out about it is here, and every
 * step reads what it needs from here. It is the entry of the queue of deadlines itself.
 *
 * Every property is there from the start: an object that grows is copied several times.
 */
export class Delivery extends TimeoutEntry {
  readonly request: CheckedRequest
  readonly receivedAtMs: number
  readonly startedAtMs: number
  readonly deadlineMs: number
  /** The attempt of a worker, for a delivery that came out of an inbox. */
  readonly job: Attempt | undefined
  /** When the clock was last read for it. */
  nowMs: number

  phase: Phase
  /** Set once the answer is out: what is still going on then goes on without a sender. */
  answered = false
  /** What counts it until it is over. `undefined`: nothing waits for it. */
  countedBy: ActiveCount | undefined
  /** Resolves the promise of its reply. */
  resolve: ((reply: Reply | Promise<Reply>) => void) | undefined = undefined
  /** Its own async context, for what a shared timer does to it. */
  inContext: InContext = runHere
  /** What to answer at the deadline, in the phases from `holder` on. */
  fallback: Answer | undefined = undefined
  /** Set if the deadline came during the claim or the handler: what becomes of it then is only logged. */
  isLate = false

  /** The exact bytes, once they are read. */
  rawBody: Uint8Array = noBody
  /** The tenant whose secret verified it. */
  tenant: string | undefined = undefined

  /** What the authentic body says; empty until then. The canonical name, and the name on the wire. */
  type = ''
  sentAs = ''
  /** The provider's id, or the body's. From validation on, the event's. */
  eventId = ''
  /** What is wrong with the provider's id, in words, if it has one that can't be used. */
  unusableId: string | undefined = undefined
  /** As the body has it, and as a time. */
  sentTimestamp: unknown = undefined
  timestamp: Date | undefined = undefined
  data: unknown = undefined
  callId: string | undefined = undefined
  /** The headers that the provider's `read` looked at, with an inbox. */
  headersRead: ReadonlySet<string> | undefined = undefined
  route: Route | undefined = undefined

  /** The validated event. */
  event: WebhookEvent | undefined = undefined
  /** The key by which the store and the inbox know the event. */
  key = ''
  /** Tells a repeat from an event that changed under the same id. */
  fingerprint = ''
  /** When the store was last asked for a claim: the lease may count from then. */
  claimAskedAtMs = 0
  attempt: number | undefined = undefined
  fence: number | undefined = undefined

  constructor(request: CheckedRequest, times: DeliveryTimes, phase: Phase, job?: Attempt) {
    super()
    this.request = request
    this.receivedAtMs = times.receivedAtMs
    this.startedAtMs = times.startedAtMs
    this.deadlineMs = times.deadlineMs
    this.nowMs = times.startedAtMs
    this.phase = phase
    this.job = job
    this.countedBy = undefined
  }
}

function runHere<Result>(run: () => Result): Result {
  return run()
}

/** Returns the answer to a delivery whose deadline has come. */
export function answerAtDeadline({ phase, fallback }: Delivery, leaseMs: number): Answer {
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
      // It isn't known whether the handler's transaction was committed. The next delivery finds out.
      return fallback ?? answerFor('RINGHOOK_STORE_UNAVAILABLE')
    case 'holder':
      return fallback ?? answerFor('RINGHOOK_IN_FLIGHT', { retryAfterMs: leaseMs })
    case 'handler':
      return answerFor('RINGHOOK_DEADLINE_EXCEEDED', { retryAfterMs: leaseMs })
    case 'complete':
      // The handler has finished: asking for another delivery would only run it again.
      return { ...(fallback ?? handled), completionLost: true }
    case 'release':
      return fallback ?? answerFor('RINGHOOK_HANDLER_FAILED')
  }
}

/** Returns what `onOutcome` is told: what was decided, and about what. */
export function outcomeOf(
  provider: string,
  { startedAtMs, type, sentAs, eventId, tenant, key, attempt, fence }: Delivery,
  { retryAfterMs: _, ...decided }: Answer,
  now: number,
): DeliveryOutcome {
  const durationMs = now - startedAtMs
  // One property after the other: a literal with spreads in it costs more than the HMAC.
  const outcome: Mutable<DeliveryOutcome> = Object.assign(decided, { provider, durationMs })
  if (type !== '') outcome.type = type
  if (sentAs !== '') outcome.sentAs = sentAs
  if (eventId !== '') outcome.eventId = eventId
  if (tenant !== undefined) outcome.tenant = tenant
  if (key !== '') outcome.idempotencyKey = key
  if (attempt !== undefined) outcome.attempt = attempt
  if (fence !== undefined) outcome.fence = fence
  return outcome
}

/** Returns what `onOutcome` is told of an attempt. */
export function attemptOutcome(
  provider: string,
  delivery: Delivery,
  answer: Answer,
  result: AttemptResult,
  now: number,
): Outcome {
  const { status: _, ...outcome } = outcomeOf(provider, delivery, answer, now)
  const next = { ...outcome, next: result.state }
  return 'delayMs' in result ? { ...next, nextInMs: result.delayMs } : next
}

type Mutable<Shape> = { -readonly [Key in keyof Shape]: Shape[Key] }
