import type { KeyObject } from 'node:crypto'
import type { Provider } from '../providers/provider.ts'
import type { Forgotten } from '../stores/store.ts'
import { type Answer, answerFor, ignored, replyTo } from './answers.ts'
import { abandonBody, isStream, refuseBody } from './body.ts'
import { optionInvalid, type UncheckedOptions } from './checks.ts'
import { DelayQueue, longestTimer } from './clock.ts'
import { answerAtDeadline, type Delivery, outcomeOf, type RoutedEvent } from './delivery.ts'
import { RinghookError } from './errors.ts'
import { checkFreshness, parseTimestamp } from './freshness.ts'
import type { DeliveryRequest, Reply } from './http.ts'
import { bodyId } from './idempotency.ts'
import { parseJsonObject } from './json.ts'
import { printable } from './log.ts'
import type { Outcome } from './outcome.ts'
import type { CloseOptions, CloseReport, Receiver } from './receiver.ts'
import { Runs } from './runs.ts'
import { compileSettings, type Settings } from './settings.ts'
import { UnderWay } from './under-way.ts'
import { identify, validateData } from './validation.ts'

const settings = new WeakMap<Receiver, Settings>()

/** What a receiver was built with. For the testing kit, which signs and stamps what it delivers. */
export function settingsOf(receiver: Receiver): Settings | undefined {
  return settings.get(receiver)
}

/** A receiver: the steps that a delivery takes, in the order that keeps the unauthentic out. */
export class Pipeline<P extends Provider> implements Receiver<P> {
  readonly provider: P
  readonly #settings: Settings
  readonly #runs: Runs
  readonly #deadlines: DelayQueue
  readonly #unheard = new Set<string>()
  readonly #underWay = new UnderWay()
  #closing: Promise<CloseReport> | undefined

  constructor(provider: P, options: UncheckedOptions) {
    this.provider = provider
    this.#settings = compileSettings(provider, options)
    this.#runs = new Runs(this.#settings)
    this.#deadlines = new DelayQueue(this.#settings.clock, this.#settings.ackDeadlineMs)
    settings.set(this, this.#settings)
  }

  receive(request: DeliveryRequest): Promise<Reply> {
    const receivedAtMs = this.#settings.clock.now()
    const delivery: Delivery = {
      request,
      receivedAtMs,
      deadlineMs: receivedAtMs + this.#settings.ackDeadlineMs,
      phase: 'body',
      answered: false,
      // Every property from the start: an object that grows is copied several times.
      deadline: undefined,
      result: undefined,
      isLate: false,
      type: undefined,
      sentAs: undefined,
      eventId: undefined,
      key: undefined,
      attempt: undefined,
      fence: undefined,
    }
    this.#underWay.enter()
    return new Promise((resolve) => {
      const answer = (given: Answer) => {
        if (delivery.answered) return
        delivery.answered = true
        delivery.deadline?.cancel()
        resolve(this.#reply(delivery, given))
      }
      delivery.deadline = this.#deadlines.add(receivedAtMs, () => {
        delivery.isLate = delivery.phase === 'handler' || delivery.phase === 'claim'
        answer(answerAtDeadline(delivery, this.#settings.leaseMs))
      })
      const finish = (given: Answer) => {
        answer(given)
        if (delivery.isLate) this.#settings.report.late(this.#outcome(delivery, given))
        this.#underWay.leave()
      }
      void this.#receive(delivery).then(finish, (error: unknown) => {
        finish(answerFor('RINGHOOK_INTERNAL_ERROR', { error }))
      })
    })
  }

  async forget(eventId: string): Promise<Forgotten> {
    if (typeof eventId !== 'string' || eventId === '') {
      throw optionInvalid('eventId is no text.', 'Give the id of an event, as onOutcome has it.')
    }
    return await this.#runs.forget(this.#settings.keyOf(eventId))
  }

  idle(): Promise<void> {
    return this.#underWay.idle()
  }

  async close({ drainMs = 10_000 }: CloseOptions = {}): Promise<CloseReport> {
    if (!(drainMs >= 0)) {
      throw new RinghookError(
        'RINGHOOK_OPTION_INVALID',
        'drainMs is no number of milliseconds from 0. The default is 10000.',
      )
    }
    this.#closing ??= this.#drain(drainMs)
    return await this.#closing
  }

