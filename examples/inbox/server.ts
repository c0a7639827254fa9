import { once } from 'node:events'
import express from 'express'
import { webhooks } from 'ringhook/express'
import { closeOnSignals, portOf, readPort, runProgram } from '../shared/program.ts'
import { openReceiver } from './receiver.ts'

/** Listens, until `close`. */
export async function serve({ port, hasWorker }: { port: number; hasWorker: boolean }) {
  const { receiver, journal, close } = await openReceiver()
  const app = express()
  app.post('/hooks/krosai', webhooks(receiver))
  app.get('/journal', async (_request, response) => {
    response.json(await journal.read())
  })
  const server = app.listen(port)
  await once(server, 'listening').catch(async (error) => {
    await close()
    throw error
  })
  if (hasWorker) await receiver.start()
  console.log(`Listening on http://localhost:${portOf(server)}/hooks/krosai`)

  return { close: () => close(server) }
}

await runProgram(import.meta.url, async () => {
  const { argv, env } = process
  const port = readPort(env['PORT'], 3000)
  const { close } = await serve({ port, hasWorker: argv.includes('--worker') })
  closeOnSignals(close)
})
