/** One subject on a port of its own. Started by http.ts with the framework and the subject. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { OnCall } from './by-hand.ts'
import * as express from './express.ts'
import * as fastify from './fastify.ts'
import * as koa from './koa.ts'

export type Framework = 'express' | 'koa' | 'fastify'
export type Subject = 'bare' | 'byHand' | 'ringhook'

/** What a server tells when it has started, and whenever it is asked. */
export interface ServerReport {
  readonly port: number
  /** How many calls its handler was given since it started. */
  readonly calls: number
  /** Processor time since it started, in microseconds. */
  readonly cpuUs: number
}

let calls = 0

async function onCall(): Promise<void> {
  calls++
}

const [framework, subject] = process.argv.slice(2) as [Framework, Subject]
const server = await start(framework, subject, onCall)

async function start(of: Framework, what: Subject, handler: OnCall): Promise<Server> {
  if (of === 'fastify') {
    const app = fastify[what](handler)
    await app.listen({ port: 0, host: '127.0.0.1' })
    return app.server
  }
  const listener = of === 'express' ? express[what](handler) : koa[what](handler).callback()
  const http = createServer(listener)
  return new Promise((resolve) => http.listen(0, '127.0.0.1', () => resolve(http)))
}

function report(): void {
  const { user, system } = process.cpuUsage()
  const { port } = server.address() as AddressInfo
  process.send?.({ port, calls, cpuUs: user + system } satisfies ServerReport)
}

process.on('message', report)
process.on('disconnect', () => process.exit())
report()
