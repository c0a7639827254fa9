import { once } from 'node:events'
import { bodyParser } from '@koa/bodyparser'
import Router from '@koa/router'
import Koa from 'koa'
import { createReceiver, krosai, type Logger, type Outcome } from 'ringhook'
import { webhooks } from 'ringhook/koa'
import { CallLog, callLogHandlers } from '../shared/call-log.ts'
import { portOf, readPort, runProgram } from '../shared/program.ts'

export interface AppOptions {
  readonly secret: string | undefined
  readonly log?: CallLog
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

/** Listens, until the process is told to end. */
export async function serve({ port, ...options }: AppOptions & { port: number }): Promise<void> {
  const { app, receiver } = createApp(options)
  const server = app.listen(port)
  await once(server, 'listening')
  console.log(`Listening on http://localhost:${portOf(server)}/hooks/krosai`)

  async function stop(signal: string): Promise<void> {
    console.log(`${signal}: letting handlers finish`)
    // First the receiver: what runs may finish, what comes now is told to come again.
    const { drained } = await receiver.close({ drainMs: 10_000 })
    server.close(() => console.log(drained ? 'Stopped' : 'Stopped with handlers still running'))
  }
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void stop(signal))
}

await runProgram(import.meta.url, () =>
  serve({
    port: readPort(process.env['PORT'], 3000),
    secret: process.env['KROSAI_WEBHOOK_SECRET'],
  }),
)
