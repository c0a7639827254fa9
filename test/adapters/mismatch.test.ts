import Router from '@koa/router'
import { createReceiver, krosai, type Logger } from 'ringhook'
import { webhooks as expressWebhooks, krosaiWebhooks as krosaiExpress } from 'ringhook/express'
import { webhooks as fastifyWebhooks, krosaiWebhooks as krosaiFastify } from 'ringhook/fastify'
import { webhooks as koaWebhooks, krosaiWebhooks as krosaiKoa } from 'ringhook/koa'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { answer, completedCall, post, recordingLogger, secret } from '../helpers/deliveries.ts'
import { codeOf } from '../helpers/endpoint.ts'
import {
  expressVersions,
  fastifyVersions,
  koaVersions,
  listen,
  type Served,
  serveExpress,
  serveFastify,
  serveKoa,
} from '../helpers/frameworks.ts'

/** A handler of which the framework believes that it is one of its own. */
type Handler = (...given: readonly unknown[]) => unknown
/** Frameworks by what they pass to a handler. */
type Kind = 'node' | 'koa' | 'fastify'

const entries: readonly {
  readonly name: string
  readonly worksOn: Kind | undefined
  mount(logger: Logger, run: () => void): Handler
}[] = [
  {
    name: 'webhooks() of ringhook/express',
    worksOn: 'node',
    mount: (logger, run) => expressWebhooks(receiverWith(logger, run)) as Handler,
  },
  {
    name: 'webhooks() of ringhook/koa',
    worksOn: 'koa',
    mount: (logger, run) => koaWebhooks(receiverWith(logger, run)) as Handler,
  },
  {
    name: 'webhooks() of ringhook/fastify',
    worksOn: undefined,
    mount: (logger, run) => fastifyWebhooks(receiverWith(logger, run)) as Handler,
  },
  {
    name: 'receiver.receive',
    worksOn: undefined,
    mount: (logger, run) => receiverWith(logger, run).receive as Handler,
  },
]

const hosts: readonly {
  readonly name: string
  readonly kind: Kind
  serve(handler: Handler): Promise<Served>
}[] = [
  { name: 'createServer()', kind: 'node', serve: (handler) => listen(handler) },
  {
    name: 'an API route of Next.js',
    kind: 'node',
    serve: (handler) =>
      listen(async (request, response) => {
        await handler(request, response)
        if (!response.writableEnded) response.end('resolved without an answer')
      }),
  },
  ...expressVersions.flatMap(({ name, express }) =>
    (['post', 'use'] as const).map((method) => ({
      name: `app.${method}() of ${name}`,
      kind: 'node' as const,
      serve: (handler: Handler) => serveExpress(express()[method]('/hooks', handler as never)),
    })),
  ),
  ...koaVersions.flatMap(({ name, Koa }) => [
    {
      name: `app.use() of ${name}`,
      kind: 'koa' as const,
      serve: (handler: Handler) => serveKoa(new Koa().use(handler as never)),
    },
    {
      name: `a router of ${name}`,
      kind: 'koa' as const,
      serve: (handler: Handler) =>
        serveKoa(new Koa().use(new Router().post('/hooks', handler as never).routes() as never)),
    },
  ]),
  ...fastifyVersions.flatMap(({ name, Fastify }) => [
    {
      name: `app.post() of ${name}`,
      kind: 'fastify' as const,
      serve: (handler: Handler) => {
        const app = Fastify()
        app.post('/hooks', handler as never)
        return serveFastify(app)
      },
    },
    {
      name: `a controller of Nest's on ${name}`,
      kind: 'fastify' as const,
      serve: (handler: Handler) => {
        const app = Fastify()
        app.post('/hooks', (request, reply) => void handler(request, reply))
        return serveFastify(app)
      },
    },
    ...(['onRequest', 'preHandler'] as const).map((hook) => ({
      name: `a hook ${hook} of ${name}`,
      kind: 'fastify' as const,
      serve: (handler: Handler) => {
        const app = Fastify()
        app.addHook(hook, handler as never)
        app.post('/hooks', async () => 'the route was reached')
        return serveFastify(app)
      },
    })),
  ]),
]

const rightEntry: Record<Kind, RegExp> = {
  node: /Import webhooks from 'ringhook\/express'\./,
  koa: /Koa's context\. Import webhooks from 'ringhook\/koa'\./,
  fastify: /Import webhooks from 'ringhook\/fastify' and register it/,
}

const uncaught: unknown[] = []
const note = (error: unknown) => void uncaught.push(error)
beforeEach(() => {
  uncaught.length = 0
  process.on('unhandledRejection', note)
  process.on('uncaughtExceptionMonitor', note)
})
afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', note)
  process.off('uncaughtExceptionMonitor', note)
  expect(uncaught).toEqual([])
})

