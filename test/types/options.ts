import {
  callkaro,
  createReceiver,
  defineProvider,
  type IdempotencyStore,
  type Inbox,
  krosai,
  memoryStore,
  odis,
  type Receiver,
  type WebhookEvent,
} from 'ringhook'
import * as express from 'ringhook/express'
import * as fastify from 'ringhook/fastify'
import * as koa from 'ringhook/koa'
import { expectTypeOf } from 'vitest'
import { z } from 'zod'

// Compiled, never run: tsc is the test.
const secret = process.env['WEBHOOK_SECRET']
const token = process.env['WEBHOOK_TOKEN']

// A provider that signs takes a secret, in any of its forms.
createReceiver(krosai, { secret })
createReceiver(krosai, { secret: [secret, 'old'] })
createReceiver(krosai, { secret: () => 'a secret' })
createReceiver(krosai, { secret: async ({ url, headers }) => [url, String(headers['x-tenant'])] })
createReceiver(krosai, { secret: () => undefined })
createReceiver(odis, { secret, allowedIps: 'documented', trustedProxies: 'loopback' })
expectTypeOf(createReceiver(odis, { secret })).toEqualTypeOf<Receiver<typeof odis>>()

// @ts-expect-error -- no secret
createReceiver(krosai, {})
// @ts-expect-error -- no options
createReceiver(odis)
// @ts-expect-error -- a number
createReceiver(krosai, { secret: 5 })
// @ts-expect-error -- null, which is no secret and nothing from process.env
createReceiver(krosai, { secret: null })
// @ts-expect-error -- the function gives a number
createReceiver(krosai, { secret: () => 5 })
// @ts-expect-error -- KrosAI signs
createReceiver(krosai, { secret, allowUnsigned: true })

// A provider that signs nothing takes one of three, and no secret.
createReceiver(callkaro, { urlToken: token })
createReceiver(callkaro, { urlToken: [token, 'old'] })
createReceiver(callkaro, { allowedIps: ['203.0.113.0/24'] })
createReceiver(callkaro, { allowUnsigned: true })
createReceiver(callkaro, { allowUnsigned: true, urlToken: token, allowedIps: ['203.0.113.7'] })

// @ts-expect-error -- nothing would keep others out
createReceiver(callkaro, {})
// @ts-expect-error -- nothing would keep others out
createReceiver(callkaro, { allowUnsigned: false })
// @ts-expect-error -- nothing would keep others out
createReceiver(callkaro, { on: { call_ended: () => {} } })
// @ts-expect-error -- CallKaro signs nothing
createReceiver(callkaro, { secret, allowUnsigned: true })

// Options.
createReceiver(krosai, {
  secret,
  store: memoryStore(),
  namespace: 'eu',
  maxBodyBytes: 1,
  onStoreError: 'process',
  invalidEvents: 'acknowledge',
  eventId: (event, rawBody) => `${event.id}${rawBody.length}`,
  onOutcome: ({ outcome, code, status, completionLost }) => {
    expectTypeOf(status).toEqualTypeOf<number | undefined>()
    expectTypeOf(completionLost).toEqualTypeOf<true | undefined>()
    if (outcome === 'timed_out') return
    // @ts-expect-error -- no such code
    if (code === 'RINGHOOK_TEAPOT') return
  },
  logger: console,
})
createReceiver(krosai, { secret, logger: false })

