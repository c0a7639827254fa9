import express from 'express'
import Fastify, { type FastifyInstance } from 'fastify'
import Koa from 'koa'
import oldBodyParser from 'koa-bodyparser'
import { createReceiver, krosai } from 'ringhook'
import { webhooks as expressWebhooks } from 'ringhook/express'
import { webhooks as fastifyWebhooks } from 'ringhook/fastify'
import { webhooks as koaWebhooks } from 'ringhook/koa'
import { describe, expect, it } from 'vitest'
import { answer, completedCall, post, recordingLogger, secret } from '../helpers/deliveries.ts'
import {
  expressVersions,
  listen,
  serveExpress,
  serveFastify,
  serveKoa,
} from '../helpers/frameworks.ts'

const alreadyRead = answer(500, 'rejected', 'RINGHOOK_BODY_ALREADY_READ')
const byListener = /nothing of it was left on the request: by a data listener/
const byParser = /a body parser read the body before ringhook and kept/

type Middleware = (request: unknown, response: unknown, done: () => void) => void

/** A receiver, and the lines that it logs. */
function receiverWith() {
  const logger = recordingLogger()
  return { logger, receiver: createReceiver(krosai, { secret, logger, on: { '*': () => {} } }) }
}

/** Reads a request before ringhook does, and keeps nothing. */
const listens: Middleware = (request, _response, done) => {
  ;(request as NodeJS.ReadableStream).on('data', () => {}).on('end', done)
}

/** Runs Express middleware before the routes, on Node's request, as `@fastify/express` does. */
function useExpress(app: FastifyInstance, middleware: Middleware): void {
  app.addHook('onRequest', (request, reply, done) => middleware(request.raw, reply.raw, done))
}

describe('webhooks(), with a body that was read before', () => {
  it.each(expressVersions)(
    'by a data listener on $name is not put down to a parser',
    async ({ express: version }) => {
      const { logger, receiver } = receiverWith()
      const app = version()
      app.use(listens as never)
      app.post('/hooks', expressWebhooks(receiver))
      const served = await serveExpress(app)
      expect(await post(served.url, completedCall())).toEqual(alreadyRead)
      await served.close()
      expect(logger.errors).toEqual([expect.stringMatching(byListener)])
    },
  )

  it('by a data listener on Koa, Fastify or node:http is not put down to a parser', async () => {
    const { logger, receiver } = receiverWith()
    const koa = new Koa()
    koa.use(async (context, next) => {
      await new Promise<void>((resolve) => listens(context.req, context.res, resolve))
      await next()
    })
    koa.use(koaWebhooks(receiver))
    const fastify = Fastify()
    useExpress(fastify, listens)
    fastify.register(fastifyWebhooks(receiverWith().receiver), { prefix: '/hooks' })
    const handler = expressWebhooks(receiverWith().receiver)
    for (const served of [
      await serveKoa(koa),
      await serveFastify(fastify),
      await listen((request, response) =>
        listens(request, response, () => void handler(request, response)),
      ),
    ]) {
      expect(await post(served.url, completedCall())).toEqual(alreadyRead)
      await served.close()
    }
    expect(logger.errors).toEqual([expect.stringMatching(byListener)])
  })

  it('by a parser is put down to it, with the remedies for each framework', async () => {
    const { logger, receiver } = receiverWith()
    const app = express()
    app.use(express.json())
    app.post('/hooks', expressWebhooks(receiver))
    const served = await serveExpress(app)
    expect(await post(served.url, completedCall())).toEqual(alreadyRead)
    await served.close()
    expect(logger.errors).toEqual([expect.stringMatching(byParser)])
    expect(logger.errors).toEqual([
      expect.stringMatching(
        /express\.json\({ verify:.*NestFactory\.create\(AppModule, { rawBody: true }\)/,
      ),
    ])
  })

  it('and was empty has the same answer as a full one, on Koa', async () => {
    for (const delivery of [completedCall(), { ...completedCall(), rawBody: new Uint8Array() }]) {
      const { logger, receiver } = receiverWith()
      const app = new Koa()
      app.use(oldBodyParser())
      app.use(koaWebhooks(receiver))
      const served = await serveKoa(app)
      expect(await post(served.url, delivery)).toEqual(alreadyRead)
      await served.close()
      expect(logger.errors).toEqual([expect.stringMatching(byParser)])
    }
  })
})

describe('webhooks(), with bytes that Express middleware kept', () => {
  it.each<[string, Middleware]>([
    ['express.raw()', express.raw({ type: () => true }) as Middleware],
    [
      'express.json() with rawBody',
      express.json({
        verify: (request, _, bytes) => Object.assign(request, { rawBody: bytes }),
      }) as Middleware,
    ],
  ])('are verified on Fastify, behind %s', async (_, middleware) => {
    const app = Fastify()
    useExpress(app, middleware)
    app.register(fastifyWebhooks(receiverWith().receiver), { prefix: '/hooks' })
    const served = await serveFastify(app)
    expect(await post(served.url, completedCall())).toEqual(answer(200, 'handled'))
    await served.close()
  })

  it.each(['rawBody', 'body'])(
    'are verified on Fastify, in %s of its own request',
    async (name) => {
      const app = Fastify()
      app.addHook('onRequest', async (request) => {
        const bytes: Buffer[] = []
        for await (const piece of request.raw) bytes.push(piece)
        Object.assign(request, { [name]: Buffer.concat(bytes) })
      })
      app.register(fastifyWebhooks(receiverWith().receiver), { prefix: '/hooks' })
      const served = await serveFastify(app)
      expect(await post(served.url, completedCall())).toEqual(answer(200, 'handled'))
      await served.close()
    },
  )

  it('are verified on Koa, behind express.raw()', async () => {
    const app = new Koa()
    const raw = express.raw({ type: () => true }) as Middleware
    app.use(async ({ req, res }, next) => {
      await new Promise<void>((resolve) => raw(req, res, resolve))
      await next()
    })
    app.use(koaWebhooks(receiverWith().receiver))
    const served = await serveKoa(app)
    expect(await post(served.url, completedCall())).toEqual(answer(200, 'handled'))
    await served.close()
  })

  it('count with their length: maxBodyBytes holds for them', async () => {
    const receiver = createReceiver(krosai, { secret, logger: false, on: {}, maxBodyBytes: 10 })
    const app = Fastify()
    useExpress(app, (request, response, done) => {
      const { headers } = request as { headers: Record<string, string> }
      // A length that is not the body's, as behind something that rewrites it.
      express.raw({ type: () => true })(request as never, response as never, () => {
        headers['content-length'] = '1'
        done()
      })
    })
    app.register(fastifyWebhooks(receiver), { prefix: '/hooks' })
    const served = await serveFastify(app)
    expect(await post(served.url, completedCall())).toEqual(
      answer(413, 'rejected', 'RINGHOOK_BODY_TOO_LARGE'),
    )
    await served.close()
  })
})
