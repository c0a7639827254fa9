import { once } from 'node:events'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import express from 'express'
import {
  createReceiver,
  type IdempotencyStore,
  type Inbox,
  krosai,
  type Logger,
  type Outcome,
  type RetryOptions,
} from 'ringhook'
import { webhooks } from 'ringhook/express'
import { CallLog, callLogHandlers } from '../shared/call-log.ts'
import { openEventStore } from '../shared/event-store.ts'
import { closingTimes, endServer, portOf, readPort, runProgram } from '../shared/program.ts'

export interface CommonOptions {
  readonly secret: string | undefined
  readonly log?: CallLog
  readonly onOutcome?: (outcome: Outcome) => void
  readonly logger?: Logger | false
}

/** An app that handles deliveries before it answers. */
export interface InlineAppOptions extends CommonOptions {
  /** Where completed events are remembered. Default: in this process. */
  readonly store?: IdempotencyStore
}

/** An app that keeps deliveries until a worker has handled them. */
export interface InboxAppOptions extends CommonOptions {
  readonly store: IdempotencyStore
  readonly inbox: Inbox
  /** How the worker repeats what failed. */
  readonly retry?: RetryOptions
}

export type AppOptions = InlineAppOptions | InboxAppOptions

/** The app without a port. The receiver comes with it, to be closed. */
export function createApp({ log = new CallLog(), ...options }: AppOptions) {
  const receiver = createReceiver(krosai, { ...options, on: callLogHandlers(log) })
  const app = express()

  // Before the parser: a signature is over the bytes that arrived.
  app.post('/hooks/krosai', webhooks(receiver))

  app.use(express.json())
  app.get('/calls', (_request, response) => {
    response.json({ calls: log.calls, journal: log.journal })
  })
  app.post('/calls/:id/notes', (request, response) => {
    const isFound = log.addNote(request.params.id, String(request.body?.note))
    response.status(isFound ? 201 : 404).json({ added: isFound })
  })
  return { app, receiver }
}

export interface ServeOptions extends CommonOptions {
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
