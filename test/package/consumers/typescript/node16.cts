import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  createReceiver,
  type EventOf,
  krosai,
  memoryStore,
  RinghookError,
  type RoutingTable,
} from 'ringhook'
import { storeContract } from 'ringhook/conformance'
import { type ExpressHandler, krosaiWebhooks } from 'ringhook/express'
import { krosaiWebhooks as fastifyWebhooks } from 'ringhook/fastify'
import { krosaiWebhooks as koaWebhooks } from 'ringhook/koa'
import { deliver, fixture, signedRequest } from 'ringhook/testing'
import { z } from 'zod'

interface App {
  post(path: string, handler: ExpressHandler): void
  listen(port: number, host: string): Server
}

const express: () => App = require('express')
const secret = 'a secret of the consumer'

// Exported, so that the compiler has to name their types in the declarations that it writes.
export const receiver = createReceiver(krosai, {
  secret,
  events: { 'call.noted': z.object({ note: z.string() }) },
  on: {
    'call.completed': (event) => void event.data.call_id.toUpperCase(),
    'call.noted': (event) => void event.data.note.toUpperCase(),
  },
})
const traced = <Event, Context, Result>(handler: (event: Event, context: Context) => Result) =>
  handler
export const table: RoutingTable<typeof krosai> = { '*': (event) => void event.type }
export const onExpress = krosaiWebhooks({
  secret,
  on: {
    ...table,
    'call.completed': (event: EventOf<typeof krosai, 'call.completed'>) => void event.data.duration,
    'call.failed': traced((event, { attempt }) => void `${event.data.error_code} ${attempt}`),
    'phone_number.*': (event: EventOf<typeof krosai, 'phone_number.*'>) =>
      void event.data.phone_number_id,
  },
})
export const onKoa = koaWebhooks({ secret, on: { 'call.*': () => {} } })
export const onFastify = fastifyWebhooks({ secret, on: { '*': () => {} } })
export const payload = fixture(krosai, 'call.completed', { data: { duration: 7 } })
export const contract = (test: (name: string, run: () => Promise<void>) => unknown) =>
  storeContract({ test, create: ({ clock }) => memoryStore({ clock }) })

void consume().then((report) => console.log(JSON.stringify(report)))

async function consume(): Promise<unknown> {
  const app = express()
  app.post('/hooks', onExpress)
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const response = await fetch(
    `http://127.0.0.1:${port}/hooks`,
    signedRequest(krosai, payload, { secret }),
  )
  const answer = { status: response.status, body: await response.json() }
  server.close()
  const { status, outcome } = await deliver(receiver, 'call.completed')
  return { answer, delivered: { status, outcome }, refusal: refusal() }
}

function refusal(): unknown {
  try {
    return krosaiWebhooks({ secret: undefined, on: {} })
  } catch (error) {
    return error instanceof RinghookError && { known: true, code: error.code }
  }
}
