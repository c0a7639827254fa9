import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { Readable } from 'node:stream'
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'
import { answerRequests } from '../../src/conformance/child-process.ts'
import { webhooks as expressWebhooks } from '../../src/express.ts'
import { webhooks as fastifyWebhooks } from '../../src/fastify.ts'
import { createReceiver, krosai } from '../../src/index.ts'
import { webhooks as koaWebhooks } from '../../src/koa.ts'

/** What the test asks of this process, whose memory it watches. */
export type Question =
  | { readonly serve: keyof typeof frameworks }
  | { readonly ask: 'bytes read' | 'memory' }
  | { readonly receive: Streams }

/** Bodies that come byte by byte. */
export interface Streams {
  readonly count: number
  /** How many bytes of each come. The last of them waits until the memory was measured. */
  readonly bytes: number
  /** How many are announced. `undefined`: none. */
  readonly announced?: number | undefined
}

const receiver = createReceiver(krosai, {
  secret: 'a secret that only the tests know',
  bodyTimeoutMs: 60_000,
  ackDeadlineMs: 60_000,
  logger: false,
  on: { '*': () => {} },
})

const frameworks = {
  'node:http': async () => listen(expressWebhooks(receiver)),
  Express: async () => {
    const app = express()
    app.post('/', expressWebhooks(receiver))
    return listen(app)
  },
  Koa: async () => {
    const app = new Koa()
    app.use(koaWebhooks(receiver))
    return listen(app.callback())
  },
  Fastify: async () => {
    const app = Fastify()
    app.register(fastifyWebhooks(receiver))
    await app.ready()
    return opened(app.server)
  },
}

const sockets: Socket[] = []

answerRequests(async (request) => {
  const question = request as Question
  if ('serve' in question) {
    sockets.length = 0
    return await frameworks[question.serve]()
  }
  if ('receive' in question) return await receive(question.receive)
  if (question.ask === 'memory') return memory()
  return sockets.reduce((sum, { bytesRead }) => sum + bytesRead, 0)
})

function listen(listener: RequestListener): Promise<number> {
  return opened(createServer(listener))
}

async function opened(server: Server): Promise<number> {
  server.on('connection', (socket) => sockets.push(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** What is referred to, in bytes, and the most that the process ever took. */
function memory() {
  global.gc?.()
  global.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return { kept: heapUsed + external, peak: 1_024 * process.resourceUsage().maxRSS }
}

/** Gives streams to the receiver, and says what is kept of them before their last byte, and what is answered. */
async function receive({ count, bytes, announced }: Streams) {
  const ends: (() => void)[] = []
  const replies = Array.from({ length: count }, () => {
    let left = bytes
    const body = new Readable({
      read() {
        if (--left > 0) this.push(Buffer.alloc(1, 'a'))
        else ends.push(() => void [Buffer.alloc(1, 'a'), null].map((piece) => this.push(piece)))
      },
    })
    const headers = announced === undefined ? {} : { 'content-length': String(announced) }
    return receiver.receive({ method: 'POST', url: '/', headers, body })
  })
  while (ends.length < count) await new Promise((resolve) => setImmediate(resolve))
  const measured = memory()
  for (const end of ends) end()
  const statuses = (await Promise.all(replies)).map(({ status }) => status)
  return { ...measured, statuses: [...new Set(statuses)] }
}
