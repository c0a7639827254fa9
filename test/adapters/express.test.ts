import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import express from 'express'
import { createReceiver, krosai } from 'ringhook'
import { krosaiWebhooks, webhooks } from 'ringhook/express'
import { webhooks as fastifyWebhooks } from 'ringhook/fastify'
import { webhooks as koaWebhooks } from 'ringhook/koa'
import supertest from 'supertest'
import { describe, expect, it, vi } from 'vitest'
import { answer, completedCall, post, recordingLogger, secret } from '../helpers/deliveries.ts'
import { codeOf, gate } from '../helpers/endpoint.ts'
import { expressVersions, type Served, serveExpress } from '../helpers/frameworks.ts'

type App = ReturnType<typeof express>

const keepBytes: Parameters<typeof express.json>[0] = {
  verify: (request, _response, bytes) => {
    Object.assign(request, { rawBody: bytes })
  },
}

describe('webhooks()', () => {
  it('refuses anything but a receiver when mounted, in every framework', () => {
    for (const mount of [webhooks, koaWebhooks, fastifyWebhooks]) {
      for (const wrong of [undefined, null, { secret }, krosai]) {
        expect(codeOf(() => mount(wrong as never))).toBe('RINGHOOK_RECEIVER_INVALID')
      }
    }
  })

  it('hands on what other middleware throws while the answer is written', async () => {
    const receiver = createReceiver(krosai, { secret, logger: false })
    const broken = new Error('from a middleware')
    const request = Object.assign(Readable.from([]), { method: 'GET', url: '/', headers: {} })
    const destroy = vi.fn()
    const response = {
      headersSent: false,
      writeHead() {
        throw broken
      },
      end() {},
      destroy,
    }
    const next = vi.fn()
    void webhooks(receiver)(request, response, next)
    await vi.waitFor(() => expect(next).toHaveBeenCalledExactlyOnceWith(broken))
    void webhooks(receiver)(request, response)
    await vi.waitFor(() => expect(destroy).toHaveBeenCalledOnce())
  })
})

