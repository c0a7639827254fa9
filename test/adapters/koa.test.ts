import newBodyParser from '@koa/bodyparser'
import Router from '@koa/router'
import type Koa from 'koa'
import type { Middleware } from 'koa'
import oldBodyParser from 'koa-bodyparser'
import getRawBody from 'raw-body'
import { createReceiver, krosai } from 'ringhook'
import { krosaiWebhooks, webhooks } from 'ringhook/koa'
import supertest from 'supertest'
import { describe, expect, it, vi } from 'vitest'
import { answer, completedCall, post, recordingLogger, secret } from '../helpers/deliveries.ts'
import { gate } from '../helpers/endpoint.ts'
import { koaVersions, type Served, serveKoa } from '../helpers/frameworks.ts'

describe.each(koaVersions)('krosaiWebhooks() on $name', ({ Koa: Version }) => {
  /** Serves an app for one test. */
  async function withApp(
    build: (app: Koa) => void,
    run: (served: Served) => Promise<void>,
  ): Promise<void> {
    const app = new Version()
    build(app)
    const served = await serveKoa(app)
    try {
      await run(served)
    } finally {
      await served.close()
    }
  }

  it.each([
    ['app.use()', (app: Koa) => app.use(krosaiWebhooks(handled()))],
    [
      'router.post()',
      (app: Koa) => app.use(new Router().post('/hooks', krosaiWebhooks(handled())).routes()),
    ],
    [
      'router.all()',
      (app: Koa) => app.use(new Router().all('/hooks', krosaiWebhooks(handled())).routes()),
    ],
    [
      'a router with a prefix',
      (app: Koa) =>
        app.use(new Router({ prefix: '/hooks' }).post('/', krosaiWebhooks(handled())).routes()),
    ],
    [
      'a router within a router',
      (app: Koa) => {
        const inner = new Router().post('/', krosaiWebhooks(handled()))
        app.use(new Router().use('/hooks', inner.routes()).routes())
      },
    ],
  ])('is mounted by %s', async (_, mount) => {
    await withApp(mount, async ({ url }) => {
      expect(await post(url, completedCall())).toEqual(answer(200, 'handled'))
    })
  })

  it.each<[string, Middleware]>([
    ['koa-bodyparser', oldBodyParser()],
    ['@koa/bodyparser', newBodyParser()],
    ['@koa/bodyparser with patchNode', newBodyParser({ patchNode: true })],
  ])(
    'refuses at once what %s took, whose rawBody is no bytes, and logs two remedies',
    async (_, parser) => {
      const logger = recordingLogger()
      const handler = vi.fn()
      const mount = (app: Koa) => {
        app.use(parser)
        app.use(krosaiWebhooks({ secret, logger, on: { '*': handler } }))
      }
      await withApp(mount, async ({ url }) => {
        const refused = answer(500, 'rejected', 'RINGHOOK_BODY_ALREADY_READ')
        expect(await post(url, completedCall())).toEqual(refused)
      })
      expect(handler).not.toHaveBeenCalled()
      expect(logger.errors).toEqual([
        expect.stringMatching(/mount ringhook before the parser.*let the parser keep the bytes/),
      ])
    },
  )

  it.each<[string, Middleware]>([
    ['koa-bodyparser', oldBodyParser()],
    ['@koa/bodyparser', newBodyParser()],
  ])('reads what %s left unread, because of its content type', async (_, parser) => {
    const mount = (app: Koa) => {
      app.use(parser)
      app.use(krosaiWebhooks(handled()))
    }
    await withApp(mount, async ({ url }) => {
      const delivery = completedCall({ 'content-type': 'application/octet-stream' })
      expect(await post(url, delivery)).toEqual(answer(200, 'handled'))
    })
  })

  it.each(['rawBody', 'body'] as const)(
    'verifies the bytes that a middleware kept as ctx.request.%s',
    async (name) => {
      const mount = (app: Koa) => {
        app.use(async (context, next) => {
          Object.assign(context.request, { [name]: await getRawBody(context.req) })
          await next()
        })
        app.use(krosaiWebhooks(handled()))
      }
      await withApp(mount, async ({ url }) => {
        expect(await post(url, completedCall())).toEqual(answer(200, 'handled'))
      })
    },
  )

  it('leaves the parsers of the other routes alone', async () => {
    const mount = (app: Koa) => {
      const hooks = new Router().post('/hooks', krosaiWebhooks(handled()))
      const others = new Router().post('/others', (context) => {
        context.body = context.request.body
      })
      app.use(hooks.routes()).use(oldBodyParser()).use(others.routes())
    }
    await withApp(mount, async ({ url }) => {
      expect(await post(url, completedCall())).toEqual(answer(200, 'handled'))
      const other = await fetch(new URL('/others', url), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{ "a": 1 }',
      })
      expect(await other.json()).toEqual({ a: 1 })
    })
  })

  it('answers by the context, so that the middleware around it sees the answer and can add to it', async () => {
    const seen: unknown[] = []
    const mount = (app: Koa) => {
      app.use(async (context, next) => {
        await next()
        seen.push([context.status, context.body])
        context.set('x-request-id', 'r1')
      })
      app.use(krosaiWebhooks(handled()))
    }
    await withApp(mount, async ({ url }) => {
      const { method, headers, body } = completedCall()
      const response = await fetch(url, { method, headers, body })
      expect(response.headers.get('x-request-id')).toBe('r1')
    })
    expect(seen).toEqual([[200, '{"outcome":"handled"}']])
  })

  it('keeps the error of a handler to itself: no error event and no later middleware sees it', async () => {
    const later = vi.fn()
    const mount = (app: Koa) => {
      const on = { '*': () => Promise.reject(new Error('a private matter')) }
      app.use(krosaiWebhooks({ secret, logger: false, on }))
      app.use(later)
    }
    await withApp(mount, async ({ url }) => {
      const failed = answer(500, 'failed', 'RINGHOOK_HANDLER_FAILED')
      expect(await post(url, completedCall())).toEqual(failed)
    })
    expect(later).not.toHaveBeenCalled()
  })

  it('goes by the address of the connection, whatever app.proxy says', async () => {
    const mount = (app: Koa) => {
      app.proxy = true
      app.use(krosaiWebhooks({ ...handled(), allowedIps: ['192.0.2.1'] }))
    }
    await withApp(mount, async ({ url }) => {
      const delivery = completedCall({ 'x-forwarded-for': '192.0.2.1' })
      const refused = answer(403, 'rejected', 'RINGHOOK_IP_NOT_ALLOWED')
      expect(await post(url, delivery)).toEqual(refused)
    })
  })

  it('leaves an answer alone that something else has given meanwhile', async () => {
    const finish = gate()
    let answerLate = () => {}
    const on = {
      '*': () => {
        answerLate()
        return finish.opened
      },
    }
    const receiver = createReceiver(krosai, { secret, on })
    const mount = (app: Koa) => {
      app.use((context, next) => {
        answerLate = () => void context.res.writeHead(504).end('too late')
        return next()
      })
      app.use(webhooks(receiver))
    }
    await withApp(mount, async ({ url }) => {
      const { status, body } = await post(url, completedCall())
      expect({ status, body }).toEqual({ status: 504, body: 'too late' })
      finish.open()
      await receiver.idle()
    })
  })

  it('works with supertest', async () => {
    const app = new Version()
    app.use(krosaiWebhooks(handled()))
    const { headers, body } = completedCall()
    const response = await supertest(app.callback()).post('/hooks').set(headers).send(body)
    expect(response.status).toBe(200)
    expect(response.body).toEqual({ outcome: 'handled' })
  })
})

function handled() {
  return { secret, logger: false, on: { 'call.completed': () => {} } } as const
}
