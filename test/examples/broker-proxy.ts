import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { freePort } from '../helpers/redis-instance.ts'

/** The way to a broker, in a test's hands. */
export interface BrokerProxy {
  /** The broker's URL, by way of the proxy. */
  readonly url: string
  /** Keeps what the broker says until `release`. */
  hold(): void
  release(): void
  /** Ends all connections, and refuses others until `restore`. */
  cut(): Promise<void>
  restore(): Promise<void>
}

/** Opens a way to the broker that is there until the test is over. */
export async function proxyTo(brokerUrl: string): Promise<BrokerProxy> {
  const broker = new URL(brokerUrl)
  const pairs = new Set<{ readonly near: Socket; readonly far: Socket }>()
  const port = await freePort()
  const server = createServer((near) => {
    const far = connect(Number(broker.port), broker.hostname)
    const pair = { near, far }
    pairs.add(pair)
    near.pipe(far)
    far.pipe(near)
    for (const socket of [near, far]) {
      socket.on('error', () => {})
      socket.on('close', () => {
        pairs.delete(pair)
        near.destroy()
        far.destroy()
      })
    }
  })

  async function restore(): Promise<void> {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  async function cut(): Promise<void> {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    for (const { near, far } of pairs) for (const socket of [near, far]) socket.destroy()
    await closed
  }
  await restore()
  onTestFinished(cut)

  const url = new URL(brokerUrl)
  url.hostname = '127.0.0.1'
  url.port = String(port)
  return {
    url: String(url),
    hold() {
      for (const { near, far } of pairs) far.unpipe(near).pause()
    },
    release() {
      for (const { near, far } of pairs) far.pipe(near)
    },
    cut,
    restore,
  }
}
