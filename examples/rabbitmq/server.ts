import { once } from 'node:events'
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib'
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

/** A channel on which a message is sent when the broker has confirmed it, and not before. */
export interface Sender {
  readonly channel: ConfirmChannel
  /** `waitMs` is for the retry queue: how long a message stays there. */
  send(queue: string, delivery: QueuedDelivery, waitMs?: number): Promise<void>
}

/** Connects, and does so again whenever the connection is lost. `use` gets the channel of each. */
export async function openConnection(
  url: string,
  queue: string,
  use: (sender: Sender) => void | Promise<void>,
) {
  const setup = async (model: ChannelModel) => use(await openSender(model, queue))
  const recovery = { initialMaxRetries: 0, maxDelay: 5_000, setup }
  const connection = await connect(url, { timeout: 5_000, recovery }).catch((cause: Error) => {
    const remedy = 'Start it, or set RABBITMQ_URL to where it is.'
    throw new UsageError(`RabbitMQ cannot be used: ${cause.message}. ${remedy}`, { cause })
  })
  for (const event of ['error', 'disconnect', 'connect-failed']) {
    connection.on(event, (error: Error) => console.error(`RabbitMQ: ${error.message}`))
  }
  return connection
}

async function openSender(model: ChannelModel, queue: string): Promise<Sender> {
  const channel = await model.createConfirmChannel()
  channel.on('error', (error) => console.error(`RabbitMQ: ${error.message}`))
  // Whatever closed it: the connection that follows has a new one.
  channel.on('close', () => void model.close().catch(() => {}))
  await declareQueues(channel, queue)

  const returned = new Set<string>()
  channel.on('return', ({ properties }) => returned.add(properties.messageId))

  function send(target: string, { id, headers, body }: QueuedDelivery, waitMs?: number) {
    return new Promise<void>((resolve, reject) => {
      const options = { persistent: true, mandatory: true, messageId: id, headers }
      const expiration = waitMs === undefined ? {} : { expiration: waitMs }
      channel.sendToQueue(target, Buffer.from(body), { ...options, ...expiration }, (error) => {
        clearTimeout(late)
        // What no queue takes is returned, and confirmed all the same.
        const isReturned = returned.delete(id)
        if (error) reject(new Error('RabbitMQ did not take the message.', { cause: error }))
        else if (isReturned) reject(new Error(`RabbitMQ has no queue ${target}.`))
        else resolve()
      })
      const late = setTimeout(reject, confirmMs, new Error('RabbitMQ did not confirm in time.'))
    })
  }
  return { channel, send }
}

/** Where messages wait that are tried again. They go back when their time is over. */
export const retryQueueOf = (queue: string) => `${queue}.retry`
/** Where messages end that nobody could handle. */
export const deadQueueOf = (queue: string) => `${queue}.dead`

async function declareQueues(channel: ConfirmChannel, queue: string): Promise<void> {
  await channel.assertQueue(deadQueueOf(queue), { durable: true, arguments: quorum })
  await channel.assertQueue(queue, {
    durable: true,
    // A message that kills its consumer comes back this often.
    arguments: { ...quorum, ...deadLettersTo(deadQueueOf(queue)), 'x-delivery-limit': 20 },
  })
  await channel.assertQueue(retryQueueOf(queue), {
    durable: true,
    arguments: { ...quorum, ...deadLettersTo(queue) },
  })
}

const quorum = { 'x-queue-type': 'quorum' }

/** Without the strategy a message can be lost on its way from one queue to the other. */
function deadLettersTo(queue: string) {
  return {
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': queue,
    'x-dead-letter-strategy': 'at-least-once',
    'x-overflow': 'reject-publish',
  }
}

export interface ServeOptions extends PublishingOptions {
  readonly port: number
  readonly url: string
  readonly queue: string
}

/** Listens, until `close`. */
export async function serve({ port, url, queue, ...options }: ServeOptions) {
  let sender: Sender | undefined
  const receiver = publishingReceiver(options, async (delivery) => {
    if (sender === undefined) throw new Error('RabbitMQ is not connected.')
    // One whose connection was lost has a closed channel, and says so.
    await sender.send(queue, delivery)
  })
  const connection = await openConnection(url, queue, (opened) => {
    sender = opened
  })
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
    url: process.env['RABBITMQ_URL'] ?? 'amqp://guest:guest@127.0.0.1:5672',
    queue: process.env['RINGHOOK_QUEUE'] ?? 'krosai-webhooks',
  })
  closeOnSignals(close)
})
