import { once } from 'node:events'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { createReceiver, krosai } from 'ringhook'
import { krosaiWebhooks, webhooks } from 'ringhook/fastify'
import { describe, expect, it, vi } from 'vitest'
import { answer, completedCall, post, secret } from '../helpers/deliveries.ts'
import { gate } from '../helpers/endpoint.ts'
import { fastifyVersions, type Served, serveFastify } from '../helpers/frameworks.ts'

describe.each(fastifyVersions)('krosaiWebhooks() on $name', ({ Fastify: version }) => {
  /** Serves an app for one test. */
  async function withApp(
    app: FastifyInstance,
    run: (served: Served) => Promise<void>,
  ): Promise<void> {
    const served = await serveFastify(app)
    try {
      await run(served)
    } finally {
      await served.close()
    }
  }

  it.each([
    ['/hooks', '/hooks'],
    ['/hooks', '/hooks/'],
    ['/hooks/', '/hooks/'],
    ['/hooks/v1', '/hooks/v1?a=1'],
    ['/hooks/:tenant', '/hooks/t1'],
    ['/', '/'],
  ])('registered with the prefix %s, answers at %s', async (prefix, path) => {
    const app = version()
    app.register(krosaiWebhooks(handled()), { prefix })
    await withApp(app, async ({ url }) => {
      expect(await post(String(new URL(path, url)), completedCall())).toEqual(
        answer(200, 'handled'),
      )
    })
  })

  it('is registered without a prefix, within a plugin that has one, and twice in one app', async () => {
    const app = version()
    app.register(krosaiWebhooks(handled()))
    app.register(
      async (child) => {
        await child.register(krosaiWebhooks(handled()), { prefix: '/a' })
        await child.register(krosaiWebhooks(handled()), { prefix: '/b' })
      },
      { prefix: '/hooks' },
    )
    await withApp(app, async ({ url }) => {
      for (const path of ['/', '/hooks/a', '/hooks/b']) {
        expect(await post(String(new URL(path, url)), completedCall())).toEqual(
          answer(200, 'handled'),
        )
      }
    })
  })

  it('takes no part in the parsing of the app, and the other routes keep theirs', async () => {
    const parsed: string[] = []
    const app = version({ bodyLimit: 64 })
    app.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string' },
      async (request: { readonly url: string }, body: string) => {
        parsed.push(request.url)
        return { form: body }
      },
    )
    app.register(krosaiWebhooks(handled()), { prefix: '/hooks' })
    app.post('/others', async (request) => request.body)
    await withApp(app, async ({ url }) => {
      const form = { 'content-type': 'application/x-www-form-urlencoded' }
      // Longer than the app's limit, and of a type that the app parses.
      expect(await post(url, completedCall())).toEqual(answer(200, 'handled'))
      expect(await post(url, completedCall(form))).toEqual(answer(200, 'handled'))

      const others = String(new URL('/others', url))
      const json = { 'content-type': 'application/json' }
      const asJson = await fetch(others, { method: 'POST', headers: json, body: '{ "a": 1 }' })
      expect(await asJson.json()).toEqual({ a: 1 })
      const asForm = await fetch(others, { method: 'POST', headers: form, body: 'a=1' })
      expect(await asForm.json()).toEqual({ form: 'a=1' })
    })
    expect(parsed).toEqual(['/others'])
  })

  it('runs the hooks of the app around it, but none that parse, and lets onSend add to the answer', async () => {
    const ran: string[] = []
    const app = version()
    app.addHook('onRequest', async () => void ran.push('onRequest'))
    app.addHook('preParsing', async (_request, _reply, payload) => {
      ran.push('preParsing')
      return payload
    })
    app.addHook('preHandler', async () => void ran.push('preHandler'))
    app.addHook('onSend', async (_request, reply, payload) => {
      await settle()
      ran.push('onSend')
      reply.header('x-request-id', 'r1')
      return payload
    })
    const responded = new Promise<void>((resolve) => {
      app.addHook('onResponse', async () => resolve())
    })
    app.register(krosaiWebhooks(handled()), { prefix: '/hooks' })
    await withApp(app, async ({ url }) => {
      const { method, headers, body } = completedCall()
      const response = await fetch(url, { method, headers, body })
      expect(response.headers.get('x-request-id')).toBe('r1')
      expect([response.status, await response.text()]).toEqual([200, '{"outcome":"handled"}'])
      await responded
    })
    expect(ran).toEqual(['onRequest', 'onSend'])
  })

  it('refuses at once what a hook of the app has read before it', async () => {
    const app = version()
    app.addHook('onRequest', async ({ raw }) => {
      for await (const _ of raw);
    })
    app.register(krosaiWebhooks(handled()), { prefix: '/hooks' })
    await withApp(app, async ({ url }) => {
      const refused = answer(500, 'rejected', 'RINGHOOK_BODY_ALREADY_READ')
      expect(await post(url, completedCall())).toEqual(refused)
    })
  })

  it('keeps the error of a handler to itself: neither onError nor the error handler sees it', async () => {
    const errorHandler = vi.fn()
    const app = version()
    app.setErrorHandler(errorHandler)
    const on = { '*': () => Promise.reject(new Error('a private matter')) }
    app.register(krosaiWebhooks({ secret, logger: false, on }), { prefix: '/hooks' })
    await withApp(app, async ({ url }) => {
      const failed = answer(500, 'failed', 'RINGHOOK_HANDLER_FAILED')
      expect(await post(url, completedCall())).toEqual(failed)
    })
    expect(errorHandler).not.toHaveBeenCalled()
  })

  it('ends the request even if the sender has gone and onSend is slow', async () => {
    const ran: string[] = []
    const began = gate()
    const finish = gate()
    const gone = gate()
    const sent = gate()
    const on = {
      '*': () => {
        began.open()
        return finish.opened
      },
    }
    const lines: string[] = []
    const app = version({
      logger: { level: 'warn', stream: { write: (line) => lines.push(line) } },
    })
    app.addHook('onRequest', async ({ raw }) => void raw.socket.on('close', gone.open))
    app.addHook('preParsing', async (_request, _reply, payload) => {
      ran.push('preParsing')
      return payload
    })
    app.addHook('onSend', async (_request, _reply, payload) => {
      await settle()
      void settle().then(sent.open)
      return payload
    })
    app.register(krosaiWebhooks({ secret, on }), { prefix: '/hooks' })
    await withApp(app, async ({ url }) => {
      const { method, headers, body } = completedCall()
      const sender = new AbortController()
      const request = fetch(url, { method, headers, body, signal: sender.signal })
      await began.opened
      sender.abort()
      await expect(request).rejects.toThrow('aborted')
      await gone.opened
      finish.open()
      await sent.opened
    })
    expect({ ran, lines }).toEqual({ ran: [], lines: [] })
  })

  it('leaves an answer alone that something else has given meanwhile', async () => {
    const finish = gate()
    const lines: string[] = []
    const app = version({
      logger: { level: 'warn', stream: { write: (line) => lines.push(line) } },
    })
    let answerLate = () => {}
    const on = {
      '*': () => {
        answerLate()
        return finish.opened
      },
    }
    const receiver = createReceiver(krosai, { secret, on })
    app.addHook('onRequest', async (_request, reply) => {
      answerLate = () => reply.code(504).send('too late')
    })
    app.register(webhooks(receiver), { prefix: '/hooks' })
    await withApp(app, async ({ url }) => {
      const { status, body } = await post(url, completedCall())
      expect({ status, body }).toEqual({ status: 504, body: 'too late' })
      finish.open()
      await receiver.idle()
      await settle()
    })
    expect(lines).toEqual([])
  })

  it('leaves an answer alone whose headers something else has written to the raw response', async () => {
    const began = gate()
    let begin = () => {}
    let end = () => {}
    const on = { '*': () => begin() }
    const receiver = createReceiver(krosai, { secret, on })
    const app = version()
    app.addHook('onRequest', async (_request, reply) => {
      begin = () => {
        reply.raw.writeHead(503).write('too ')
        began.open()
      }
      end = () => reply.raw.end('late')
    })
    app.register(webhooks(receiver), { prefix: '/hooks' })
    await withApp(app, async ({ url }) => {
      const answering = post(url, completedCall())
      await began.opened
      await receiver.idle()
      await settle()
      end()
      const { status, body } = await answering
      expect({ status, body }).toEqual({ status: 503, body: 'too late' })
    })
  })

  it('goes by the address of the connection, whatever trustProxy says', async () => {
    const app = version({ trustProxy: true })
    app.register(krosaiWebhooks({ ...handled(), allowedIps: ['192.0.2.1'] }), { prefix: '/hooks' })
    await withApp(app, async ({ url }) => {
      const delivery = completedCall({ 'x-forwarded-for': '192.0.2.1' })
      const refused = answer(403, 'rejected', 'RINGHOOK_IP_NOT_ALLOWED')
      expect(await post(url, delivery)).toEqual(refused)
    })
  })

  it('answers 405 to every method that the app supports, and leaves the others to Fastify', async () => {
    const app = version()
    app.addHttpMethod('PROPFIND', { hasBody: true })
    app.register(krosaiWebhooks(handled()), { prefix: '/hooks' })
    const statusOf = async (method: string) => {
      const { statusCode, headers } = await app.inject({ method: method as 'GET', url: '/hooks' })
      return [statusCode, headers['allow']]
    }
    const supported = app.supportedMethods.filter((method) => method !== 'POST')
    expect(supported).toContain('PROPFIND')
    for (const method of supported) expect(await statusOf(method)).toEqual([405, 'POST'])
    expect(await statusOf('MKCOL')).toEqual([404, undefined])
    await app.close()
  })

  it('works with inject', async () => {
    const app = version()
    app.register(krosaiWebhooks(handled()), { prefix: '/hooks' })
    const { method, headers, body } = completedCall()
    const response = await app.inject({ url: '/hooks', method, headers, body })
    expect([response.statusCode, response.body]).toEqual([200, '{"outcome":"handled"}'])
    const closing = await app.inject({
      url: '/hooks',
      method: 'PUT',
      headers: { connection: 'close' },
    })
    expect([closing.statusCode, closing.headers['allow']]).toEqual([405, 'POST'])
    await app.close()
  })

  it('works over HTTP/2', async () => {
    const app = version({ http2: true })
    app.register(krosaiWebhooks(handled()), { prefix: '/hooks' })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    const session = connect(`http://127.0.0.1:${port}`)
    const { method, headers, body } = completedCall()
    const stream = session.request({ ':method': method, ':path': '/hooks', ...headers })
    stream.setEncoding('utf8').end(body)
    const [head] = await once(stream, 'response')
    const [text] = await once(stream, 'data')
    expect([head[':status'], text]).toEqual([200, '{"outcome":"handled"}'])
    session.close()
    await app.close()
  })
})

function handled() {
  return { secret, logger: false, on: { 'call.completed': () => {} } } as const
}

/** Lets what the event loop has ready run on. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}
