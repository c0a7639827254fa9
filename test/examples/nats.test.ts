import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { consume } from '../../examples/nats/consumer.ts'
import { deadStreamOf, serve } from '../../examples/nats/server.ts'
import { keptOf, type QueuedDelivery } from '../../examples/shared/queued-deliveries.ts'
import { describeOn } from '../helpers/servers.ts'
import type { Broker } from './broker.ts'
import { consumesSafely } from './broker-consumer-suite.ts'
import { publishesSafely } from './broker-web-suite.ts'

describeOn('nats', 'the NATS example', (url) => {
  const broker: Broker = {
    name: 'nats',
    url,
    serve: ({ place, ...options }) => serve({ ...options, stream: place }),
    consume: ({ place, ...options }) => consume({ ...options, stream: place }),
    read: (place, where) =>
      withManager(url, (manager) =>
        messagesIn(manager, where === 'dead' ? deadStreamOf(place) : place),
      ),
    remove: (place) =>
      withManager(url, async ({ streams }) => {
        for (const stream of [place, deadStreamOf(place)]) {
          // A test may have removed it.
          await streams.delete(stream).catch(() => {})
        }
      }),
  }

  publishesSafely(broker)
  consumesSafely(broker)
})

async function messagesIn(
  { streams }: JetStreamManager,
  stream: string,
): Promise<QueuedDelivery[]> {
  const { state } = await streams.info(stream)
  const found: QueuedDelivery[] = []
  if (state.messages === 0) return found
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await streams.getMessage(stream, { seq })
    if (message === null) continue
    const names = message.header.keys()
    const headers = keptOf(
      Object.fromEntries(names.map((name) => [name, message.header.get(name)])),
    )
    found.push({ id: message.header.get('Nats-Msg-Id'), headers, body: Buffer.from(message.data) })
  }
  return found
}

async function withManager<Value>(
  url: string,
  use: (manager: JetStreamManager) => Promise<Value>,
): Promise<Value> {
  const connection = await connect({ servers: new URL(url).host })
  try {
    return await use(await jetstreamManager(connection))
  } finally {
    await connection.close()
  }
}
