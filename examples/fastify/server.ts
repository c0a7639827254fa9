import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import { createReceiver, type IdempotencyStore, krosai, type Logger, type Outcome } from 'ringhook'
import { webhooks } from 'ringhook/fastify'
import { CallLog, callLogHandlers } from '../shared/call-log.ts'
import { openEventStore } from '../shared/event-store.ts'
import { closingTimes, portOf, readPort, runProgram } from '../shared/program.ts'

export interface AppOptions {
  readonly secret: string | undefined
  readonly log?: CallLog
  /** Where finished events are remembered. Default: in this process. */
  readonly store?: IdempotencyStore
  readonly onOutcome?: (outcome: Outcome) => void
  readonly logger?: Logger | false
}

interface NoteRequest {
  readonly Params: { readonly id: string }
  readonly Body: { readonly note?: unknown } | undefined
}

/** The app without a port. The receiver comes with it, to be closed. */
export async function createApp({ log = new CallLog(), ...options }: AppOptions) {
  const receiver = createReceiver(krosai, { ...options, on: callLogHandlers(log) })
  const app = Fastify()

  // Fastify's own parsers stay as they are for the routes beside it.
  await app.register(webhooks(receiver), { prefix: '/hooks/krosai' })

  app.get('/calls', async () => ({ calls: log.calls, journal: log.journal }))
  app.post<NoteRequest>('/calls/:id/notes', async (request, reply) => {
    const isFound = log.addNote(request.params.id, String(request.body?.note))
    reply.code(isFound ? 201 : 404)
    return { added: isFound }
  })
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
  const { app, receiver } = await createApp({ ...options, store })
  // At every start: it makes the table unless it is there.
  await store.migrate()
  await app.listen({ port })
  console.log(`Listening on http://localhost:${portOf(app.server)}/hooks/krosai`)
  console.log(`Finished events are remembered in ${relative('', file)}`)

  async function stop(signal: string): Promise<void> {
    console.log(`${signal}: letting handlers finish`)
    // First the receiver: what runs may finish, what comes now is told to come again.
    const { drained } = await receiver.close(closingTimes())
    await app.close()
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
