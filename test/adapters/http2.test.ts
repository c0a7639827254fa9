import { once } from 'node:events'
import { connect, createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import Fastify from 'fastify'
import Koa from 'koa'
import { createReceiver, krosai, type Receiver } from 'ringhook'
import { webhooks as expressWebhooks } from 'ringhook/express'
import { webhooks as fastifyWebhooks } from 'ringhook/fastify'
import { webhooks as koaWebhooks } from 'ringhook/koa'
import { describe, expect, it, onTestFinished } from 'vitest'
import { completedCall, secret } from '../helpers/deliveries.ts'

const servers: readonly [name: string, listen: (receiver: Receiver) => Promise<AddressInfo>][] = [
  ['node:http2 and the Express handler', (receiver) => serve(expressWebhooks(receiver) as never)],
  ['Koa', (receiver) => serve(new Koa().use(koaWebhooks(receiver)).callback() as never)],
  [
    'Fastify',
    async (receiver) => {
      const app = Fastify({ http2: true })
      app.register(fastifyWebhooks(receiver), { prefix: '/hooks' })
      await app.listen({ port: 0, host: '127.0.0.1' })
      onTestFinished(() => app.close())
      return app.server.address() as AddressInfo
    },
  ],
]

describe.each(servers)('webhooks() over HTTP/2, %s', (_, listen) => {
  it('handles deliveries, and refuses them on the same session once the receiver is closed', async () => {
    const warnings: Error[] = []
    const note = (warning: Error) => void warnings.push(warning)
    process.on('warning', note)
    onTestFinished(() => void process.off('warning', note))
    const receiver = createReceiver(krosai, { secret, on: { '*': () => {} } })
    const { port } = await listen(receiver)
    const session = connect(`http://127.0.0.1:${port}`)
    onTestFinished(() => session.close())

    const send = async () => {
      const { method, headers, body } = completedCall()
      const stream = session.request({ ':method': method, ':path': '/hooks', ...headers })
      stream.end(body)
      const [head] = await once(stream, 'response')
      return [head[':status'], head['connection'], await text(stream)]
    }
    expect(await send()).toEqual([200, undefined, '{"outcome":"handled"}'])
    await receiver.close()
    const refused = '{"outcome":"unavailable","code":"RINGHOOK_SHUTTING_DOWN"}'
    expect(await send()).toEqual([503, undefined, refused])
    // Node warns of a header that HTTP/2 does not have.
    await new Promise((resolve) => setImmediate(resolve))
    expect(warnings).toEqual([])
  })
})

async function serve(listener: Parameters<typeof createServer>[1]): Promise<AddressInfo> {
  const server = createServer({}, listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return server.address() as AddressInfo
}
