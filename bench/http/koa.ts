import Koa from 'koa'
import getRawBody from 'raw-body'
import { krosaiWebhooks } from '../../src/koa.ts'
import { secret } from '../deliveries.ts'
import { handleByHand, type OnCall } from './by-hand.ts'
import { octokitMiddleware } from './octokit.ts'

export function bare(): Koa {
  return new Koa().use(async (context) => {
    await readBody(context)
    context.status = 200
  })
}

export function byHand(onCall: OnCall): Koa {
  const handle = handleByHand(onCall)
  return new Koa().use(async (context) => {
    const body = await readBody(context)
    context.status = await handle(body, context.headers['x-webhook-signature'])
  })
}

/** Koa has no place for a handler of Node's server but beside itself. */
export function octokit(onCall: OnCall): Koa {
  const handle = octokitMiddleware(onCall)
  return new Koa().use(async (context) => {
    context.respond = false
    await handle(context.req, context.res)
  })
}

export function ringhook(onCall: OnCall): Koa {
  const app = new Koa()
  app.use(
    krosaiWebhooks({
      secret,
      logger: false,
      on: { 'call.completed': (event) => onCall(event.data.call_id) },
    }),
  )
  return app
}

function readBody({ req }: Koa.Context): Promise<Buffer> {
  return getRawBody(req, { length: req.headers['content-length'] ?? null, limit: '1mb' })
}
