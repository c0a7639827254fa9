import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import express4 from 'express-4'
import expressOldest from 'express-oldest'
import Fastify, { type FastifyInstance } from 'fastify'
import FastifyOldest from 'fastify-oldest'
import Koa from 'koa'
import KoaOldest from 'koa-oldest'
import type { Receiver } from 'ringhook'
import { webhooks as expressWebhooks } from 'ringhook/express'
import { webhooks as fastifyWebhooks } from 'ringhook/fastify'
import { webhooks as koaWebhooks } from 'ringhook/koa'

/** A server on a free port of the loopback interface. */
export interface Served {
  readonly url: string
  /** Rejects if the framework was given an error to handle meanwhile. */
  close(): Promise<void>
}

/** A framework with a receiver mounted on it at `/hooks`. */
export interface Framework {
  readonly name: string
  serve(receiver: Receiver): Promise<Served>
}

export const expressVersions = [
  { name: 'Express 4.18.0', express: expressOldest },
  { name: 'Express 4', express: express4 },
  { name: 'Express 5', express },
] as const

export const koaVersions = [
  { name: 'Koa 2.15.0', Koa: KoaOldest },
  { name: 'Koa 3', Koa },
] as const

export const fastifyVersions = [
  // The same interface as far as the tests go.
  { name: 'Fastify 5.0.0', Fastify: FastifyOldest as unknown as typeof Fastify },
  { name: 'Fastify 5', Fastify },
] as const

export const frameworks: readonly Framework[] = [
  { name: 'node:http', serve: (receiver) => listen(expressWebhooks(receiver)) },
  ...expressVersions.map(({ name, express: version }) => ({
    name,
    serve: (receiver: Receiver) => {
      const app = version()
      app.use('/hooks', expressWebhooks(receiver))
      return serveExpress(app)
    },
  })),
  ...koaVersions.map(({ name, Koa: Version }) => ({
    name,
    serve: (receiver: Receiver) => {
      const app = new Version()
      app.use(koaWebhooks(receiver))
      return serveKoa(app)
    },
  })),
  ...fastifyVersions.map(({ name, Fastify: version }) => ({
    name,
    serve: (receiver: Receiver) => {
      const app = version()
      app.register(fastifyWebhooks(receiver), { prefix: '/hooks' })
      return serveFastify(app)
    },
  })),
]

/** Serves an Express app, with an error handler after everything that is mounted on it. */
export function serveExpress(app: ReturnType<typeof express>): Promise<Served> {
  const errors: unknown[] = []
  app.use(
    (
      error: unknown,
      _request: unknown,
      response: { status(code: number): { end(): void } },
      _next: unknown,
    ) => {
      errors.push(error)
      response.status(500).end()
    },
  )
  return listen(app, errors)
}

/** Serves a Koa app. */
export function serveKoa(app: Koa): Promise<Served> {
  const errors: unknown[] = []
  app.on('error', (error: Error & { readonly code?: string }) => {
    // Koa's own report of a connection that broke off, whatever is mounted on it.
    if (!/^(HPE_|ECONN|EPIPE)/.test(error.code ?? '')) errors.push(error)
  })
  return listen(app.callback(), errors)
}

/** Serves a Fastify app, with the error handler that all of its plugins inherit. */
export async function serveFastify(app: FastifyInstance): Promise<Served> {
  const errors: unknown[] = []
  app.addHook('onError', async (_request, _reply, error) => {
    errors.push(error)
  })
  await app.ready()
  await new Promise<void>((resolve) => app.server.listen(0, '127.0.0.1', resolve))
  return served(app.server, errors, async () => app.close())
}

/** Serves whatever takes Node's requests. */
export async function listen(listener: RequestListener, errors: unknown[] = []): Promise<Served> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return served(server, errors, () => new Promise<void>((resolve) => server.close(() => resolve())))
}

function served(server: Server, errors: unknown[], stop: () => Promise<void>): Served {
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/hooks`,
    close: async () => {
      const stopped = stop()
      server.closeAllConnections()
      await stopped
      if (errors.length > 0) throw new AggregateError(errors, 'the framework was given errors')
    },
  }
}