describe.each(expressVersions)('krosaiWebhooks() on $name', ({ express: version }) => {
  /** Serves an app for one test. */
  async function withApp(
    build: (app: App) => void,
    run: (served: Served) => Promise<void>,
  ): Promise<void> {
    const app = version()
    build(app)
    const served = await serveExpress(app)
    try {
      await run(served)
    } finally {
      await served.close()
    }
  }

  it.each([
    ['app.post()', (app: App) => app.post('/hooks', krosaiWebhooks(handled()))],
    ['app.all()', (app: App) => app.all('/hooks', krosaiWebhooks(handled()))],
    ['app.use()', (app: App) => app.use('/hooks', krosaiWebhooks(handled()))],
    ['app.use() without a path', (app: App) => app.use(krosaiWebhooks(handled()))],
    [
      'a router under a prefix',
      (app: App) => app.use('/hooks', version.Router().post('/', krosaiWebhooks(handled()))),
    ],
    [
      'a router within a router',
      (app: App) => {
        const inner = version.Router().post('/hooks', krosaiWebhooks(handled()))
        app.use(version.Router().use('/', inner))
      },
    ],
    [
      'an app within the app',
      (app: App) => app.use('/hooks', version().post('/', krosaiWebhooks(handled()))),
    ],
  ])('is mounted by %s', async (_, mount) => {
    await withApp(mount, async ({ url }) => {
      expect(await post(url, completedCall())).toEqual(answer(200, 'handled'))
    })
  })

  it.each([
    ['express.raw()', express.raw({ type: '*/*' }), {}],
    ['express.json() that keeps the bytes', express.json(keepBytes), {}],
    [
      'express.urlencoded() that keeps the bytes',
      express.urlencoded({ ...keepBytes, extended: false }),
      { 'content-type': 'application/x-www-form-urlencoded' },
    ],
    ['express.text() that keeps the bytes', express.text({ ...keepBytes, type: '*/*' }), {}],
    ['express.json(), for another content type', express.json(), { 'content-type': 'text/plain' }],
    ['express.raw(), for another content type', express.raw(), {}],
  ])('verifies the exact bytes behind %s', async (_, parser, headers) => {
    const rawBodies: Buffer[] = []
    const mount = (app: App) => {
      const on = {
        'call.completed': (_event: unknown, context: { readonly rawBody: Uint8Array }) =>
          void rawBodies.push(Buffer.from(context.rawBody)),
      }
      app.use(parser)
      app.post('/hooks', krosaiWebhooks({ secret, on }))
    }
    await withApp(mount, async ({ url }) => {
      const delivery = completedCall(headers)
      expect(await post(url, delivery)).toEqual(answer(200, 'handled'))
      expect(rawBodies).toEqual([Buffer.from(delivery.rawBody)])
    })
  })

  it.each([
    ['express.json()', express.json(), {}],
    ['express.text()', express.text({ type: '*/*' }), {}],
    [
      'express.urlencoded()',
      express.urlencoded({ extended: false }),
      { 'content-type': 'application/x-www-form-urlencoded' },
    ],
  ])(
    'refuses at once what %s took without keeping the bytes, and logs two remedies',
    async (_, parser, headers) => {
      const logger = recordingLogger()
      const handler = vi.fn()
      const mount = (app: App) => {
        app.use(parser)
        app.post('/hooks', krosaiWebhooks({ secret, logger, on: { '*': handler } }))
      }
      await withApp(mount, async ({ url }) => {
        const refused = answer(500, 'rejected', 'RINGHOOK_BODY_ALREADY_READ')
        expect(await post(url, completedCall(headers))).toEqual(refused)
      })
      expect(handler).not.toHaveBeenCalled()
      expect(logger.errors).toEqual([
        expect.stringMatching(
          /mount ringhook before the parser.*express\.json\({ verify:.*rawBody/,
        ),
      ])
    },
  )

  it('refuses a compressed body also where express.raw() has inflated it', async () => {
    const mount = (app: App) => {
      app.use(express.raw({ type: '*/*' }))
      app.post('/hooks', krosaiWebhooks(handled()))
    }
    await withApp(mount, async ({ url }) => {
      const delivery = completedCall({ 'content-encoding': 'gzip' })
      const compressed = { ...delivery, rawBody: gzipSync(delivery.rawBody) }
      const refused = answer(415, 'rejected', 'RINGHOOK_BODY_ENCODED')
      expect(await post(url, compressed)).toEqual(refused)
    })
  })

  it('leaves the parsers of the other routes alone', async () => {
    const mount = (app: App) => {
      app.post('/hooks', krosaiWebhooks(handled()))
      app.use(express.json())
      app.post('/others', (request, response) => void response.json(request.body))
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

  it('keeps the error of a handler to itself: no error handler and no later middleware sees it', async () => {
    const later = vi.fn()
    const mount = (app: App) => {
      const on = { '*': () => Promise.reject(new Error('a private matter')) }
      app.use('/hooks', krosaiWebhooks({ secret, logger: false, on }))
      app.use(later)
    }
    await withApp(mount, async ({ url }) => {
      const failed = answer(500, 'failed', 'RINGHOOK_HANDLER_FAILED')
      expect(await post(url, completedCall())).toEqual(failed)
    })
    expect(later).not.toHaveBeenCalled()
  })

  it('goes by the address of the connection, whatever "trust proxy" says', async () => {
    const mount = (app: App) => {
      app.set('trust proxy', true)
      app.post('/hooks', krosaiWebhooks({ ...handled(), allowedIps: ['192.0.2.1'] }))
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
    const mount = (app: App) => {
      app.use((_request, response, next) => {
        answerLate = () => void response.status(504).type('text').send('too late')
        next()
      })
      app.post('/hooks', webhooks(receiver))
    }
    await withApp(mount, async ({ url }) => {
      const { status, body } = await post(url, completedCall())
      expect({ status, body }).toEqual({ status: 504, body: 'too late' })
      finish.open()
      await receiver.idle()
    })
  })

  it('works with supertest', async () => {
    const app = version()
    app.post('/hooks', krosaiWebhooks(handled()))
    const { headers, body } = completedCall()
    const response = await supertest(app).post('/hooks').set(headers).send(body)
    expect(response.status).toBe(200)
    expect(response.body).toEqual({ outcome: 'handled' })
  })
})

function handled() {
  return { secret, logger: false, on: { 'call.completed': () => {} } } as const
}
