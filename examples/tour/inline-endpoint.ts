import { once } from 'node:events'
import express from 'express'
import { createReceiver, krosai } from 'ringhook'
import { webhooks } from 'ringhook/express'
import { manualClock } from 'ringhook/testing'
import { callLogHandlers } from '../shared/call-log.ts'
import { portOf } from '../shared/program.ts'
import type { TourLog } from './tour-log.ts'

/** When the endpoint has to answer, in ms by its clock. */
export const deadlineMs = 10_000

/**
 * Opens an endpoint without an inbox: its handlers run before the answer. Its clock is moved on by hand,
 * so that a deadline passes without the wait.
 */
export async function openInlineEndpoint(secret: string, log: TourLog) {
  const clock = manualClock()
  const receiver = createReceiver(krosai, {
    secret,
    clock,
    ackDeadlineMs: deadlineMs,
    logger: false,
    on: callLogHandlers(log),
  })
  const app = express()
  app.post('/hooks/krosai', webhooks(receiver))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')

  return {
    url: `http://127.0.0.1:${portOf(server)}/hooks/krosai`,
    /** Lets the deadline of everything that is under way pass. */
    passDeadline: () => clock.advance(deadlineMs),
    /** Resolves when no handler runs. */
    idle: () => receiver.idle(),
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  }
}
