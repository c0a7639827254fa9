import { once } from 'node:events'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bodyParser } from '@koa/bodyparser'
import Router from '@koa/router'
import Koa from 'koa'
import { createReceiver, type IdempotencyStore, krosai, type Logger, type Outcome } from 'ringhook'
import { webhooks } from 'ringhook/koa'
import { CallLog, callLogHandlers } from '../shared/call-log.ts'
import { openEventStore } from '../shared/event-store.ts'
import { closingTimes, endServer, portOf, readPort, runProgram } from '../shared/program.ts'

export interface AppOptions {
  readonly secret: string | undefined
  readonly log?: CallLog
  /** Where finished events are remembered. Default: in this process. */
  readonly store?: IdempotencyStore
  readonly onOutcome?: (outcome: Outcome) => void
  readonly logger?: Logger | false
}

/** The app without a port. The receiver comes with it, to be closed. */
export function createApp({ log = new CallLog(), ...options }: AppOptions) {
  const receiver = createReceiver(krosai, { ...options, on: callLogHandlers(log) })
  const router = new Router()

  // No parser for the whole app: a signature is over the bytes that arrived.
  router.post('/hooks/krosai', webhooks(receiver))

  router.get('/calls', (context) => {
    context.body = { calls: log.calls, journal: log.journal }
  })
  router.post('/calls/:id/notes', bodyParser(), (context) => {
    const { note } = context.request.body as { readonly note?: unknown }
    const isFound = log.addNote(context.params['id'] ?? '', String(note))
    context.status = isFound ? 201 : 404
    context.body = { added: isFound }
  })
  const app = new Koa()
  app.use(router.routes())
  app.use(router.allowedMethods())
  return { app, receiver }
}

export interface ServeOptions extends Omit<AppOptions, 'store'> {
  readonly port: number
  /** A SQLite file: events that are finished stay so when the process ends. */
  readonly file: string
}

/** Listens, until the process is told to end. */
export async function serve({ port, file, ...options }: ServeOptions): Promise<void> {
  const { store, close } = openEventStore(file)
  process.once('exit', close)
  const { app, receiver } = createApp({ ...options, store })
  // At every start: it makes the table unless it is there.
  await store.migrate()
  const server = app.listen(port)
  await once(server, 'listening')
  console.log(`Listening on http://localhost:${portOf(server)}/hooks/krosai`)
  console.log(`Finished events are remembered in ${relative('', file)}`)

  async function stop(signal: string): Promise<void> {
    console.log(`${signal}: letting handlers finish`)
    // First the receiver: what runs may finish, what comes now is told to come again.
    const { drained } = await receiver.close(closingTimes())
    await endServer(server)
    console.log(drained ? 'Stopped' : 'Stopped with handlers still running')
  }
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void stop(signal))
}

await runProgram(import.meta.url, () =>
  serve({
    port: readPort(process.env['PORT'], 3000),
    secret: process.env['KROSAI_WEBHOOK_SECRET'],
    file: process.env['RINGHOOK_DB'] ?? fileURLToPath(new URL('ringhook.db', import.meta.url)),
  }),
)
