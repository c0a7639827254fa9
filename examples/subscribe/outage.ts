import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import {
  ApiError,
  createKrosaiApi,
  type KrosaiApi,
  type ReconcileReport,
  reconcile,
} from 'ringhook/krosai-api'
import { CallLog } from '../shared/call-log.ts'
import { openEventStore } from '../shared/event-store.ts'
import { portOf, runProgram } from '../shared/program.ts'
import { createEndpoint } from './server.ts'
import { serveApi } from './simulated-api.ts'
import { SimulatedKrosai } from './simulated-krosai.ts'

const apiKey = 'kros_test_simulated'
const minuteMs = 60_000
const hourMs = 60 * minuteMs

/** What an outage came to. */
export interface Aftermath {
  /** The ids of all events that happened. */
  readonly sent: readonly string[]
  /** The ids of those that were handled, once for each time. */
  readonly handled: readonly string[]
  readonly reports: readonly ReconcileReport[]
}

/**
 * An outage: the endpoint is gone, and half an hour later KrosAI too, for an hour in which it gives
 * up what falls due. Then both come back, and the endpoint heals what was left behind.
 */
export async function playOutage(say: (line: string) => void): Promise<Aftermath> {
  const krosai = new SimulatedKrosai()
  const endpoint = await Endpoint.open()
  const { url: baseUrl, close } = await serveApi(krosai, { apiKey })
  const api = createKrosaiApi({ apiKey, baseUrl, retry: { maxAttempts: 2, initialDelayMs: 1 } })
  try {
    const { id, secret = '' } = await api.ensureWebhook({ url: endpoint.url, events: ['call.*'] })
    endpoint.start(secret)
    await outage(krosai, endpoint, say)
    endpoint.start(secret)
    say('The endpoint is back.')
    const reports = await healing(krosai, api, endpoint, id, say)
    const sent = krosai.deliveries.map(({ payload }) => (payload as { readonly id: string }).id)
    return { sent, handled: endpoint.log.journal.map(({ eventId }) => eventId), reports }
  } finally {
    await endpoint.close()
    await close()
  }
}

async function outage(
  krosai: SimulatedKrosai,
  endpoint: Endpoint,
  say: (line: string) => void,
): Promise<void> {
  let calls = 0
  const call = () => krosai.send('call.failed', { ...parties, call_id: `call_${++calls}` })
  for (let minute = 0; minute < 3; minute++) {
    await call()
    await krosai.advance(minuteMs)
  }
  krosai.losesNextAnswer = true
  await call()
  say(`${calls} calls were handled. The answer to the last one got lost.`)

  await endpoint.stop()
  say('The endpoint is gone, and half an hour later KrosAI too.')
  for (let minute = 0; minute < 90; minute++) {
    krosai.isDown = minute >= 30
    await call()
    await krosai.advance(minuteMs)
  }
  krosai.isDown = false
  await call()
  const open = krosai.deliveries.filter(({ status }) => status !== 'delivered')
  say(
    `An hour after that, ${open.length} of ${calls} calls are not delivered, as far as KrosAI knows.`,
  )
}

/** Heals as a program would that is started again and again. */
async function healing(
  krosai: SimulatedKrosai,
  api: KrosaiApi,
  { receiver }: Endpoint,
  webhookId: string,
  say: (line: string) => void,
): Promise<readonly ReconcileReport[]> {
  const since = new Date(Date.now() - 24 * hourMs)
  const heal = async (maxRetries: number) => {
    const options = { webhookId, since, maxRetries, callsPerSecond: 100 }
    const report = await reconcile(receiver, api, options)
    const { retried, completed, pending, isComplete } = report
    say(
      `Asked for ${retried} again. ${completed} had finished, ${pending} are KrosAI's own to try again. ${isComplete ? 'That was all.' : 'There may be more.'}`,
    )
    return report
  }
  krosai.isDown = true
  await heal(1).catch((error: unknown) => {
    if (!(error instanceof ApiError)) throw error
    say(`KrosAI is still away: ${error.code}`)
  })
  krosai.isDown = false
  // As if the program ended in the middle of it.
  const reports = [await heal(20), await heal(1_000)]
  await krosai.advance(3 * hourMs)
  say('KrosAI has tried what it had still to try.')
  return [...reports, await heal(1_000)]
}

/** An endpoint that can be gone, with what outlives it: its store and its log of calls. */
class Endpoint {
  readonly log = new CallLog()
  readonly #events = openEventStore(':memory:')
  readonly #server = createServer((request, response) => {
    if (this.#app === undefined) request.socket.destroy()
    else this.#app(request, response)
  })
  #app: RequestListener | undefined
  #running: ReturnType<typeof createEndpoint> | undefined

  static async open(): Promise<Endpoint> {
    const endpoint = new Endpoint()
    await endpoint.#events.store.migrate()
    endpoint.#server.listen(0, '127.0.0.1')
    await once(endpoint.#server, 'listening')
    return endpoint
  }

  get url(): string {
    return `http://127.0.0.1:${portOf(this.#server)}/hooks/krosai`
  }

  get receiver() {
    if (this.#running === undefined) throw new Error('The endpoint is gone.')
    return this.#running.receiver
  }

  start(secret: string): void {
    this.#running = createEndpoint({ secret, store: this.#events.store, log: this.log })
    this.#app = this.#running.app
  }

  async stop(): Promise<void> {
    this.#app = undefined
    await this.#running?.receiver.close()
  }

  async close(): Promise<void> {
    await this.stop()
    this.#server.closeAllConnections()
    this.#server.close()
    this.#events.close()
  }
}

const parties = {
  direction: 'outbound',
  from_number: '+2348012345678',
  to_number: '+14155551234',
  error_code: 'NETWORK_ERROR',
  error_message: 'Failed to establish connection',
}

await runProgram(import.meta.url, async () => {
  const { sent, handled } = await playOutage(console.log)
  const isOnce = sent.length === handled.length && new Set(handled).size === sent.length
  console.log(`${sent.length} calls happened, ${handled.length} were handled.`)
  console.log(isOnce ? 'Every one was handled exactly once.' : 'That is not once for each.')
  if (!isOnce) process.exitCode = 1
})
