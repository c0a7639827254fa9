import type { Provider } from '../providers/provider.ts'
import { ActiveDeliveries } from './active-deliveries.ts'
import { captureContext, detached } from './async-context.ts'
import { authenticate } from './authentication/authenticate.ts'
import { isShared, type Keyring, secretShared } from './authentication/keyring.ts'
import type { Closing } from './closing.ts'
import { answerAtDeadline, Delivery, outcomeOf } from './delivery.ts'
import { type DeliveryCode, RinghookError } from './errors.ts'
import { decode, validate } from './event/decode.ts'
import { checkFreshness } from './event/freshness.ts'
import { ignorer } from './event/ignored-events.ts'
import { Executor } from './execution/executor.ts'
import { Enqueuer } from './inbox/enqueue.ts'
import type { Settings } from './options/settings.ts'
import { type Answer, answerFor } from './outcome/answers.ts'
import { DeliveryReply } from './outcome/reply.ts'
import { abandonBody, refuseBody } from './request/body.ts'
import type { Reply, RequestLike } from './request/http.ts'
import { type CheckedRequest, checkedRequest } from './request/request.ts'
import { isStream, whyUnreadable } from './request/request-body.ts'
import { andThen, isThenable } from './thenable.ts'
import { TimeoutQueue } from './timeout-queue.ts'

/** What a step returns: the answer if the delivery ends there, or nothing if it goes on. */
type Step = Answer | undefined

/** The steps that a delivery takes, in the order that keeps out what isn't authentic. */
export class Pipeline {
  readonly active = new ActiveDeliveries()
  readonly executor: Executor
  readonly #provider: Provider
  readonly #settings: Settings
  readonly #closing: Pick<Closing, 'hasBegun' | 'isRefusing'>
  readonly #enqueuer: Enqueuer | undefined
  readonly #ignore: (delivery: Delivery) => Answer
  readonly #deadlines: TimeoutQueue<Delivery>

  constructor(
    provider: Provider,
    settings: Settings,
    closing: Pick<Closing, 'hasBegun' | 'isRefusing'>,
  ) {
    const { inbox, clock, ackDeadlineMs, report } = settings
    this.executor = new Executor(settings)
    this.#provider = provider
    this.#settings = settings
    this.#closing = closing
    this.#enqueuer = inbox === undefined ? undefined : new Enqueuer(provider, settings, inbox)
    this.#ignore = ignorer(provider.name, report.logger)
    this.#deadlines = new TimeoutQueue(clock, ackDeadlineMs, (delivery) => this.#onDue(delivery))
  }

  /** Takes a request through every step to its reply. Never rejects. */
  receive(request: RequestLike): Promise<Reply> {
    const now = this.#settings.clock.now()
    const deadlineMs = now + this.#settings.ackDeadlineMs
    const times = { receivedAtMs: now, startedAtMs: now, deadlineMs }
    const delivery = new Delivery(checkedRequest(request), times, 'body')
    delivery.countedBy = this.active.pending
    this.active.pending.enter()
    return new Promise((resolve) => {
      delivery.resolve = resolve
      // First of all: whatever arrives at the very moment of the deadline arrives too late.
      this.#deadlines.enter(delivery, now)
      let answer: Answer | Promise<Answer>
      try {
        answer = this.#process(delivery)
      } catch (error) {
        answer = internalError(error)
      }
      if (!isThenable(answer)) {
        this.#finish(delivery, answer)
        return
      }
      delivery.inContext = captureContext()
      answer.then(
        (late) => this.#finish(delivery, late),
        (error: unknown) => this.#finish(delivery, internalError(error)),
      )
    })
  }

  /** The steps, in order. Each returns the answer if the delivery ends there. */
  #process(delivery: Delivery): Answer | Promise<Answer> {
    return (
      this.#gate(delivery) ??
      andThen(this.#read(delivery), (answer) => answer ?? this.#processBody(delivery))
    )
  }

