import { once } from 'node:events'
import type { Server } from 'node:http'
import express, { type Request, type Response } from 'express'
import { z } from 'zod'
import { portOf } from '../shared/program.ts'
import type { SimulatedDelivery, SimulatedKrosai } from './simulated-krosai.ts'

const url = z.url()
const events = z.array(
  z.enum([
    'call.started',
    'call.completed',
    'call.failed',
    'call.recording.ready',
    'transcription.completed',
    'number.provisioned',
    'number.released',
  ]),
)
const creation = z.object({
  url,
  events: events.min(1),
  active: z.boolean().default(true),
})
const change = z.object({ url, events, active: z.boolean() }).partial()

/** A simulated KrosAI's management API, on a port of this machine. */
export interface SimulatedApi {
  /** For `baseUrl`. */
  readonly url: string
  readonly close: () => Promise<void>
}

/** Serves the webhook API as its document describes it, and the delivery history as far as it is known. */
export async function serveApi(
  krosai: SimulatedKrosai,
  { apiKey, port = 0 }: { readonly apiKey: string; readonly port?: number },
): Promise<SimulatedApi> {
  const api = express()
  api.use((request, response, next) => {
    if (krosai.isDown) refuse(response, 503, 'unavailable')
    else if (keyOf(request) !== apiKey) refuse(response, 401, 'unauthorized')
    else next()
  }, express.json())
  addWebhooks(api, krosai)
  addDeliveries(api, krosai)

  const server = api.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${portOf(server)}`, close: () => close(server) }
}

function addWebhooks(api: express.Express, krosai: SimulatedKrosai): void {
  const found = ({ params }: Request, response: Response) => {
    const webhook = krosai.webhooks.get(String(params['id']))
    if (webhook === undefined) refuse(response, 404, 'not_found')
    return webhook
  }
  api.get('/webhooks', (_request, response) => {
    response.json([...krosai.webhooks.values()])
  })
  api.post('/webhooks', ({ body }, response) => {
    const wanted = creation.safeParse(body)
    if (!wanted.success) refuse(response, 400, 'invalid_request')
    else response.status(201).json(krosai.subscribe(wanted.data))
  })
  api.get('/webhooks/:id', (request, response) => {
    const webhook = found(request, response)
    if (webhook !== undefined) response.json(webhook)
  })
  api.patch('/webhooks/:id', (request, response) => {
    const webhook = found(request, response)
    if (webhook === undefined) return
    const wanted = change.safeParse(request.body)
    if (!wanted.success) refuse(response, 400, 'invalid_request')
    else response.json(krosai.change(webhook, defined(wanted.data)))
  })
  api.delete('/webhooks/:id', (request, response) => {
    const webhook = found(request, response)
    if (webhook === undefined) return
    krosai.webhooks.delete(webhook.id)
    response.status(204).end()
  })
  api.post('/webhooks/:id/test', async (request, response) => {
    const webhook = found(request, response)
    if (webhook === undefined) return
    const status = await krosai.test(webhook)
    const success = status !== null && status < 300
    response.json({ success, status_code: status, message: success ? 'delivered' : 'failed' })
  })
}

function addDeliveries(api: express.Express, krosai: SimulatedKrosai): void {
  const found = ({ params }: Request, response: Response) => {
    const delivery = krosai.deliveries.find(({ id }) => id === params['id'])
    if (delivery === undefined) refuse(response, 404, 'not_found')
    return delivery
  }
  api.get('/webhook-deliveries', ({ query }, response) => {
    const { page: number, limit: size, webhook_id: webhookId } = query
    const [page, limit] = [Number(number ?? 1), Number(size ?? 20)]
    const all = krosai.deliveries.filter(
      ({ webhook_id: id }) => webhookId === undefined || id === webhookId,
    )
    response.json({
      data: all.slice((page - 1) * limit, page * limit).map(inList),
      total: all.length,
      page,
      limit,
      total_pages: Math.ceil(all.length / limit),
      summary: summaryOf(all),
    })
  })
  api.get('/webhook-deliveries/:id', (request, response) => {
    const delivery = found(request, response)
    if (delivery !== undefined) response.json(delivery)
  })
  api.post('/webhook-deliveries/:id/retry', async (request, response) => {
    const delivery = found(request, response)
    if (delivery === undefined) return
    await krosai.retry(delivery)
    response.json({})
  })
}

function inList({ id, webhook_id, event_type, status }: SimulatedDelivery) {
  return { id, webhook_id, event_type, status }
}

function summaryOf(all: readonly SimulatedDelivery[]) {
  const count = (status: string) => all.filter((delivery) => delivery.status === status).length
  const [delivered, failed, pending] = [count('delivered'), count('failed'), count('pending')]
  const total = all.length
  return { total, delivered, failed, pending, success_rate: total === 0 ? 0 : delivered / total }
}

function keyOf(request: Request): string | undefined {
  return request.get('authorization')?.replace('Bearer ', '') ?? request.get('x-api-key')
}

function refuse(response: Response, status: number, code: string): void {
  response.status(status).json({ error: `Refused: ${code}`, code })
}

/** Without what is `undefined`: it would overwrite what is there. */
function defined<Fields extends object>(fields: Fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
}