describe.each(entries)('$name', ({ worksOn, mount }) => {
  it.each(hosts.filter(({ kind }) => kind !== worksOn))(
    'mounted by $name, answers 500, says in the log which entry is right, and runs nothing',
    async ({ kind, serve }) => {
      const logger = recordingLogger()
      const run = vi.fn()
      const served = await serve(mount(logger, run))
      try {
        for (let delivery = 0; delivery < 2; delivery++) {
          expect(await post(served.url, completedCall())).toEqual(
            answer(500, 'rejected', 'RINGHOOK_ADAPTER_MISMATCH'),
          )
        }
      } finally {
        await served.close()
      }
      expect(run).not.toHaveBeenCalled()
      expect(logger.errors).toEqual([expect.stringMatching(rightEntry[kind])])
    },
  )

  it.each(hosts.filter(({ kind }) => kind === worksOn))(
    'mounted by $name, works',
    async ({ serve }) => {
      const served = await serve(mount(recordingLogger(), () => {}))
      try {
        expect(await post(served.url, completedCall())).toEqual(answer(200, 'handled'))
      } finally {
        await served.close()
      }
    },
  )

  it.each([
    ['a route handler of Next.js', (request: Request) => [request, { params: {} }]],
    ['Hono', (raw: Request) => [{ req: { raw }, set() {} }, async () => {}]],
  ])('called by %s, returns a Response with the code', async (_, given) => {
    const logger = recordingLogger()
    const { method, headers, body } = completedCall()
    const request = new Request('http://localhost/hooks', { method, headers, body })
    const response = await mount(logger, vi.fn())(...given(request))
    expect(response).toBeInstanceOf(Response)
    const { status, headers: written } = response as Response
    expect({
      status,
      contentType: written.get('content-type'),
      body: await (response as Response).text(),
    }).toEqual(answer(500, 'rejected', 'RINGHOOK_ADAPTER_MISMATCH'))
    expect(logger.errors).toEqual([expect.stringMatching(/has no entry for it yet/)])
  })

  it('called with an event of h3, answers its response', async () => {
    const logger = recordingLogger()
    const handler = mount(logger, vi.fn())
    const served = await listen((req, res) => void handler({ node: { req, res }, context: {} }))
    const refused = answer(500, 'rejected', 'RINGHOOK_ADAPTER_MISMATCH')
    expect(await post(served.url, completedCall())).toEqual(refused)
    await served.close()
    expect(logger.errors).toEqual([expect.stringMatching(/event\.node\.req and event\.node\.res/)])
  })
})

/** Hooks of Fastify's that run while something else is being answered. */
const hooksOfAnswers = fastifyVersions.flatMap(({ name, Fastify }) =>
  (['onSend', 'preSerialization'] as const).map((hook) => ({ name, Fastify, hook })),
)

describe.each(entries)('$name, in a hook of an answer', ({ mount }) => {
  it.each(hooksOfAnswers)('$hook of $name, makes it a 500', async ({ Fastify, hook }) => {
    const logger = recordingLogger()
    const app = Fastify()
    app.addHook(hook as 'onSend', mount(logger, vi.fn()) as never)
    app.post('/hooks', async () => ({ answer: 'of the route' }))
    const served = await serveFastify(app)
    for (let delivery = 0; delivery < 2; delivery++) {
      expect((await post(served.url, completedCall())).status).toBe(500)
    }
    // The framework answers for the error that it is given.
    await expect(served.close()).rejects.toThrow('the framework was given errors')
    expect(logger.errors).toEqual([expect.stringMatching(rightEntry.fastify)])
  })
})

describe('webhooks(), mounted itself', () => {
  it.each([
    ['ringhook/express', expressWebhooks, krosaiExpress],
    ['ringhook/koa', koaWebhooks, krosaiKoa],
    ['ringhook/fastify', fastifyWebhooks, krosaiFastify],
  ])('of %s, says so', async (_, webhooks, krosaiWebhooks) => {
    const told: unknown[] = []
    const collect = (run: () => unknown) => {
      try {
        run()
      } catch (error) {
        told.push(error)
      }
    }
    const served = await listen((request, response) => {
      const context = { req: request, request: { req: request }, set() {} }
      for (const given of [request, context, { raw: request }]) {
        collect(() => webhooks(given as never))
        collect(() => krosaiWebhooks(given as never))
      }
      response.end()
    })
    await post(served.url, completedCall())
    await served.close()
    expect(told).toHaveLength(6)
    for (const error of told)
      expect(String(error)).toMatch(/itself mounted\? Mount what it returns/)
  })
})

