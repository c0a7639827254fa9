import { fileURLToPath } from 'node:url'
import type { ConsumeMessage } from 'amqplib'
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
import { openConnection, retryQueueOf, type Sender } from './server.ts'

export interface ConsumeOptions extends ConsumingOptions {
  readonly url: string
  readonly queue: string
  /** How many events this process handles at a time. Default: 10. */
  readonly prefetch?: number
  /** How often a handler may fail. Default: 5. */
  readonly maxAttempts?: number
  /** How long after a failure an event is tried again, in ms. Default: 30 000. */
  readonly retryMs?: number
}

/** Handles what is in the queue, until `close`. */
export async function consume({
  url,
  queue,
  prefetch = 10,
  maxAttempts = 5,
  retryMs = 30_000,
  ...options
}: ConsumeOptions) {
  const receiver = consumingReceiver(options)
  const ending = new AbortController()
  const inHand = new Set<Promise<void>>()
  let stopConsuming = async () => {}
  let untilAcked = async () => {}

  const connection = await openConnection(url, queue, async (sender) => {
    const { channel } = sender
    await channel.prefetch(prefetch)
    const { consumerTag } = await channel.consume(queue, (message) => {
      // The queue was deleted. The connection that follows declares it again.
      if (message === null) return void channel.close().catch(() => {})
      const settling = settle(message, sender).catch((error: unknown) => {
        // The channel was closed: RabbitMQ has the message again, and will deliver it.
        console.error(`RabbitMQ: ${String(error)}`)
      })
      inHand.add(settling)
      void settling.then(() => inHand.delete(settling))
    })
    stopConsuming = async () => void (await channel.cancel(consumerTag))
    // An answer on the same channel: what was said on it before has arrived.
    untilAcked = async () => void (await channel.checkQueue(queue))
  })

  async function settle(message: ConsumeMessage, { channel, send }: Sender): Promise<void> {
    const delivery = deliveryIn(message)
    const { signal } = ending
    const verdict = await attemptResultFor(receiver, delivery, { maxAttempts, signal })
    if (verdict === 'done') channel.ack(message)
    // To the dead letters, by the queue's own settings.
    if (verdict === 'park') channel.nack(message, false, false)
    if (verdict !== 'retry') return
    // Ended in between, there are two messages; the store knows that it is one event.
    await send(retryQueueOf(queue), delivery, retryMs).then(
      () => channel.ack(message),
      () => channel.nack(message),
    )
  }

  /** Lets handlers finish. What is still in hand then goes back to the queue. */
  async function close(): Promise<void> {
    await stopConsuming().catch(() => {})
    ending.abort()
    const { drained } = await receiver.close({ drainMs: 10_000 })
    if (drained) await Promise.all(inHand)
    await untilAcked().catch(() => {})
    await connection.close()
  }
  return { close }
}

function deliveryIn({ content, properties }: ConsumeMessage): QueuedDelivery {
  return { id: properties.messageId, headers: keptOf(properties.headers ?? {}), body: content }
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
  console.log(`Consuming ${options.queue}`)
  return consumer
}

await runProgram(import.meta.url, async () => {
  const { close } = await serve({
    url: process.env['RABBITMQ_URL'] ?? 'amqp://guest:guest@127.0.0.1:5672',
    queue: process.env['RINGHOOK_QUEUE'] ?? 'krosai-webhooks',
    secret: process.env['KROSAI_WEBHOOK_SECRET'],
    file: process.env['RINGHOOK_DB'] ?? fileURLToPath(new URL('ringhook.db', import.meta.url)),
    onOutcome: ({ type, eventId, outcome }) => console.log(`${type} ${eventId}: ${outcome}`),
  })
  closeOnSignals(close)
})
