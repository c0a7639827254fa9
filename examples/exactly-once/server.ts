import { once } from 'node:events'
import express from 'express'
import { createReceiver, krosai } from 'ringhook'
import { webhooks } from 'ringhook/express'
import {
  closingTimes,
  endServer,
  portOf,
  readPort,
  runProgram,
  UsageError,
} from '../shared/program.ts'
import type { Ledger } from './ledger.ts'
import { mysqlLedger } from './mysql.ts'
import { postgresLedger } from './postgres.ts'
import { sqliteLedger } from './sqlite.ts'

export interface AppOptions {
  readonly secret: string | undefined
  readonly ledger: Ledger
}

/** The app without a port. The receiver comes with it, to be closed. */
export function createApp({ secret, ledger }: AppOptions) {
  const receiver = createReceiver(krosai, {
    secret,
    store: ledger.store,
    on: {
      'call.completed': ({ id, data }, context) =>
        ledger.record({ eventId: id, callId: data.call_id, seconds: data.duration }, context),
    },
  })
  const app = express()
  app.post('/hooks/krosai', webhooks(receiver))
  app.get('/ledger', async (_request, response) => {
    response.json(await ledger.lines())
  })
  return { app, receiver }
}

/** Opens the ledger at an address: `postgres://…`, `mysql://…` or `sqlite:file`. */
export async function openLedger(address: string): Promise<Ledger> {
  const [scheme] = address.split(':')
  switch (scheme) {
    case 'postgres':
    case 'postgresql':
      return await postgresLedger(address)
    case 'mysql':
      return await mysqlLedger(address)
    case 'sqlite':
      return await sqliteLedger(address.slice('sqlite:'.length))
    default:
      throw new UsageError(
        'The address of the database is none that is known. Give postgres://…, mysql://… or sqlite:file.',
      )
  }
}

/** Listens, until the process is told to end. */
export async function serve({ port, ...options }: AppOptions & { port: number }): Promise<void> {
  const { app, receiver } = createApp(options)
  const { ledger } = options
  const server = app.listen(port)
  await once(server, 'listening')
  console.log(`Listening on http://localhost:${portOf(server)}/hooks/krosai`)

  async function stop(signal: string): Promise<void> {
    console.log(`${signal}: letting handlers finish`)
    await receiver.close(closingTimes())
    await endServer(server)
    await ledger.close()
    console.log('Stopped')
  }
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void stop(signal))
}

await runProgram(import.meta.url, async () =>
  serve({
    port: readPort(process.env['PORT'], 3000),
    secret: process.env['KROSAI_WEBHOOK_SECRET'],
    ledger: await openLedger(process.argv[2] ?? ''),
  }),
)
