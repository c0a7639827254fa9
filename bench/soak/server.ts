/**
 * The endpoint that is soaked, on a port of its own. Its handler fails for the first delivery of
 * every event that is called so. Started by report.ts, which asks it for its state.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { krosaiWebhooks } from '../../src/express.ts'
import { memoryStore } from '../../src/index.ts'
import { secret } from '../deliveries.ts'
import type { Question } from '../processes.ts'

export interface SoakReport {
  readonly port: number
  /** Processor time since it started, in µs. */
  readonly cpuUs: number
  /** In bytes. */
  readonly rss: number
  readonly heap: number
}

const failed = new Set<string>()
const app = express()
app.post(
  '/hooks',
  krosaiWebhooks({
    secret,
    logger: false,
    // Full after some seconds, so that what remembered events take is the same from then on.
    store: memoryStore({ maxEntries: 20_000, logger: false }),
    on: {
      'call.completed': async ({ id }) => {
        if (!id.startsWith('evt_fail') || failed.delete(id)) return
        failed.add(id)
        throw new Error('the first attempt fails')
      },
    },
  }),
)
const server = createServer(app)
server.listen(0, '127.0.0.1', () => report('as it is'))
process.on('message', (question) => report(question as Question))
process.on('disconnect', () => process.exit())

function report(question: Question): void {
  if (question === 'collected') globalThis.gc?.()
  const { user, system } = process.cpuUsage()
  const { rss, heapUsed: heap } = process.memoryUsage()
  const { port } = server.address() as AddressInfo
  process.send?.({ port, cpuUs: user + system, rss, heap } satisfies SoakReport)
}
