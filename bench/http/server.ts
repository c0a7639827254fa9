/** One subject on a port of its own. Started by measure.ts with the framework and the subject. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Question } from '../processes.ts'
import type { OnCall } from './by-hand.ts'
import type { Framework, ServerReport, Subject } from './subjects.ts'

let calls = 0

async function onCall(): Promise<void> {
  calls++
}

const [framework, subject] = process.argv.slice(2) as [Framework, Subject]
const server = await start(framework, subject, onCall)

/** Loads one framework, and none of the others. */
async function start(of: Framework, what: Subject, handler: OnCall): Promise<Server> {
  switch (of) {
    case 'express':
      return listening(createServer((await import('./express.ts'))[what](handler)))
    case 'koa':
      return listening(createServer((await import('./koa.ts'))[what](handler).callback()))
    case 'node':
      return listening(createServer((await import('./node.ts'))[what](handler)))
    case 'fastify': {
      const app = (await import('./fastify.ts'))[what](handler)
      await app.listen({ port: 0, host: '127.0.0.1' })
      return app.server
    }
  }
}

function listening(http: Server): Promise<Server> {
  return new Promise((resolve) => http.listen(0, '127.0.0.1', () => resolve(http)))
}

function report(question: Question): void {
  if (question === 'collected') globalThis.gc?.()
  const { user, system } = process.cpuUsage()
  const { port } = server.address() as AddressInfo
  const { rss } = process.memoryUsage()
  process.send?.({ port, calls, cpuUs: user + system, rss } satisfies ServerReport)
}

process.on('message', (question) => report(question as Question))
process.on('disconnect', () => process.exit())
report('as it is')
