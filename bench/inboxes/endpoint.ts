import { createReceiver, krosai, type Receiver } from '../../src/index.ts'
import { type HeldDelivery, secret } from '../deliveries.ts'
import type { Place } from './place.ts'

/** How many handlers run at a time. */
export const concurrency = 64

/** A receiver with the inbox that counts what it accepted and what was handled. */
export class Endpoint {
  onHandled: (count: number) => void = () => {}
  receiver: Receiver
  readonly #place: Place
  readonly #waiting = new Map<string, () => void>()
  #accepted = 0
  #handled = 0
  #onEnd: (() => void) | undefined

  constructor(place: Place) {
    this.#place = place
    this.receiver = this.#open()
  }

  async accept(delivery: HeldDelivery): Promise<void> {
    const { status, outcome } = await this.receiver.receive(delivery)
    if (outcome.outcome !== 'accepted') throw new Error(`answered ${status} ${outcome.outcome}`)
    this.#accepted++
  }

  /** Resolves when the handler has returned. */
  handledOf({ body }: HeldDelivery): Promise<void> {
    const { id } = JSON.parse(body.toString()) as { readonly id: string }
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
    })
  }

  /** Works off all that was accepted, and leaves the worker stopped. */
  async workOff(): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      this.#onEnd = resolve
    })
    await this.receiver.start({ concurrency })
    if (this.#handled < this.#accepted) await ended
    await this.close()
    this.receiver = this.#open()
  }

  async close(): Promise<void> {
    const { drained } = await this.receiver.close()
    if (!drained) throw new Error('the receiver did not drain')
  }

  #open(): Receiver {
    return createReceiver(krosai, {
      secret,
      inbox: this.#place.inbox,
      store: this.#place.store,
      on: { '*': (event) => this.#note(event.id) },
    })
  }

  #note(id: string): void {
    this.#handled++
    this.#waiting.get(id)?.()
    this.#waiting.delete(id)
    this.onHandled(this.#handled)
    if (this.#handled === this.#accepted) this.#onEnd?.()
  }
}