describe.each(entries.slice(0, 3))('$name, misused', ({ name, mount }) => {
  it.each([
    ['nothing', []],
    ['undefined', [undefined, undefined]],
    ['an event of AWS Lambda', [{ httpMethod: 'POST', headers: {}, body: '{}' }, {}]],
    ['text', ['POST', '/hooks']],
  ])('rejects when it is called with %s, and a caller may ignore it', async (_, given) => {
    const logger = recordingLogger()
    const handler = mount(logger, vi.fn())
    void handler(...given)
    await expect(handler(...given)).rejects.toMatchObject({ code: 'RINGHOOK_ADAPTER_MISMATCH' })
    expect(logger.errors).toEqual([expect.stringContaining('RINGHOOK_ADAPTER_MISMATCH')])
  })

  it.each(name.endsWith('fastify') ? [] : [...fastifyVersions])(
    'registered as a plugin of $name, fails when the app gets ready',
    async ({ Fastify }) => {
      const app = Fastify()
      app.register(mount(recordingLogger(), vi.fn()) as never, { prefix: '/hooks' })
      await expect(app.ready()).rejects.toMatchObject({
        code: 'RINGHOOK_ADAPTER_MISMATCH',
        message: expect.stringMatching(rightEntry.fastify),
      })
    },
  )

  it('throws when it is called with an app', () => {
    for (const app of [expressVersions[2].express(), new koaVersions[1].Koa()]) {
      expect(codeOf(() => mount(recordingLogger(), vi.fn())(app))).toBe('RINGHOOK_ADAPTER_MISMATCH')
    }
  })
})

describe('receiver.receive()', () => {
  it('answers 500 to anything but a request, and never rejects', async () => {
    for (const wrong of [undefined, null, 'text', {}, { method: 'POST' }]) {
      const logger = recordingLogger()
      const { status, outcome } = await receiverWith(logger).receive(wrong as never)
      expect([status, outcome.code]).toEqual([500, 'RINGHOOK_REQUEST_INVALID'])
    }
  })

  it('works taken off its receiver, as all that a receiver does', async () => {
    const { receive, statusOfBody, forget, idle, close, start } = receiverWith(recordingLogger())
    const { method, headers, rawBody } = completedCall()
    const request = { method, url: '/hooks', headers, body: rawBody }
    // Mapping passes numbers and arrays beside it.
    const [reply] = await Promise.all([request].map(receive))
    expect(reply?.status).toBe(200)
    expect(await statusOfBody(rawBody)).toBe('completed')
    expect(await forget(JSON.parse(String(Buffer.from(rawBody))).id)).toBe('forgotten')
    await expect(start()).rejects.toMatchObject({ code: 'RINGHOOK_INBOX_MISSING' })
    await idle()
    expect(await close()).toEqual({ drained: true, running: 0 })
  })
})

describe('webhooks() of ringhook/express', () => {
  it('resolves when the answer is written, for wrappers that wait for it', async () => {
    const handler = expressWebhooks(receiverWith(recordingLogger()))
    const ended: boolean[] = []
    const served = await listen(async (request, response) => {
      await handler(request, response)
      ended.push(response.writableEnded)
    })
    expect(await post(served.url, completedCall())).toEqual(answer(200, 'handled'))
    await served.close()
    expect(ended).toEqual([true])
  })

  it('passes an error to next once, and does not reject', async () => {
    const broken = new Error('from a middleware')
    const next = vi.fn()
    const served = await listen(async (request, response) => {
      response.writeHead = () => {
        throw broken
      }
      await expressWebhooks(receiverWith(recordingLogger()))(request, response, next)
      response.destroy()
    })
    await expect(post(served.url, completedCall())).rejects.toThrow()
    await served.close()
    expect(next).toHaveBeenCalledExactlyOnceWith(broken)
  })
})

describe('webhooks()', () => {
  it.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /was given nothing.*createReceiver/],
    ['a provider', krosai, /was given the provider krosai.*krosaiWebhooks\(options\)/],
    ['options', { secret, on: {} }, /was given options.*krosaiWebhooks\(options\)/],
    ['a promise of a receiver', Promise.resolve(), /was given a promise.*Await/],
    ['what webhooks() returned', expressWebhooks(receiverWith(recordingLogger())), /a function/],
    ['an app', expressVersions[2].express(), /a function/],
    ['text', 'krosai', /was given something else/],
  ])('says what is wrong with %s in place of a receiver', (_, wrong, message) => {
    for (const mount of [expressWebhooks, koaWebhooks, fastifyWebhooks]) {
      expect(() => mount(wrong as never)).toThrow(
        expect.objectContaining({
          code: 'RINGHOOK_RECEIVER_INVALID',
          message: expect.stringMatching(message),
        }),
      )
    }
  })
})

function receiverWith(logger: Logger, run: () => void = () => {}) {
  return createReceiver(krosai, { secret, logger, on: { '*': run } })
}
