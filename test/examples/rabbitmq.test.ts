import { type Channel, connect } from 'amqplib'
import { consume } from '../../examples/rabbitmq/consumer.ts'
import { deadQueueOf, retryQueueOf, serve } from '../../examples/rabbitmq/server.ts'
import { keptOf, type QueuedDelivery } from '../../examples/shared/queued-deliveries.ts'
import { describeOn } from '../helpers/servers.ts'
import type { Broker } from './broker.ts'
import { consumesSafely } from './broker-consumer-suite.ts'
import { publishesSafely } from './broker-web-suite.ts'

describeOn('rabbitmq', 'the RabbitMQ example', (url) => {
  const broker: Broker = {
    name: 'rabbitmq',
    url,
    serve: ({ place, ...options }) => serve({ ...options, queue: place }),
    consume: ({ place, ackWaitMs: _, ...options }) => consume({ ...options, queue: place }),
    read: (place, where) =>
      withChannel(url, async (channel) => {
        const queues = where === 'dead' ? [deadQueueOf(place)] : [place, retryQueueOf(place)]
        const lists: QueuedDelivery[][] = []
        for (const queue of queues) lists.push(await messagesIn(channel, queue))
        return lists.flat()
      }),
    remove: (place) =>
      withChannel(url, async (channel) => {
        for (const queue of [place, retryQueueOf(place), deadQueueOf(place)]) {
          await channel.deleteQueue(queue)
        }
      }),
  }

  publishesSafely(broker)
  consumesSafely(broker)
})

async function messagesIn(channel: Channel, queue: string): Promise<QueuedDelivery[]> {
  const found: QueuedDelivery[] = []
  for (;;) {
    const message = await channel.get(queue, { noAck: true })
    if (message === false) return found
    const { content, properties } = message
    const headers = keptOf(properties.headers ?? {})
    found.push({ id: properties.messageId, headers, body: content })
  }
}

async function withChannel<Value>(
  url: string,
  use: (channel: Channel) => Promise<Value>,
): Promise<Value> {
  const connection = await connect(url)
  try {
    return await use(await connection.createChannel())
  } finally {
    await connection.close()
  }
}
