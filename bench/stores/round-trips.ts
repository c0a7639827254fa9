import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { claim, claimAndComplete, nextKey, type Subject } from './subject.ts'

/** How often the server was waited for, per operation of a lone worker. */
export interface RoundTrips {
  readonly claim: number
  readonly delivery: number
}

const operations = 100

/** Counts the round trips of a store from between it and its server. */
export async function roundTripsOf(subject: Subject, url: string): Promise<RoundTrips> {
  const { hostname, port } = new URL(url)
  const counter = await startCounter(hostname, Number(port))
  const through = new URL(url)
  through.hostname = '127.0.0.1'
  through.port = String(counter.port)
  const connection = await subject.connect(through.href)
  try {
    const { store } = await connection.open()
    // The first calls open connections, and make statements and scripts known.
    await claimAndComplete(store, nextKey())
    return {
      claim: await counter.during(() => claim(store, nextKey())),
      delivery: await counter.during(() => claimAndComplete(store, nextKey())),
    }
  } finally {
    await connection.close()
    counter.close()
  }
}

/** A proxy that sees who speaks. A server that answers after a client has spoken is a round trip. */
async function startCounter(host: string, port: number) {
  let count = 0
  const server = createServer((client) => {
    let isAsked = false
    const upstream = connect({ host, port, noDelay: true })
    client.setNoDelay(true)
    client.on('data', () => {
      isAsked = true
    })
    upstream.on('data', () => {
      if (isAsked) count++
      isAsked = false
    })
    client.pipe(upstream).pipe(client)
    client.on('error', () => upstream.destroy())
    upstream.on('error', () => client.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close: () => server.close(),
    async during(operation: () => Promise<unknown>): Promise<number> {
      const before = count
      for (let index = 0; index < operations; index++) await operation()
      return (count - before) / operations
    },
  }
}