  #processBody(delivery: Delivery): Answer | Promise<Answer> {
    return andThen(
      this.#authenticate(delivery),
      (answer) => answer ?? this.#processAuthentic(delivery),
    )
  }

  #processAuthentic(delivery: Delivery): Answer | Promise<Answer> {
    return (
      this.#decode(delivery) ??
      this.#checkFreshness(delivery) ??
      this.#route(delivery) ??
      this.#validate(delivery) ??
      this.#enqueueOrExecute(delivery)
    )
  }

  /** Refuses by the method, the address and the headers, before a byte of the body is read. */
  #gate({ request }: Delivery): Step {
    const { whyNotAllowed, maxBodyBytes } = this.#settings
    if (request.mistake !== undefined) return answerFor(request.mistake.code, request.mistake)
    if (this.#closing.isRefusing) return answerFor('RINGHOOK_SHUTTING_DOWN')
    if (request.method !== 'POST') return answerFor('RINGHOOK_METHOD_NOT_ALLOWED')
    const reason = whyNotAllowed?.(request)
    if (reason !== undefined) return answerFor('RINGHOOK_IP_NOT_ALLOWED', { reason })
    const unfit = refuseBody(request.headers, maxBodyBytes)
    return unfit === undefined ? undefined : answerFor(unfit)
  }

  #read(delivery: Delivery): Step | Promise<Step> {
    return andThen(this.#settings.readBody(delivery.request, delivery.receivedAtMs), (body) => {
      if (typeof body === 'string') return unread(delivery.request, body)
      if (delivery.answered) return answerFor('RINGHOOK_BODY_TIMEOUT')
      delivery.rawBody = body
      return undefined
    })
  }

  #authenticate(delivery: Delivery): Step | Promise<Step> {
    delivery.phase = 'secret'
    const keyring = this.#settings.keysFor(delivery.request)
    if (!isThenable(keyring)) return this.#verify(delivery, keyring)
    return keyring.then((late) => this.#verify(delivery, late), secretUnavailable)
  }

  #verify(delivery: Delivery, keyring: Keyring): Step {
    // The sender was told to come again: nothing may begin for it now.
    if (delivery.answered) return answerFor('RINGHOOK_SECRET_UNAVAILABLE')
    const verified = authenticate(this.#settings, delivery.request, delivery.rawBody, keyring.keys)
    if ('reason' in verified) return answerFor('RINGHOOK_NOT_AUTHENTIC', verified)
    const { keyIndex } = verified
    if (keyring.tenants === undefined || keyIndex === undefined) return undefined
    if (isShared(keyring, keyIndex)) return secretUnavailable(secretShared())
    delivery.tenant = keyring.tenants[keyIndex]
    return undefined
  }

  #decode(delivery: Delivery): Step {
    return decode(this.#provider, this.#settings, delivery)
  }

  #checkFreshness(delivery: Delivery): Step {
    delivery.nowMs = this.#settings.clock.now()
    if (!this.#provider.signedTimestamp) return undefined
    const { sentTimestamp, timestamp, nowMs } = delivery
    const stale = checkFreshness(sentTimestamp, timestamp, nowMs, this.#settings)
    return stale === undefined ? undefined : answerFor(stale.code, stale)
  }

  #route(delivery: Delivery): Step {
    if (delivery.route?.handler === undefined) return this.#ignore(delivery)
    const { report, ownId } = this.#settings
    const { unusableId, sentAs } = delivery
    if (unusableId !== undefined && ownId === undefined) {
      report.idUnusable(this.#provider.name, sentAs, unusableId)
    }
    return undefined
  }

  #validate(delivery: Delivery): Step {
    const answer = validate(this.#provider, this.#settings, delivery)
    return answer !== undefined && this.#isEnqueued(answer) ? undefined : answer
  }

  /**
   * An inbox keeps what fails its schema. Not if a function of the user's failed: then it isn't known
   * which event it is.
   */
  #isEnqueued({ outcome }: Answer): boolean {
    const { invalidEvents } = this.#settings
    return this.#enqueuer !== undefined && invalidEvents === 'acknowledge' && outcome === 'invalid'
  }

  #enqueueOrExecute(delivery: Delivery): Answer | Promise<Answer> {
    // The receiver may have been closed since the first byte of the body.
    if (this.#closing.isRefusing) return answerFor('RINGHOOK_SHUTTING_DOWN')
    return this.#enqueuer?.enqueue(delivery) ?? this.executor.execute(delivery)
  }

  #finish(delivery: Delivery, answer: Answer): void {
    const { report, clock } = this.#settings
    this.#reply(delivery, answer)
    if (delivery.isLate) {
      report.late(outcomeOf(this.#provider.name, delivery, answer, clock.now()))
    }
    delivery.countedBy?.leave()
  }

  #reply(delivery: Delivery, answer: Answer): void {
    if (delivery.answered) return
    const { report, clock } = this.#settings
    const { request } = delivery
    delivery.answered = true
    this.#deadlines.leave(delivery)
    const closes = this.#closing.hasBegun && canClose(request)
    const reply = new DeliveryReply(this.#provider.name, delivery, answer, clock.now(), closes)
    // Before anything more happens to the delivery: what comes late isn't what was answered.
    if (report.concerns(answer)) report(reply.outcome)
    const { body, headers } = request
    const drained = isStream(body) ? abandonBody(body, headers, closes) : undefined
    // A sender that is late as it is doesn't wait for its own upload.
    const waits = drained !== undefined && answer.code !== 'RINGHOOK_BODY_TIMEOUT'
    delivery.resolve?.(waits ? drained.then(() => reply) : reply)
  }

  /** Runs in no request's async context, so that of the delivery is entered for what it reports. */
  #onDue(delivery: Delivery): void {
    delivery.isLate = delivery.phase === 'handler' || delivery.phase === 'claim'
    const answer = answerAtDeadline(delivery, this.#settings.leaseMs)
    delivery.inContext(() => this.#reply(delivery, answer))
  }

  /** Answers 503 to every delivery that has no claim yet, and starts no handler any more. */
  refuse(): void {
    const answer = answerFor('RINGHOOK_SHUTTING_DOWN')
    this.executor.close()
    for (const delivery of this.#deadlines.entries()) {
      if (!this.active.dropUnclaimed(delivery)) continue
      detached(() => delivery.inContext(() => this.#reply(delivery, answer)))
    }
  }
}

/** From HTTP/2 on there is no such header. */
function canClose({ httpVersionMajor = 1 }: CheckedRequest): boolean {
  return httpVersionMajor < 2
}

/** The `secret` function failed; or what it returned can't be a secret, and its error says why. */
function secretUnavailable(error: unknown): Answer {
  const isUnfit = error instanceof RinghookError && error.code.startsWith('RINGHOOK_SECRET_')
  if (!isUnfit) return answerFor('RINGHOOK_SECRET_UNAVAILABLE', { error })
  const reason = 'the secret function returned something that cannot be a secret'
  return answerFor('RINGHOOK_SECRET_UNAVAILABLE', { error, reason })
}

/** A mistake of the program's is logged with what it is. */
function unread({ body, bodyMistake }: CheckedRequest, code: DeliveryCode): Answer {
  const isMistake = code === 'RINGHOOK_BODY_ALREADY_READ' || code === 'RINGHOOK_REQUEST_INVALID'
  return answerFor(code, isMistake ? { reason: (bodyMistake ?? whyUnreadable(body)).reason } : {})
}

function internalError(error: unknown): Answer {
  return answerFor('RINGHOOK_INTERNAL_ERROR', { error })
}
