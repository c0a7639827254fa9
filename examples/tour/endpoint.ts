import { once } from 'node:events'
import type { AppOptions, createApp } from '../express/server.ts'
import { openEventStore } from '../shared/event-store.ts'
import { portOf } from '../shared/program.ts'

/** Makes the app that is shown. */
export type CreateApp = (
  options: AppOptions,
) => Pick<ReturnType<typeof createApp>, 'app' | 'receiver'>

/** What the endpoint is made from. */
export interface EndpointOptions extends Omit<AppOptions, 'store'> {
  readonly create: CreateApp
  readonly port: number
  /** Where it remembers which events are finished. */
  readonly file: string
}

/** The endpoint that is shown. Closed and opened again, it has nothing but its file. */
export class Endpoint {
  readonly #options: EndpointOptions
  #opened: Awaited<ReturnType<typeof open>>

  private constructor(options: EndpointOptions, opened: Awaited<ReturnType<typeof open>>) {
    this.#options = options
    this.#opened = opened
  }

  static async open(options: EndpointOptions): Promise<Endpoint> {
    return new Endpoint(options, await open(options))
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#opened.port}`
  }

  async restart(): Promise<void> {
    const { port } = this.#opened
    await this.#opened.close()
    this.#opened = await open({ ...this.#options, port })
  }

  close(): Promise<void> {
    return this.#opened.close()
  }
}

async function open({ create, port, file, ...options }: EndpointOptions) {
  const events = openEventStore(file)
  const { app, receiver } = create({ ...options, store: events.store })
  await events.store.migrate()
  const server = app.listen(port, '127.0.0.1')
  await once(server, 'listening')

  return {
    port: portOf(server),
    async close() {
      await receiver.close({ drainMs: 10_000 })
      await new Promise<void>((resolve) => server.close(() => resolve()))
      events.close()
    },
  }
}