  /** From the socket to an authentic body: the steps that run before anything is believed. */
  async #receive(delivery: Delivery): Promise<Answer> {
    const { request } = delivery
    if (this.#closing !== undefined) return answerFor('RINGHOOK_SHUTTING_DOWN')
    if (request.method !== 'POST') return answerFor('RINGHOOK_METHOD_NOT_ALLOWED')
    if (this.#settings.isAllowedSender?.(request) === false)
      return answerFor('RINGHOOK_IP_NOT_ALLOWED')
    const unfit = refuseBody(request.headers, this.#settings.maxBodyBytes)
    if (unfit !== undefined) return answerFor(unfit)

    const reading = this.#settings.readBody(request, delivery.receivedAtMs)
    const body = reading instanceof Promise ? await reading : reading
    if (typeof body === 'string') return answerFor(body)
    if (delivery.answered) return answerFor('RINGHOOK_BODY_TIMEOUT')

    delivery.phase = 'secret'
    let keys = this.#settings.keysFor(request)
    if (!Array.isArray(keys)) {
      try {
        keys = await keys
      } catch (error) {
        return answerFor('RINGHOOK_SECRET_UNAVAILABLE', { error })
      }
      // The sender was told to come again: nothing may begin for it now.
      if (delivery.answered) return answerFor('RINGHOOK_SECRET_UNAVAILABLE')
    }
    const reason = this.#reasonToDoubt(request, body, keys)
    if (reason !== undefined) return answerFor('RINGHOOK_NOT_AUTHENTIC', { reason })
    const routed = this.#route(delivery, body)
    return 'outcome' in routed ? routed : await this.#runs.run(delivery, routed)
  }

  /** From an authentic body to the event and its handler, or to the answer if none is to run. */
  #route(delivery: Delivery, body: Uint8Array): RoutedEvent | Answer {
    const { headers } = delivery.request
    const json = parseJsonObject(body)
    if (typeof json === 'string') return answerFor(json)
    const { event: sentAs, id, timestamp: sent, data } = this.provider.read(json, headers)
    if (typeof sentAs !== 'string' || sentAs === '') return answerFor('RINGHOOK_EVENT_MISSING')
    const { type, schema, handler } = this.#settings.routeOf(sentAs)
    const eventId = typeof id === 'string' && id !== '' ? id : bodyId(body)
    delivery.type = type
    delivery.sentAs = sentAs
    delivery.eventId = eventId

    const timestamp = parseTimestamp(sent)
    if (this.provider.signedTimestamp) {
      const stale = checkFreshness(sent, timestamp, this.#settings.clock.now(), this.#settings)
      if (stale !== undefined) return answerFor(stale.code, stale)
    }
    if (handler === undefined) return this.#ignore(sentAs, schema === undefined)

    const validated = validateData(schema, data, this.#settings.invalidEvents)
    if (!validated.valid) return validated.answer
    const event = {
      id: eventId,
      type,
      sentAs,
      timestamp,
      data: validated.data,
      provider: this.provider.name,
    }
    const routed =
      this.#settings.ownId === undefined ? event : identify(event, body, this.#settings.ownId)
    if ('outcome' in routed) return routed
    delivery.eventId = routed.id
    delivery.key = this.#settings.keyOf(routed.id)

    // Between the body's first byte and here the receiver may have been closed.
    if (this.#closing !== undefined) return answerFor('RINGHOOK_SHUTTING_DOWN')
    return { event: routed, handler, key: delivery.key, rawBody: body }
  }

  #reasonToDoubt(
    request: DeliveryRequest,
    body: Uint8Array,
    keys: readonly KeyObject[],
  ): string | undefined {
    const { hasUrlToken, verifier } = this.#settings
    if (hasUrlToken?.(request) === false) {
      return 'its URL has no ?token= that is a urlToken. If the provider sent it: is the URL that it was given complete?'
    }
    if (verifier === undefined || verifier.verify(request.headers, body, keys)) return undefined
    return verifier.explain(request.headers)
  }

  #ignore(sentAs: string, undocumented: boolean): Answer {
    if (!undocumented) return ignored
    if (this.#unheard.size < 100 && !this.#unheard.has(sentAs)) {
      this.#unheard.add(sentAs)
      this.#settings.report.logger.warn(
        `ringhook ${this.provider.name}: "${printable(sentAs)}" is no documented event and was ignored. To receive it add its schema to events, or a "*" handler.`,
      )
    }
    return { ...ignored, undocumented: true }
  }

  #reply(delivery: Delivery, answer: Answer): Reply | Promise<Reply> {
    const outcome = this.#outcome(delivery, answer)
    this.#settings.report(outcome)
    const reply = replyTo(answer, outcome)
    const { body, headers } = delivery.request
    if (!isStream(body)) return reply
    const drained = abandonBody(body, headers)
    // Not for a sender that is late as it is.
    if (drained === undefined || answer.code === 'RINGHOOK_BODY_TIMEOUT') return reply
    return drained.then(() => reply)
  }

  #outcome(delivery: Delivery, answer: Answer): Outcome {
    return outcomeOf(this.provider.name, delivery, answer, this.#settings.clock.now())
  }

  async #drain(drainMs: number): Promise<CloseReport> {
    this.#runs.close()
    const { clock } = this.#settings
    let timer: unknown
    const drainIsOver = new Promise<void>((resolve) => {
      timer = clock.setTimeout(resolve, Math.min(drainMs, longestTimer))
    })
    await Promise.race([this.idle(), drainIsOver])
    clock.clearTimeout(timer)
    const running = this.#underWay.count
    if (running > 0) {
      this.#runs.abortAll(
        new RinghookError(
          'RINGHOOK_SHUTTING_DOWN',
          'The receiver was closed and drainMs is over. Stop; the event runs again when its lease has run out.',
        ),
      )
    }
    return { drained: running === 0, running }
  }
}
