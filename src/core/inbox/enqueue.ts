import type { Inbox } from '../../inboxes/inbox.ts'
import type { Provider } from '../../providers/provider.ts'
import type { Delivery, RoutedEvent } from '../delivery.ts'
import type { WebhookEvent } from '../event/event.ts'
import type { KeyMaker } from '../event/idempotency.ts'
import { keyOfInvalid, type ReadEvent, type ReadingSettings } from '../event/read-event.ts'
import { orderOf } from '../event/validation.ts'
import { type Answer, accepted, answerFor, duplicate } from '../outcome/answers.ts'
import { MissingWorkerCheck, type MissingWorkerSettings } from './missing-worker.ts'
import { type DeliveryKeeper, deliveryKeeper } from './stored-delivery.ts'

/** What an {@link Enqueuer} needs. */
export interface EnqueueSettings
  extends Pick<ReadingSettings, 'keyOf' | 'ownId'>,
    MissingWorkerSettings {
  readonly namespace: string
  /** Makes ordering keys. Always digests: a call's id, or what the user orders by, may be a phone number. */
  readonly orderKeyOf: KeyMaker
  readonly maxHoldMs: number
  /** What must not be kept. */
  readonly urlTokens: readonly string[]
  readonly orderingKey: ((event: WebhookEvent) => string | undefined) | false | undefined
}

/** Puts deliveries into the inbox of a receiver. */
export class Enqueuer {
  readonly #inbox: Inbox
  readonly #settings: EnqueueSettings
  readonly #keep: DeliveryKeeper
  readonly #missingWorker: MissingWorkerCheck

  constructor(provider: Provider, settings: EnqueueSettings, inbox: Inbox) {
    this.#inbox = inbox
    this.#settings = settings
    this.#keep = deliveryKeeper(provider, settings.urlTokens)
    this.#missingWorker = new MissingWorkerCheck(provider.name, settings, inbox)
  }

  /**
   * Commits a delivery. One whose data fails its schema too, as what it is: the worker finds that
   * out again, and makes it a dead letter.
   *
   * @param routed - Absent for data that fails its schema.
   */
  async put(
    delivery: Delivery,
    read: ReadEvent,
    body: Uint8Array,
    routed: RoutedEvent | undefined,
  ): Promise<Answer> {
    const { namespace } = this.#settings
    const orderingKey = this.#orderOf(read, routed)
    if (typeof orderingKey === 'object') return orderingKey
    const key = routed?.key ?? keyOfInvalid(this.#settings, read, body, delivery.tenant)
    const { type, sentAs, headersRead } = read
    const eventId = routed?.event.id ?? read.eventId
    const { request, receivedAtMs, tenant } = delivery
    const facts = { key, namespace, tenant, type, sentAs, eventId, receivedAtMs, headersRead }
    const stored = this.#keep(facts, request.headers, body)
    const order = orderingKey === undefined ? undefined : this.#orderUnder(orderingKey, tenant)
    const options = order === undefined ? { key } : { key, order }
    delivery.key = key
    delivery.phase = 'inbox'
    try {
      const put = await this.#inbox.put(stored, options).catch((error: unknown) => {
        if (delivery.answered) throw error
        // Perhaps only the connection was lost. It may have been committed before: nothing is kept twice.
        return this.#inbox.put(stored, options)
      })
      if (put === 'accepted') {
        this.#missingWorker.onEnqueued()
        return accepted
      }
      if (put === 'duplicate') return duplicate
      return answerFor('RINGHOOK_INBOX_UNAVAILABLE', { error: strangeAnswer(this.#inbox.name) })
    } catch (error) {
      return answerFor('RINGHOOK_INBOX_UNAVAILABLE', { error })
    }
  }

  #orderUnder(orderingKey: string, tenant: string | undefined) {
    const { orderKeyOf, maxHoldMs } = this.#settings
    return { key: orderKeyOf(orderingKey, tenant), maxHoldMs }
  }

  /** What the event is in order by, if it is in any; or the answer where the user's function failed. */
  #orderOf({ callId }: ReadEvent, routed: RoutedEvent | undefined): string | undefined | Answer {
    const { orderingKey } = this.#settings
    if (orderingKey === false || !this.#inbox.keepsOrder) return undefined
    if (orderingKey === undefined) return callId
    return routed === undefined ? undefined : orderOf(routed.event, orderingKey)
  }
}

function strangeAnswer(name: string): Error {
  return new Error(`${name}() answered put() with something that its contract does not know`)
}
