import { once } from 'node:events'
import {
  DiscardPolicy,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream'
import { connect, headers, type NatsConnection, nanos } from '@nats-io/transport-node'
import express from 'express'
import { webhooks } from 'ringhook/express'
import {
  closeOnSignals,
  closingTimes,
  endServer,
  portOf,
  readPort,
  runProgram,
  UsageError,
} from '../shared/program.ts'
import {
  type PublishingOptions,
  publishingReceiver,
  type QueuedDelivery,
} from '../shared/queued-deliveries.ts'

/** Less than `ackDeadlineMs`: the provider is to hear that it failed. */
const confirmMs = 5_000

/** Longer than KrosAI repeats a delivery by itself: 2 h 36 min. */
const duplicateWindowMs = 3 * 60 * 60_000

/** Connects, and does so again whenever the connection is lost. Makes the streams. */
export async function openConnection(url: string, stream: string): Promise<NatsConnection> {
  const connection = await connectTo(url)
  try {
    await declareStreams(connection, stream)
    return connection
  } catch (error) {
    await connection.close()
    throw error
  }
}

function connectTo(url: string): Promise<NatsConnection> {
  const { host, username, password } = new URL(url)
  // The client takes a name and a password beside the address only.
  const user = decodeURIComponent(username)
  const login = user === '' ? {} : { user, pass: decodeURIComponent(password) }
  return connect({ servers: host, ...login, timeout: confirmMs, maxReconnectAttempts: -1 }).catch(
    (cause: Error) => {
      const remedy = 'Start it, or set NATS_URL to where it is.'
      throw new UsageError(`NATS cannot be used: ${cause.message}. ${remedy}`, { cause })
    },
  )
}

/** Where messages end that nobody could handle. */
export const deadStreamOf = (stream: string) => `${stream}-dead`

/** Makes the two streams unless they are there. Each has one subject, of its own name. */
async function declareStreams(connection: NatsConnection, stream: string): Promise<void> {
  const { streams } = await jetstreamManager(connection)
  await streams.add({
    name: stream,
    subjects: [stream],
    storage: StorageType.File,
    // A message stays until it is acknowledged, and where there is no room the publisher is told.
    retention: RetentionPolicy.Workqueue,
    discard: DiscardPolicy.New,
    duplicate_window: nanos(duplicateWindowMs),
  })
  const dead = deadStreamOf(stream)
  await streams.add({ name: dead, subjects: [dead], storage: StorageType.File })
}

/** Publishes a delivery. Resolves when the stream has it, also if it had it before. */
export async function publish(
  connection: NatsConnection,
  stream: string,
  { id, headers: kept, body }: QueuedDelivery,
): Promise<void> {
  const sent = headers()
  for (const [name, value] of Object.entries(kept)) sent.set(name, value)
  await jetstream(connection).publish(stream, body, {
    msgID: id,
    headers: sent,
    timeout: confirmMs,
    expect: { streamName: stream },
  })
}

export interface ServeOptions extends PublishingOptions {
  readonly port: number
  readonly url: string
  readonly stream: string
}

/** Listens, until `close`. */
export async function serve({ port, url, stream, ...options }: ServeOptions) {
  const receiver = publishingReceiver(options, (delivery) => publish(connection, stream, delivery))
  const connection = await openConnection(url, stream)
  const app = express()
  app.post('/hooks/krosai', webhooks(receiver))
  const server = app.listen(port)
  await once(server, 'listening').catch(async (error) => {
    await connection.close()
    throw error
  })
  const address = `http://localhost:${portOf(server)}/hooks/krosai`
  console.log(`Listening on ${address}`)

  async function close(): Promise<void> {
    await receiver.close(closingTimes())
    await endServer(server)
    await connection.close()
  }
  return { address, close }
}

await runProgram(import.meta.url, async () => {
  const { close } = await serve({
    port: readPort(process.env['PORT'], 3000),
    secret: process.env['KROSAI_WEBHOOK_SECRET'],
    url: process.env['NATS_URL'] ?? 'nats://127.0.0.1:4222',
    stream: process.env['RINGHOOK_STREAM'] ?? 'krosai-webhooks',
  })
  closeOnSignals(close)
})
