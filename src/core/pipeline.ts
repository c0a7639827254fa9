import { types } from 'node:util'
import type { Provider } from '../providers/provider.ts'
import type { Forgotten } from '../stores/store.ts'
import { ActiveDeliveries } from './active-deliveries.ts'
import { captureContext, type InContext } from './async-context.ts'
import { authenticate } from './authentication/authenticate.ts'
import { isShared, type Keyring, secretShared } from './authentication/keyring.ts'
import { checkTenant } from './authentication/tenant.ts'
import { checkOptions, optionInvalid, wholeNumber } from './checks.ts'
import { TimeoutQueue } from './clock.ts'
import { type CloseOptions, type CloseReport, Closing, type ClosingSteps } from './closing.ts'
import { answerAtDeadline, type Delivery, outcomeOf } from './delivery.ts'
import { type DeliveryCode, RinghookError } from './errors.ts'
import { checkFreshness } from './event/freshness.ts'
import { ignorer } from './event/ignored-events.ts'
import { keyOfBody, type ReadEvent, readEvent, routeEvent } from './event/read-event.ts'
import { Executor } from './execution/executor.ts'
import type { Consumer } from './inbox/dispatcher.ts'
import { Enqueuer } from './inbox/enqueue.ts'
import { type InboxAdmin, ReceiverInboxAdmin } from './inbox/inbox-admin.ts'
import { noInbox } from './inbox/inbox-checks.ts'
import { InboxConsumer } from './inbox/inbox-consumer.ts'
import { concurrencyBounds } from './inbox/inbox-worker.ts'
import { ReceiverWorker } from './inbox/receiver-worker.ts'
import type { UncheckedOptions } from './options/option-checks.ts'
import { compileSettings, type Settings } from './options/settings.ts'
import { type Answer, answerFor } from './outcome/answers.ts'
import type { DeliveryOutcome } from './outcome/outcome.ts'
import { DeliveryReply } from './outcome/reply.ts'
import type { EventStatus, Receiver, StartOptions, TenantOption } from './receiver.ts'
import { isMountedAsHandler, refuseCall } from './request/adapter-mismatch.ts'
import { abandonBody, refuseBody } from './request/body.ts'
import type { Reply, RequestLike } from './request/http.ts'
import { type CheckedRequest, checkedRequest } from './request/request.ts'
import { isStream, whyUnreadable } from './request/request-body.ts'
import { isThenable } from './thenable.ts'

/**
 * Registered, so that another copy of ringhook finds it: a test that is an ES module, and an
 * application in CommonJS. The number rises when what is behind it changes.
 */
const internals: unique symbol = Symbol.for('ringhook.receiver.1')

interface Internals {
  readonly settings: Settings
  /** Whether a worker in this process runs its deliveries. */
  readonly hasWorker: boolean
  /** Creates what runs its deliveries in a worker. */
  consumer(): Consumer
}

/** What the testing kit has to know of a receiver. `undefined` for what no ringhook of this kind has made. */
export function internalsOf(receiver: Receiver): Internals | undefined {
  return (receiver as { readonly [internals]?: Internals })[internals]
}

/** What a receiver was built with. For the testing kit, which signs and stamps what it delivers. */
export function settingsOf(receiver: Receiver): Settings | undefined {
  return internalsOf(receiver)?.settings
}

/** A receiver: the steps that a delivery takes, in the order that keeps the unauthentic out. */
export class Pipeline<P extends Provider> implements Receiver<P> {
  readonly provider: P
  readonly #settings: Settings
  readonly #runs: Executor
  readonly #deadlines: TimeoutQueue
  readonly #ignore: (read: ReadEvent) => Answer
  readonly #active = new ActiveDeliveries()
  readonly #intake: Enqueuer | undefined
  readonly #worker: ReceiverWorker | undefined
  readonly #desk: InboxAdmin | undefined
  readonly #closing: Closing

