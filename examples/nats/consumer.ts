import { fileURLToPath } from 'node:url'
import { AckPolicy, type JsMsg, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { nanos } from '@nats-io/transport-node'
import { CallLog, callLogHandlers } from '../shared/call-log.ts'
import { openEventStore } from '../shared/event-store.ts'
import { closeOnSignals, runProgram } from '../shared/program.ts'
import {
  attemptResultFor,
  type ConsumingOptions,
  consumingReceiver,
  keptOf,
  type QueuedDelivery,
} from '../shared/queued-deliveries.ts'
import { deadStreamOf, openConnection, publish } from './server.ts'

/** A message that kills its consumer comes back this often. */
const maxDeliveries = 20

export interface ConsumeOptions extends ConsumingOptions {
  readonly url: string
  readonly stream: string
  /** How many events all consumers together handle at a time. Default: 100. */
  readonly maxAckPending?: number
  /** How often a handler may fail. Default: 5. */
  readonly maxAttempts?: number
  /** How long after a failure an event is tried again, in ms. Default: 30 000. */
  readonly retryMs?: number
  /** How long after the end of a process that was killed its messages come again, in ms. Default: 30 000. */
  readonly ackWaitMs?: number
}

/** Handles what is in the stream, until `close`. */
export async function consume({
  url,
  stream,
  maxAckPending = 100,
  maxAttempts = 5,
  retryMs = 30_000,
  ackWaitMs = 30_000,
  ...options
}: ConsumeOptions) {
  const receiver = consumingReceiver(options)
  const ending = new AbortController()
  const inHand = new Set<Promise<void>>()
  const connection = await openConnection(url, stream)
  const { consumers } = await jetstreamManager(connection)
  await consumers.add(stream, {
    durable_name: 'ringhook',
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ackWaitMs),
    max_ack_pending: maxAckPending,
    // JetStream would only stop to deliver it. Putting it aside is up to us.
    max_deliver: -1,
  })
  const consumer = await jetstream(connection).consumers.get(stream, 'ringhook')
  const messages = await consumer.consume({ callback: hold })
  // A process that consumes no more must not look as if it did: this ends it.
  void messages.closed().then((error) => {
    if (error) throw error
  })

  function hold(message: JsMsg): void {
    // As long as it is in hand it is not delivered to anybody else, however slow the handler is.
    const beat = setInterval(() => {
      if (!connection.isDraining() && !connection.isClosed()) message.working()
    }, ackWaitMs / 3)
    const settling = settle(message)
      // Without its beat it comes again when ackWaitMs is over.
      .catch((error: unknown) => console.error(`NATS: ${String(error)}`))
      .finally(() => clearInterval(beat))
    inHand.add(settling)
    void settling.then(() => inHand.delete(settling))
  }

  async function settle(message: JsMsg): Promise<void> {
    const delivery = deliveryIn(message)
    const { signal } = ending
    const isHopeless = message.info.deliveryCount > maxDeliveries
    const verdict = isHopeless
      ? 'park'
      : await attemptResultFor(receiver, delivery, { maxAttempts, signal })
    if (verdict === 'park') await publish(connection, deadStreamOf(stream), delivery)
    if (verdict === 'done' || verdict === 'park') await message.ackAck()
    if (verdict === 'retry') message.nak(retryMs)
    if (verdict === 'leave') message.nak()
  }

  /** Lets handlers finish. What is still in hand then is delivered again. */
  async function close(): Promise<void> {
    await messages.close()
    ending.abort()
    const { drained } = await receiver.close({ drainMs: 10_000 })
    if (drained) await Promise.all(inHand)
    if (!connection.isClosed()) await connection.drain()
  }
  return { close }
}

function deliveryIn({ data, headers }: JsMsg): QueuedDelivery {
  const found = (headers?.keys() ?? []).map((name) => [name, headers?.get(name)])
  return {
    id: headers?.get('Nats-Msg-Id') ?? '',
    headers: keptOf(Object.fromEntries(found)),
    body: data,
  }
}

export interface ServeOptions extends Omit<ConsumeOptions, 'store' | 'on'> {
  /** A SQLite file: events that are finished stay so when the process ends. */
  readonly file: string
  readonly log?: CallLog
}

/** Consumes into a log of calls, until `close`. */
export async function serve({ file, log = new CallLog(), ...options }: ServeOptions) {
  const events = openEventStore(file)
  process.once('exit', events.close)
  await events.store.migrate()
  const consumer = await consume({ ...options, store: events.store, on: callLogHandlers(log) })
  console.log(`Consuming ${options.stream}`)
  return consumer
}

await runProgram(import.meta.url, async () => {
  const { close } = await serve({
    url: process.env['NATS_URL'] ?? 'nats://127.0.0.1:4222',
    stream: process.env['RINGHOOK_STREAM'] ?? 'krosai-webhooks',
    secret: process.env['KROSAI_WEBHOOK_SECRET'],
    file: process.env['RINGHOOK_DB'] ?? fileURLToPath(new URL('ringhook.db', import.meta.url)),
    onOutcome: ({ type, eventId, outcome }) => console.log(`${type} ${eventId}: ${outcome}`),
  })
  closeOnSignals(close)
})
