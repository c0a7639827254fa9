import type { AsyncLocalStorage } from 'node:async_hooks'
import type { DeliveryRequest, Receiver } from 'ringhook'
import { deliveryHeader } from './endpoint.ts'
import type { Journal } from './journal.ts'

/** Where the lines of a receiver go, and whose they are. */
export interface Observation {
  readonly journal: Journal
  readonly worker: string
  /** Holds the delivery while it is received. */
  readonly deliveries: AsyncLocalStorage<string>
}

/** The receiver, with a line in the journal before the first byte of every answer. */
export function observed(inner: Receiver, { journal, worker, deliveries }: Observation): Receiver {
  return {
    provider: inner.provider,
    get inbox() {
      return inner.inbox
    },
    start: (options) => inner.start(options),
    idle: () => inner.idle(),
    close: (options) => inner.close(options),
    forget: (event) => inner.forget(event),
    status: (eventId) => inner.status(eventId),
    statusOfBody: (rawBody) => inner.statusOfBody(rawBody),
    async receive(request: DeliveryRequest) {
      const delivery = String(request.headers[deliveryHeader])
      const reply = await deliveries.run(delivery, () => inner.receive(request))
      const { status, outcome, code, idempotencyKey, completionLost, bodyChanged } = reply.outcome
      await journal.append({
        kind: 'answering',
        worker,
        delivery,
        status,
        outcome,
        ...(code !== undefined && { code }),
        ...(idempotencyKey !== undefined && { key: idempotencyKey }),
        ...(completionLost !== undefined && { completionLost }),
        ...(bodyChanged !== undefined && { bodyChanged }),
      })
      return reply
    },
  }
}
