import type { Inbox } from '../../inboxes/inbox.ts'
import type { Provider } from '../../providers/provider.ts'
import type { Delivery } from '../delivery.ts'
import { type DecodeSettings, keyOfInvalid } from '../event/decode.ts'
import type { WebhookEvent } from '../event/event.ts'
import type { KeyMaker } from '../event/idempotency.ts'
import { orderOf } from '../event/validation.ts'
import { type Answer, accepted, answerFor, duplicate } from '../outcome/answers.ts'
import { MissingWorkerCheck, type MissingWorkerSettings } from './missing-worker.ts'
import { type DeliveryKeeper, deliveryKeeper } from './stored-delivery.ts'

/** What an {@link Enqueuer} needs. */
export interface EnqueueSettings
  extends Pick<DecodeSettings, 'keyOf' | 'ownId'>,
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
    this.#keep = deliveryKeeper(provider, settings.namespace, settings.urlTokens)
    this.#missingWorker = new MissingWorkerCheck(provider.name, settings, inbox)
  }

  /**
   * Commits a delivery. One whose data fails its schema too, which has no event: the worker finds that
   * out again, and makes it a dead letter.
   */
  async enqueue(delivery: Delivery): Promise<Answer> {
    const orderingKey = this.#orderingKeyOf(delivery)
    if (typeof orderingKey === 'object') return orderingKey
    if (delivery.event === undefined) delivery.key = keyOfInvalid(this.#settings, delivery)
    const { key, tenant } = delivery
    const stored = this.#keep(delivery)
    const order = orderingKey === undefined ? undefined : this.#orderUnder(orderingKey, tenant)
    const options = order === undefined ? { key } : { key, order }
    delivery.phase = 'inbox'
    try {
      const put = await this.#inbox.put(stored, options).catch((error: unknown) => {
        if (delivery.answered) throw error
        // Perhaps only the connection was lost. If it was committed before, the repeat is a duplicate.
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

  /** What the event is ordered by, if by anything; or the answer if the user's function failed. */
  #orderingKeyOf({ callId, event }: Delivery): string | undefined | Answer {
    const { orderingKey } = this.#settings
    if (orderingKey === false || !this.#inbox.keepsOrder) return undefined
    if (orderingKey === undefined) return callId
    return event === undefined ? undefined : orderOf(event, orderingKey)
  }
}

function strangeAnswer(name: string): Error {
  return new Error(`${name}() answered put() with something that its contract does not know`)
}
