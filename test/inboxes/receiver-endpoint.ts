import express, { type RequestHandler } from 'express'
import {
  createReceiver,
  type HandlerContext,
  type Inbox,
  krosai,
  type Outcome,
  type PersistentStore,
  type ReceiverOptions,
  type WebhookEvent,
} from 'ringhook'
import { webhooks } from 'ringhook/express'
import { signedRequest } from 'ringhook/testing'
import { onTestFinished, vi } from 'vitest'
import { post, secret } from '../helpers/deliveries.ts'
import type { AnyOptions } from '../helpers/endpoint.ts'
import { serveExpress } from '../helpers/frameworks.ts'

type Options = AnyOptions & {
  readonly inbox?: Inbox
  readonly store: PersistentStore
  /** What runs around the endpoint. */
  readonly around?: RequestHandler
  /** What the handler of all events does. */
  readonly handle?: (event: WebhookEvent, context: HandlerContext) => unknown
}

/** An event of a call, signed: sent twice it is the provider's retry. */
export function signed(id: string, callId: unknown = id, event = 'call.ringing') {
  const body = { id, event, timestamp: '', data: { call_id: callId } }
  return signedRequest(krosai, body, { secret })
}

/** A KrosAI endpoint on Express, with what it did kept. It is closed when the test ends. */
export async function openEndpoint({
  handle = () => {},
  around = (_request, _response, next) => next(),
  ...options
}: Options) {
  const runs: { readonly event: WebhookEvent; readonly context: HandlerContext }[] = []
  const outcomes: Outcome[] = []
  const receiver = createReceiver(krosai, {
    secret,
    logger: false,
    onOutcome: (outcome) => outcomes.push(outcome),
    on: {
      '*': (event, context) => {
        runs.push({ event, context })
        return handle(event, context)
      },
    },
    ...options,
  } as ReceiverOptions<typeof krosai>)
  const served = await serveExpress(express().use(around).post('/hooks', webhooks(receiver)))
  const close = () => receiver.close({ drainMs: 0 })
  onTestFinished(async () => {
    await close()
    await served.close()
  })
  /** Sends a delivery. Gives the answer: `200 accepted`. */
  const deliver = async (request: ReturnType<typeof signed>) => {
    const { status, body } = await post(served.url, request)
    const { outcome, code } = JSON.parse(body)
    return [status, outcome, code].filter(Boolean).join(' ')
  }
  /** What became of the attempts of an event: `failed dead`. */
  const attemptsAt = (id: string) =>
    outcomes
      .filter(({ eventId, next }) => eventId === id && next !== undefined)
      .map(({ outcome, next }) => `${outcome} ${next}`)
  return { receiver, runs, outcomes, deliver, attemptsAt, close }
}

/** Waits for something to come true. */
export function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const check = async () => {
    if (!(await holds())) throw new Error('it did not come true')
  }
  return vi.waitFor(check, { timeout: 20_000, interval: 10 })
}
