import Fastify, { type FastifyInstance } from 'fastify'
import { krosaiWebhooks } from '../../src/fastify.ts'
import { secret } from '../deliveries.ts'
import { handleByHand, type OnCall } from './by-hand.ts'
import { octokitMiddleware } from './octokit.ts'

export function bare(): FastifyInstance {
  const app = bufferingFastify()
  app.post('/hooks', async () => 'OK')
  return app
}

export function byHand(onCall: OnCall): FastifyInstance {
  const handle = handleByHand(onCall)
  const app = bufferingFastify()
  app.post<{ Body: Buffer }>('/hooks', async (request, reply) => {
    reply.code(await handle(request.body, request.headers['x-webhook-signature']))
    return 'OK'
  })
  return app
}

/** Before Fastify reads the body: the middleware reads it itself, as ringhook does. */
export function octokit(onCall: OnCall): FastifyInstance {
  const handle = octokitMiddleware(onCall)
  const app = Fastify()
  app.post('/hooks', {
    onRequest: async (request, reply) => {
      reply.hijack()
      await handle(request.raw, reply.raw)
    },
    handler: async () => {},
  })
  return app
}

export function ringhook(onCall: OnCall): FastifyInstance {
  const app = Fastify()
  app.register(
    krosaiWebhooks({
      secret,
      logger: false,
      on: { 'call.completed': (event) => onCall(event.data.call_id) },
    }),
    { prefix: '/hooks' },
  )
  return app
}

function bufferingFastify(): FastifyInstance {
  const app = Fastify()
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  return app
}
