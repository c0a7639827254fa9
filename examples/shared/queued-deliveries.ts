import { setTimeout as sleep } from 'node:timers/promises'
import {
  createReceiver,
  type HandlerContext,
  type IdempotencyStore,
  krosai,
  type Logger,
  type Outcome,
  type Receiver,
  type RoutingTable,
} from 'ringhook'

/** A delivery on its way through a broker: what it takes to verify it once more. */
export interface QueuedDelivery {
  /** The same for every repeat of the event. */
  readonly id: string
  readonly headers: Readonly<Record<string, string>>
  /** The bytes that were signed. */
  readonly body: Uint8Array
}

/** What goes along with the bytes. */
const keptHeaders = ['content-type', krosai.signature.header]

export interface PublishingOptions {
  readonly secret: string | undefined
  readonly logger?: Logger | false
}

/** The receiver of the web process: it verifies, publishes, and answers when the broker has confirmed. */
export function publishingReceiver(
  options: PublishingOptions,
  publish: (delivery: QueuedDelivery) => Promise<void>,
): Receiver {
  return createReceiver(krosai, {
    ...options,
    // "Finished" means published here and handled there: in one store these must be two events.
    namespace: 'published',
    on: { '*': (_event, context) => publish(deliveryOf(context)) },
  })
}

function deliveryOf({ idempotencyKey, headers, rawBody }: HandlerContext): QueuedDelivery {
  return { id: idempotencyKey, headers: keptOf(headers), body: rawBody }
}

/** The headers that are kept, of those that a request or a message has. */
export function keptOf(headers: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    keptHeaders.flatMap((name) => {
      const value = headers[name]
      return typeof value === 'string' ? [[name, value]] : []
    }),
  )
}

export interface ConsumingOptions {
  readonly secret: string | undefined
  readonly on: RoutingTable<typeof krosai>
  /** One that outlives the process: messages come again, and so do deliveries. */
  readonly store: IdempotencyStore
  readonly onOutcome?: (outcome: Outcome) => void
  readonly logger?: Logger | false
  /** How long an event of a process that was killed stays with it, in ms. Default: 30 000. */
  readonly leaseMs?: number
}

/** The receiver of the consumer: the handlers, and the store that knows what has finished. */
export function consumingReceiver(options: ConsumingOptions): Receiver {
  // Nobody waits for an answer here. RabbitMQ takes a message back that is held for 30 minutes.
  return createReceiver(krosai, { ackDeadlineMs: 600_000, ...options })
}

/** What is to become of a message: forgotten, tried again later, put aside, or left to the next process. */
export type Verdict = 'done' | 'retry' | 'park' | 'leave'

export interface VerdictOptions {
  /** How often a handler may fail before its event is put aside. */
  readonly maxAttempts: number
  /** Aborts when the process is about to end. */
  readonly signal: AbortSignal
}

/** How soon a message is tried again that could not be handled now. */
const askAgainMs = 1_000

/** Takes a message through the receiver, as if the provider had sent it just now. */
export async function attemptResultFor(
  receiver: Receiver,
  { headers, body }: QueuedDelivery,
  { maxAttempts, signal }: VerdictOptions,
): Promise<Verdict> {
  for (;;) {
    const { status, outcome } = await receiver.receive({ method: 'POST', url: '/', headers, body })
    // A PermanentFailure is answered 200, so that a provider stops. Here it is wanted.
    if (status < 300) return outcome.outcome === 'failed' ? 'park' : 'done'
    if (status === 500) return (outcome.attempt ?? maxAttempts) < maxAttempts ? 'retry' : 'park'
    if (status !== 503) return 'park'
    // Another process has it, or had it and was killed; or the store is down. It is nobody's failure
    // and must not count as one, so the message stays in hand.
    if (outcome.code === 'RINGHOOK_SHUTTING_DOWN') return 'leave'
    const isOver = await sleep(askAgainMs, false, { signal }).catch(() => true)
    if (isOver) return 'leave'
  }
}
