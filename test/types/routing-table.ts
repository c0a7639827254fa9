import {
  callkaro,
  createReceiver,
  type EventData,
  type EventOf,
  krosai,
  odis,
  type RoutingTable,
  type SentName,
  type WebhookEvent,
} from 'ringhook'
import { expectTypeOf } from 'vitest'
import { z } from 'zod'

// Compiled, never run: tsc is the test. Every event type below is inferred without help.
const secret = process.env['KROSAI_WEBHOOK_SECRET']

createReceiver(krosai, {
  secret,
  on: {
    // An exact name: its own data, in every spelling.
    'call.completed': (event, context) => {
      expectTypeOf(event.type).toEqualTypeOf<'call.completed'>()
      expectTypeOf(event.sentAs).toEqualTypeOf<'call.completed' | 'call.ended'>()
      expectTypeOf(event.provider).toEqualTypeOf<'krosai'>()
      expectTypeOf(event.timestamp).toEqualTypeOf<Date | undefined>()
      expectTypeOf(event.data.duration).toEqualTypeOf<number>()
      expectTypeOf(event.data.hangup_cause).toEqualTypeOf<string | null | undefined>()
      expectTypeOf(context.attempt).toEqualTypeOf<number>()
      expectTypeOf(context.signal).toEqualTypeOf<AbortSignal>()
      expectTypeOf(context.rawBody).toEqualTypeOf<Uint8Array>()
      // @ts-expect-error -- a field that nobody documents
      String(event.data.durations)
      // @ts-expect-error -- a handler reads events
      event.data = { ...event.data, duration: 5 }
      // @ts-expect-error -- the context has no such thing
      context.retry()
    },
    // A prefix wildcard: the union of its events, told apart by their type.
    'phone_number.*': (event) => {
      expectTypeOf(event.type).toEqualTypeOf<
        'phone_number.purchased' | 'phone_number.released' | 'phone_number.updated'
      >()
      expectTypeOf(event.data.phone_number_id).toEqualTypeOf<string>()
      if (event.type === 'phone_number.purchased') {
        expectTypeOf(event.data.monthly_cost_cents).toEqualTypeOf<number>()
      }
      // @ts-expect-error -- not all of them have it
      String(event.data.country)
    },
    // Everything else, the names that nobody documents among it: the data is unknown.
    '*': (event) => {
      expectTypeOf(event).toEqualTypeOf<WebhookEvent<string, unknown, string, 'krosai'>>()
      // @ts-expect-error -- nobody validated it
      String(event.data.call_id)
    },
  },
})

createReceiver(krosai, {
  secret,
  on: {
    // A spelling: the event is the canonical one.
    'transcription.completed': async ({ type, data }) => {
      expectTypeOf(type).toEqualTypeOf<'transcript.ready'>()
      expectTypeOf(data.word_count).toEqualTypeOf<number>()
    },
    // The wildcard of a spelling, of two parts, and of the canonical names.
    'number.*': ({ type }) => {
      expectTypeOf(type).toEqualTypeOf<'phone_number.released' | 'number.provisioned'>()
    },
    'call.recording.*': ({ type }) => expectTypeOf(type).toEqualTypeOf<'recording.ready'>(),
    'call.*': ({ type }) => {
      expectTypeOf(type).toEqualTypeOf<
        | 'call.initiated'
        | 'call.ringing'
        | 'call.started'
        | 'call.answered'
        | 'call.completed'
        | 'call.failed'
        | 'recording.ready'
      >()
    },
    // An event that is documented by name alone.
    'call.started': ({ data }) => {
      expectTypeOf(data).toEqualTypeOf<Readonly<Record<string, unknown>>>()
    },
  },
})

createReceiver(krosai, {
  secret,
  on: {
    // @ts-expect-error -- a misspelt name
    'call.complete': () => {},
  },
})
createReceiver(krosai, {
  secret,
  on: {
    // @ts-expect-error -- a wildcard that matches nothing
    'calls.*': () => {},
  },
})
createReceiver(krosai, {
  secret,
  // @ts-expect-error -- a handler that is no function
  on: { 'call.completed': 'log' },
})
createReceiver(krosai, {
  secret,
  // @ts-expect-error -- nothing would run, and nobody would notice
  on: { 'call.completed': undefined },
})

// The user's own events: added, and in place of the documented data.
createReceiver(krosai, {
  secret,
  events: {
    'call.transferred': z.object({ to: z.string(), at: z.coerce.date() }),
    'call.completed': z.object({ metadata: z.object({ order: z.number() }) }),
    'number.released': z.object({ sold: z.boolean() }),
  },
  on: {
    'call.transferred': ({ type, data }) => {
      expectTypeOf(type).toEqualTypeOf<'call.transferred'>()
      expectTypeOf(data).toEqualTypeOf<{ to: string; at: Date }>()
      // @ts-expect-error -- not in the schema
      String(data.from)
    },
    'call.ended': ({ type, data }) => {
      expectTypeOf(type).toEqualTypeOf<'call.completed'>()
      expectTypeOf(data.metadata.order).toEqualTypeOf<number>()
      // @ts-expect-error -- the user's schema stands in place of the documented one
      String(data.duration)
    },
    'phone_number.released': ({ data }) => expectTypeOf(data.sold).toEqualTypeOf<boolean>(),
    'call.ringing': ({ data }) => expectTypeOf(data.call_id).toEqualTypeOf<string>(),
  },
})
createReceiver(krosai, {
  secret,
  // @ts-expect-error -- no schema
  events: { 'call.transferred': {} },
})

// Handlers written elsewhere.
const onRinging = async (event: EventOf<typeof krosai, 'call.ringing'>) => event.data.call_id
const table: RoutingTable<(typeof krosai)['events'], 'krosai'> = { 'call.ringing': onRinging }
createReceiver(krosai, { secret, on: table })
createReceiver(krosai, {
  secret,
  on: { 'call.ringing': onRinging, '*': (event: WebhookEvent) => event },
})
createReceiver(krosai, {
  secret,
  // @ts-expect-error -- the handler is for another event
  on: { 'balance.low': onRinging },
})

expectTypeOf<EventData<typeof krosai, 'call.ended'>>().toEqualTypeOf<
  EventData<typeof krosai, 'call.completed'>
>()
expectTypeOf<SentName<typeof callkaro>>().toEqualTypeOf<'call_ended'>()
expectTypeOf<'number.released'>().toExtend<SentName<typeof krosai>>()

createReceiver(odis, {
  secret,
  on: { '*': ({ provider }) => expectTypeOf(provider).toEqualTypeOf<'odis'>() },
})
createReceiver(callkaro, {
  allowUnsigned: true,
  on: { call_ended: ({ data }) => expectTypeOf(data.call_duration).toEqualTypeOf<number>() },
})
