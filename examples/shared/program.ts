import { realpathSync } from 'node:fs'
import type { Server } from 'node:http'
import { pathToFileURL } from 'node:url'
import { RinghookError } from 'ringhook'

/** A mistake of whoever started the program: told in its own words, without a stack. */
export class UsageError extends Error {}

/** Runs `main` if the module is the program, and not if it was imported. */
export async function runProgram(moduleUrl: string, main: () => Promise<void>): Promise<void> {
  const [, program] = process.argv
  if (program === undefined || moduleUrl !== pathToFileURL(realpathSync(program)).href) return
  try {
    await main()
  } catch (error) {
    console.error(explain(error))
    process.exitCode = 1
  }
}

/** Ends the program well when it is told to end. */
export function closeOnSignals(close: () => Promise<void>): void {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.once(signal, () => {
      console.log(`${signal}: letting handlers finish`)
      void close().then(() => console.log('Stopped'))
    })
  }
}

/** How long to accept after a signal, and how long handlers may take after that. */
export function closingTimes(env = process.env) {
  // As long as the load balancer takes to notice. Nothing stands in front of an example.
  return { acceptForMs: Number(env['ACCEPT_FOR_MS'] ?? 0), drainMs: 10_000 }
}

/** Ends a server when its answers are out. For after the receiver, and before the clients of its store. */
export async function endServer(server: Server): Promise<void> {
  // Connections of other routes that their senders go on using would keep it open.
  setTimeout(() => server.closeAllConnections(), 2_000).unref()
  await new Promise<void>((resolve) => server.close(() => resolve()))
}

/** The port to listen on, from the environment. 0 is any free one. */
export function readPort(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  throw new UsageError(
    `PORT is "${text}". Set it to a number from 0, which is any free port, to 65535.`,
  )
}

/** The port that a server listens on. */
export function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port.')
  return address.port
}

/** What to print about an error that ends the program. Without its stack where that helps nobody. */
function explain(error: unknown): string {
  if (error instanceof UsageError || error instanceof RinghookError) return error.message
  const { code, port } = error as { readonly code?: unknown; readonly port?: unknown }
  if (code === 'EADDRINUSE') {
    return `Port ${port} is taken. Set PORT to another one, or to 0 for any free port.`
  }
  if (code === 'EACCES') return `Port ${port} may not be used. Set PORT to one above 1023.`
  return error instanceof Error ? String(error.stack) : String(error)
}