// An inbox.
declare const inbox: Inbox
declare const store: IdempotencyStore
declare function traced<Event, Context>(
  run: (event: Event, context: Context) => unknown,
): (event: Event, context: Context) => unknown
const receiver = createReceiver(krosai, {
  secret,
  inbox,
  store: memoryStore(),
  events: { 'call.transferred': z.object({ to: z.string() }) },
  retry: {
    maxAttempts: 3,
    on: { 'call.ended': { maxAttempts: 1 }, 'call.*': {}, 'call.transferred': { maxDelayMs: 5 } },
  },
  orderingKey: (event) => event.type,
  on: {
    'call.ended': ({ data }, { deadline }) => {
      expectTypeOf(data.call_id).toEqualTypeOf<string>()
      expectTypeOf(deadline).toEqualTypeOf<Date | undefined>()
    },
    'call.transferred': ({ data }) => expectTypeOf(data.to).toEqualTypeOf<string>(),
  },
  onOutcome: ({ next, nextInMs }) => {
    expectTypeOf(next).toEqualTypeOf<'completed' | 'retry' | 'dead' | 'postponed' | undefined>()
    expectTypeOf(nextInMs).toEqualTypeOf<number | undefined>()
  },
})
expectTypeOf(receiver.inbox.replay({ since: new Date() })).toEqualTypeOf<Promise<number>>()
expectTypeOf(receiver.start({ concurrency: 2 })).toEqualTypeOf<Promise<void>>()
// @ts-expect-error -- no such state
void receiver.inbox.list({ state: 'completed' })
// @ts-expect-error -- no such event
createReceiver(krosai, { secret, inbox, store, retry: { on: { 'call.teapot': {} } } })
// @ts-expect-error -- true is not an order
createReceiver(krosai, { secret, inbox, store, orderingKey: true })

// Without an inbox the options that need one are refused, by every way to make a receiver.
// @ts-expect-error -- nothing is tried again
createReceiver(krosai, { secret, retry: { maxAttempts: 3 } })
// @ts-expect-error -- not even for one key
createReceiver(krosai, { secret, store, retry: { on: { 'call.ended': { maxAttempts: 3 } } } })
// @ts-expect-error -- nothing is in order
createReceiver(krosai, { secret, orderingKey: ({ type }: WebhookEvent) => type })
// @ts-expect-error -- nothing is in order
createReceiver(callkaro, { urlToken: token, orderingKey: false })
// @ts-expect-error -- nothing is held back
createReceiver(odis, { secret, store, maxHoldMs: 5 })
for (const mount of [express, koa, fastify]) {
  // @ts-expect-error -- nothing is tried again
  mount.krosaiWebhooks({ secret, retry: { maxAttempts: 3 } })
  // @ts-expect-error -- nothing is held back
  mount.odisWebhooks({ secret, maxHoldMs: 5 })
  // @ts-expect-error -- nothing is in order
  mount.callkaroWebhooks({ urlToken: token, orderingKey: false })
  // With one, handlers are typed as ever.
  mount.krosaiWebhooks({
    secret,
    inbox,
    store,
    retry: { on: { 'call.completed': { maxAttempts: 3 } } },
    on: {
      'call.completed': ({ data }) => expectTypeOf(data.duration).toEqualTypeOf<number>(),
      'call.ended': traced((event) => expectTypeOf(event.data.call_id).toEqualTypeOf<string>()),
    },
  })
}
// An inbox needs a store.
// @ts-expect-error -- no store
createReceiver(krosai, { secret, inbox })
// An inbox that may be absent takes nothing that needs one.
declare const perhaps: Inbox | undefined
createReceiver(krosai, { secret, store, inbox: perhaps })
// @ts-expect-error -- it may be absent
createReceiver(krosai, { secret, store, inbox: perhaps, maxHoldMs: 5 })

// @ts-expect-error -- misspelt
createReceiver(krosai, { secret, allowedIPs: ['203.0.113.7'] })
// @ts-expect-error -- not one of its values
createReceiver(krosai, { secret, onStoreError: 'ignore' })
// @ts-expect-error -- a client is no store
createReceiver(krosai, { secret, store: new Map() })
// @ts-expect-error -- an id is a text
createReceiver(krosai, { secret, eventId: () => 5 })

// A provider of the user's own has the same types.
const acme = defineProvider({
  name: 'acme',
  signature: { header: 'x-acme', encoding: 'base64' },
  signedTimestamp: false,
  events: {
    'call.ended': { schema: z.object({ call_id: z.string() }), aliases: ['call.closed'] },
  },
  delivery: { retryDelaysMs: [0] },
})
createReceiver(acme, {
  secret,
  on: {
    'call.closed': ({ type, provider, data }) => {
      expectTypeOf(type).toEqualTypeOf<'call.ended'>()
      expectTypeOf(provider).toEqualTypeOf<'acme'>()
      expectTypeOf(data).toEqualTypeOf<{ call_id: string }>()
    },
  },
})
// @ts-expect-error -- acme signs
createReceiver(acme, { on: {} })