  constructor(provider: P, options: UncheckedOptions) {
    this.provider = provider
    this.#settings = compileSettings(provider, options)
    this.#runs = new Executor(this.#settings)
    this.#ignore = ignorer(provider.name, this.#settings.report.logger)
    this.#deadlines = new TimeoutQueue(this.#settings.clock, this.#settings.ackDeadlineMs)
    const { inbox, clock } = this.#settings
    if (inbox !== undefined) {
      const id = { provider: provider.name, namespace: this.#settings.namespace }
      this.#worker = new ReceiverWorker(inbox, id, () => this.#consumer())
      this.#intake = new Enqueuer(provider, this.#settings, inbox)
      this.#desk = new ReceiverInboxAdmin(inbox, clock)
    }
    this.#closing = new Closing(clock, this.#closingSteps())
    // They work without the receiver in front of them: `const { receive } = receiver`.
    this.receive = this.receive.bind(this)
    this.forget = this.forget.bind(this)
    this.status = this.status.bind(this)
    this.start = this.start.bind(this)
    this.idle = this.idle.bind(this)
    this.close = this.close.bind(this)
  }

  get [internals](): Internals {
    return {
      settings: this.#settings,
      hasWorker: this.#worker?.isRunning === true,
      consumer: () => this.#consumer(),
    }
  }

  /** @param others - What a framework passes beside its request, where this was mounted as a handler. */
  receive(request: RequestLike, ...others: readonly unknown[]): Promise<Reply> {
    if (isMountedAsHandler(request, others[0])) return this.#refuseCall(request, ...others)
    const receivedAtMs = this.#settings.clock.now()
    const delivery: Delivery = {
      request: checkedRequest(request),
      receivedAtMs,
      beganAtMs: receivedAtMs,
      deadlineMs: receivedAtMs + this.#settings.ackDeadlineMs,
      phase: 'body',
      answered: false,
      countedBy: this.#active.underWay,
      // Every property from the start: an object that grows is copied several times.
      deadline: undefined,
      result: undefined,
      isLate: false,
      type: undefined,
      sentAs: undefined,
      eventId: undefined,
      tenant: undefined,
      key: undefined,
      attempt: undefined,
      fence: undefined,
      job: undefined,
    }
    this.#active.underWay.enter()
    return new Promise((resolve) => {
      const answer = (decided: Answer) => {
        if (delivery.answered) return
        delivery.answered = true
        delivery.deadline?.cancel()
        resolve(this.#reply(delivery, decided))
      }
      // The timer is shared. What is told of a delivery is told in the async context of its request.
      let inContext: InContext = (run) => run()
      // Before anything else: what comes at the very moment of the deadline comes too late.
      delivery.deadline = this.#deadlines.add(receivedAtMs, (isDue) =>
        inContext(() => {
          if (!isDue) {
            if (this.#active.dropUnclaimed(delivery)) answer(answerFor('RINGHOOK_SHUTTING_DOWN'))
            return
          }
          delivery.isLate = delivery.phase === 'handler' || delivery.phase === 'claim'
          answer(answerAtDeadline(delivery, this.#settings.leaseMs))
        }),
      )
      const finish = (decided: Answer) => {
        answer(decided)
        if (delivery.isLate) this.#settings.report.late(this.#outcome(delivery, decided))
        delivery.countedBy?.leave()
      }
      const given = this.#begin(delivery)
      if (!isThenable(given)) {
        finish(given)
        return
      }
      inContext = captureContext()
      given.then(finish, (error: unknown) => finish(internalError(error)))
    })
  }

  async forget(eventId: string, options: TenantOption = {}): Promise<Forgotten> {
    const tenant = tenantIn('receiver.forget()', options)
    return await this.#runs.forget(this.#keyOfId(eventId, tenant), this.#settings.inbox)
  }

  async status(event: string | Uint8Array, options: TenantOption = {}): Promise<EventStatus> {
    const tenant = tenantIn('receiver.status()', options)
    const key =
      typeof event === 'string' ? this.#keyOfId(event, tenant) : this.#keyOfBody(event, tenant)
    return key === undefined ? 'unknown' : await this.#runs.status(key)
  }

  get inbox(): InboxAdmin {
    if (this.#desk === undefined) throw noInbox('receiver.inbox')
    return this.#desk
  }

  async start(options: StartOptions = {}): Promise<void> {
    checkOptions('receiver.start()', options, ['concurrency'])
    if (this.#worker === undefined) throw noInbox('receiver.start()')
    if (this.#closing.hasBegun) {
      throw new RinghookError(
        'RINGHOOK_SHUTTING_DOWN',
        'The receiver was closed, and cannot be started again. Make a new one.',
      )
    }
    await this.#worker.start(wholeNumber('concurrency', options.concurrency, concurrencyBounds))
  }

  idle(): Promise<void> {
    return this.#active.idle()
  }

  close(options: CloseOptions = {}): Promise<CloseReport> {
    return this.#closing.close(options)
  }

  /** It is no adapter: what it resolves to here is what the framework is to get back. */
  #refuseCall(...given: readonly unknown[]): Promise<Reply> {
    return refuseCall(this, 'receiver.receive()', given) as Promise<Reply>
  }

  #begin(delivery: Delivery): Answer | Promise<Answer> {
    try {
      return this.#receive(delivery)
    } catch (error) {
      return internalError(error)
    }
  }

  /** From the socket to an authentic body: the steps that run before anything is believed. */
  #receive(delivery: Delivery): Answer | Promise<Answer> {
    const { request } = delivery
    if (request.mistake !== undefined) return answerFor(request.mistake.code, request.mistake)
    if (this.#closing.isRefusing) return answerFor('RINGHOOK_SHUTTING_DOWN')
    if (request.method !== 'POST') return answerFor('RINGHOOK_METHOD_NOT_ALLOWED')
    const reason = this.#settings.whyNotAllowed?.(request)
    if (reason !== undefined) return answerFor('RINGHOOK_IP_NOT_ALLOWED', { reason })
    const unfit = refuseBody(request.headers, this.#settings.maxBodyBytes)
    if (unfit !== undefined) return answerFor(unfit)

    const reading = this.#settings.readBody(request, delivery.receivedAtMs)
    if (reading instanceof Promise) return reading.then((body) => this.#find(delivery, body))
    return this.#find(delivery, reading)
  }

  /** From the body's bytes to the secrets that it may be signed with. */
  #find(delivery: Delivery, body: Uint8Array | DeliveryCode): Answer | Promise<Answer> {
    if (typeof body === 'string') return unread(delivery.request, body)
    if (delivery.answered) return answerFor('RINGHOOK_BODY_TIMEOUT')

    delivery.phase = 'secret'
    const keyring = this.#settings.keysFor(delivery.request)
    if (!isThenable(keyring)) return this.#verify(delivery, body, keyring)
    return keyring.then((late) => {
      // The sender was told to come again: nothing may begin for it now.
      if (delivery.answered) return answerFor('RINGHOOK_SECRET_UNAVAILABLE')
      return this.#verify(delivery, body, late)
    }, secretUnavailable)
  }

  #verify(delivery: Delivery, body: Uint8Array, keyring: Keyring): Answer | Promise<Answer> {
    const verified = authenticate(this.#settings, delivery.request, body, keyring.keys)
    if ('reason' in verified) return answerFor('RINGHOOK_NOT_AUTHENTIC', verified)
    const { keyIndex } = verified
    if (keyring.tenants !== undefined && keyIndex !== undefined) {
      if (isShared(keyring, keyIndex)) return secretUnavailable(secretShared())
      delivery.tenant = keyring.tenants[keyIndex]
    }
    return this.#take(delivery, body)
  }

  /** From an authentic body to the answer: by way of the inbox, where there is one. */
  #take(delivery: Delivery, body: Uint8Array): Answer | Promise<Answer> {
    const { headers } = delivery.request
    const read = readEvent(this.provider, this.#settings, body, headers)
    if ('outcome' in read) return read
    delivery.type = read.type
    delivery.sentAs = read.sentAs
    delivery.eventId = read.eventId

    if (this.provider.signedTimestamp) {
      const now = this.#settings.clock.now()
      const stale = checkFreshness(read.sent, read.timestamp, now, this.#settings)
      if (stale !== undefined) return answerFor(stale.code, stale)
    }
    const { handler } = read
    if (handler === undefined) return this.#ignore(read)
    if (read.oddId !== undefined && this.#settings.ownId === undefined) {
      this.#settings.report.idUnusable(this.provider.name, read.sentAs, read.oddId)
    }

    const routed = routeEvent(this.provider, this.#settings, read, handler, body, delivery.tenant)
    const isRouted = 'event' in routed
    if (isRouted) {
      delivery.eventId = routed.event.id
      delivery.key = routed.key
    } else if (!this.#keeps(routed)) {
      return routed
    }
    // Between the body's first byte and here the receiver may have been closed.
    if (this.#closing.isRefusing) return answerFor('RINGHOOK_SHUTTING_DOWN')
    if (this.#intake !== undefined) {
      return this.#intake.put(delivery, read, body, isRouted ? routed : undefined)
    }
    return isRouted ? this.#runs.run(delivery, routed) : routed
  }

  /** What fails its schema is kept. Where the user's own function failed it is not known which event it is. */
  #keeps({ outcome }: Answer): boolean {
    const { invalidEvents } = this.#settings
    return this.#intake !== undefined && invalidEvents === 'acknowledge' && outcome === 'invalid'
  }

  #keyOfId(eventId: string, tenant: string | undefined): string {
    if (typeof eventId === 'string' && eventId !== '') return this.#settings.keyOf(eventId, tenant)
    throw optionInvalid('eventId is no text.', 'Give the id of an event, as onOutcome has it.')
  }

  #keyOfBody(body: Uint8Array, tenant: string | undefined): string | undefined {
    if (types.isUint8Array(body)) return keyOfBody(this.provider, this.#settings, body, tenant)
    throw optionInvalid(
      'receiver.status() was given neither text nor bytes.',
      'Give the id of an event, as onOutcome has it, or the body of a delivery.',
    )
  }

  #reply(delivery: Delivery, answer: Answer): Reply | Promise<Reply> {
    const { report, clock } = this.#settings
    const closes = this.#closing.hasBegun && canClose(delivery.request)
    const reply = new DeliveryReply(this.provider.name, delivery, answer, clock.now(), closes)
    // Before anything more becomes of the delivery: what came late is not what was answered.
    if (report.concerns(answer)) report(reply.outcome)
    const { body, headers } = delivery.request
    if (!isStream(body)) return reply
    const drained = abandonBody(body, headers, closes)
    // Not for a sender that is late as it is.
    if (drained === undefined || answer.code === 'RINGHOOK_BODY_TIMEOUT') return reply
    return drained.then(() => reply)
  }

  #outcome(delivery: Delivery, answer: Answer): DeliveryOutcome {
    return outcomeOf(this.provider.name, delivery, answer, this.#settings.clock.now())
  }

  #consumer(): Consumer {
    const { underWay } = this.#active
    return new InboxConsumer(this.provider, this.#settings, this.#runs, underWay, this.#closing)
  }

  #closingSteps(): ClosingSteps {
    return {
      stopWorker: (drainMs) => this.#worker?.stop(drainMs),
      refuse: () => {
        this.#runs.close()
        this.#deadlines.interrupt()
      },
      idle: () => this.#active.drained(),
      running: () => this.#active.underWay.count,
      abort: () => {
        this.#worker?.abort()
        if (this.#active.underWay.count === 0) return
        this.#runs.abortAll(
          new RinghookError(
            'RINGHOOK_SHUTTING_DOWN',
            'The receiver was closed and drainMs is over. Stop; the event runs again when its lease has run out.',
          ),
        )
      },
    }
  }
}

/** From HTTP/2 on there is no such header. */
function canClose({ httpVersionMajor = 1 }: CheckedRequest): boolean {
  return httpVersionMajor < 2
}

function tenantIn(where: string, options: TenantOption): string | undefined {
  checkOptions(where, options, ['tenant'])
  checkTenant(options.tenant)
  return options.tenant
}

/** The `secret` function failed; or what it returned cannot be a secret, and its error says why. */
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
