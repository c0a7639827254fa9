import { once } from 'node:events'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { createReceiver, type IdempotencyStore, krosai, type Logger, type Receiver } from 'ringhook'
import { webhooks } from 'ringhook/express'
import { createKrosaiApi, type EnsuredWebhook, reconcile } from 'ringhook/krosai-api'
import { CallLog, callLogHandlers } from '../shared/call-log.ts'
import { openEventStore } from '../shared/event-store.ts'
import {
  closeOnSignals,
  closingTimes,
  endServer,
  portOf,
  readPort,
  runProgram,
  UsageError,
} from '../shared/program.ts'

export interface EndpointOptions {
  readonly secret: string
  readonly store: IdempotencyStore
  readonly log?: CallLog
  readonly logger?: Logger | false
}

/** The app without a port, and its receiver, to be closed. */
export function createEndpoint({ log = new CallLog(), ...options }: EndpointOptions) {
  const receiver = createReceiver(krosai, { ...options, on: callLogHandlers(log) })
  const app = express()
  app.post('/hooks/krosai', webhooks(receiver))
  app.get('/calls', (_request, response) => {
    response.json({ calls: log.calls, journal: log.journal })
  })
  return { app, receiver }
}

interface Settings {
  readonly apiKey: string | undefined
  /** Another address than KrosAI's, such as that of the simulation. */
  readonly apiUrl: string | undefined
  /** Where KrosAI reaches this program. */
  readonly publicUrl: string | undefined
  /** The secret of a webhook that is there already, if the API does not give it again. */
  readonly secret: string | undefined
  readonly port: number
  readonly file: string
}

/** Subscribes, listens, has KrosAI try the endpoint, and heals what an outage left behind. */
async function serve({ apiKey, apiUrl, publicUrl, port, file, ...settings }: Settings) {
  const api = createKrosaiApi({ apiKey, ...(apiUrl !== undefined && { baseUrl: apiUrl }) })
  // First of all: a port that is taken is found out before KrosAI is told of it.
  const server = createServer().listen(port)
  await once(server, 'listening')
  const local = `http://localhost:${portOf(server)}`

  const webhook = await api.ensureWebhook({
    url: new URL('/hooks/krosai', publicUrl ?? local).href,
    events: ['call.*', 'recording.ready', 'transcript.ready'],
  })
  const secret = tell(webhook) ?? settings.secret
  if (secret === undefined) {
    server.close()
    throw new UsageError(
      'The API does not give the secret of this webhook. Set KROSAI_WEBHOOK_SECRET to the one that was shown when it was created.',
    )
  }

  const { store, close } = openEventStore(file)
  await store.migrate()
  const { app, receiver } = createEndpoint({ secret, store })
  server.on('request', app)
  console.log(`Listening on ${local}/hooks/krosai`)
  closeOnSignals(async () => {
    await receiver.close(closingTimes())
    await endServer(server)
    close()
  })

  const { success, status_code: status } = await api.webhooks.test(webhook.id)
  console.log(`Test call: ${success ? 'delivered' : 'not delivered'}, answered ${status}`)
  await heal(receiver, api, webhook.id)
}

/** Says what was done. A secret is printed once: when it was made. */
function tell({ id, action, secret, changes, leftOut }: EnsuredWebhook): string | undefined {
  console.log(`Webhook ${id}: ${action}`)
  for (const [field, change] of Object.entries(changes)) {
    console.log(`  ${field}: ${String(change.from)} → ${String(change.to)}`)
  }
  if (leftOut.length > 0) console.log(`Not to be had at the API: ${leftOut.join(', ')}`)
  if (action === 'created' && secret !== undefined) {
    console.log(`Its secret, shown this once: ${secret}`)
  }
  return secret
}

type Api = ReturnType<typeof createKrosaiApi>

/** What KrosAI could not deliver during the last day, for every start. */
async function heal(receiver: Receiver, api: Api, webhookId: string): Promise<void> {
  const since = new Date(Date.now() - 24 * 3_600_000)
  const report = await reconcile(receiver, api, { webhookId, since })
  console.log(
    `Healed: ${report.retried} asked for again, ${report.completed} had finished, ${report.pending} are still tried by KrosAI`,
  )
  if (!report.isComplete) console.log('There may be more: start again later')
}

await runProgram(import.meta.url, () =>
  serve({
    apiKey: process.env['KROSAI_API_KEY'],
    apiUrl: process.env['KROSAI_API_URL'],
    publicUrl: process.env['PUBLIC_URL'],
    secret: process.env['KROSAI_WEBHOOK_SECRET'],
    port: readPort(process.env['PORT'], 3000),
    file: process.env['RINGHOOK_DB'] ?? fileURLToPath(new URL('ringhook.db', import.meta.url)),
  }),
)
