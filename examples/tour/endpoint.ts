import { once } from 'node:events'
import { setTimeout as passTime } from 'node:timers/promises'
import type { Receiver } from 'ringhook'
import { sqliteInbox } from 'ringhook/inboxes/sqlite'
import type { CommonOptions, createApp, InboxAppOptions } from '../express/server.ts'
import { openEventStore } from '../shared/event-store.ts'
import { portOf } from '../shared/program.ts'

/** Makes the app that is shown. */
export type CreateApp = (options: InboxAppOptions) => Pick<ReturnType<typeof createApp>, 'app'> & {
  readonly receiver: Pick<Receiver, 'start' | 'close' | 'inbox'>
}

/** What the endpoint is made from. */
export interface EndpointOptions extends CommonOptions {
  readonly create: CreateApp
  readonly port: number
  /** The inbox, and beside it what is remembered of events that have finished. */
  readonly file: string
}

/** How long to wait for the worker to be done. */
const patienceMs = 12_000

/** Soon enough to be watched. */
const retry = { maxAttempts: 3, initialDelayMs: 40 }

/** The endpoint that is shown, with its worker. Closed and opened again, it has nothing but its file. */
export class Endpoint {
  readonly #options: EndpointOptions
  #opened: Awaited<ReturnType<typeof open>>

  private constructor(options: EndpointOptions, opened: Awaited<ReturnType<typeof open>>) {
    this.#options = options
    this.#opened = opened
  }

  static async open(options: EndpointOptions): Promise<Endpoint> {
    return new Endpoint(options, await open(options, true))
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#opened.port}`
  }

  get inbox(): Receiver['inbox'] {
    return this.#opened.receiver.inbox
  }

  /** Resolves when nothing in the inbox is with the worker. */
  async settled(): Promise<void> {
    const signal = AbortSignal.timeout(patienceMs)
    while (!signal.aborted && (await this.inbox.stats()).running > 0) await passTime(1)
  }

  /** Closes it, and opens it with or without a worker. */
  async restart({ hasWorker }: { readonly hasWorker: boolean }): Promise<void> {
    const { port } = this.#opened
    await this.#opened.close()
    this.#opened = await open({ ...this.#options, port }, hasWorker)
  }

  close(): Promise<void> {
    return this.#opened.close()
  }
}

async function open({ create, port, file, ...options }: EndpointOptions, hasWorker: boolean) {
  const { store, database, close } = openEventStore(file)
  const inbox = sqliteInbox(database, { pollMs: 10 })
  const { app, receiver } = create({ ...options, store, inbox, retry })
  await store.migrate()
  await inbox.migrate()
  const server = app.listen(port, '127.0.0.1')
  await once(server, 'listening')
  if (hasWorker) await receiver.start()

  return {
    receiver,
    port: portOf(server),
    async close() {
      await receiver.close({ drainMs: 10_000 })
      await new Promise<void>((resolve) => server.close(() => resolve()))
      close()
    },
  }
}
