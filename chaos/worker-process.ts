import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Order, ProcessSettings, Ready } from './endpoint.ts'

/** Gives what this process was told when it was started, and has it end with the run. */
export function settingsOfThis<Settings extends ProcessSettings>(): Settings {
  // It must not outlive the run, whatever became of that.
  process.on('disconnect', () => process.exit())
  // Ctrl-C reaches every process of the terminal. When to end is for the run to say.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
  return JSON.parse(process.argv[2] ?? '')
}

/** Opens an HTTP server. The adapters come without their frameworks, which would take most of the time that a worker needs to start. */
export async function listen(listener: RequestListener): Promise<Server> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

/** Says that this worker has begun. */
export function sayReady(server: Server | undefined): void {
  const port = server && (server.address() as AddressInfo).port
  process.send?.({ ready: true, ...(port !== undefined && { port }) } satisfies Ready)
}

/** Has orders carried out, and the process end after the last of them. */
export function takeOrders(obey: (order: Order) => void, close: () => Promise<unknown>): void {
  process.on('message', (order: Order) => {
    if (order.order !== 'close') return obey(order)
    void close().then(() => process.exit())
  })
}
