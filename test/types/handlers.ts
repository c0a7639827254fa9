import {
  type CallkaroCallEnded,
  createReceiver,
  defineProvider,
  type EventData,
  type EventOf,
  type Handler,
  type HandlerContext,
  type KrosaiCallCompleted,
  type KrosaiCallFailed,
  type KrosaiPhoneNumberPurchased,
  type KrosaiPhoneNumberReleased,
  type KrosaiPhoneNumberUpdated,
  type KrosaiProvider,
  krosai,
  type OdisAppointmentCreated,
  odis,
  type Provider,
  type ReceiverOptions,
  type RoutingKey,
  type RoutingTable,
  type SentName,
  type WebhookEvent,
} from 'ringhook'
import { krosaiWebhooks, odisWebhooks } from 'ringhook/express'
import { krosaiWebhooks as onFastify } from 'ringhook/fastify'
import { callkaroWebhooks, krosaiWebhooks as onKoa } from 'ringhook/koa'
import { expectTypeOf } from 'vitest'
import { z } from 'zod'

// Compiled, never run: tsc is the test. The forms in which users write handlers.
const secret = process.env['KROSAI_WEBHOOK_SECRET']

type Completed = EventOf<typeof krosai, 'call.completed'>
type PhoneNumber = EventOf<typeof krosai, 'phone_number.*'>

// Annotated, in each entry, whatever the function looks like.
createReceiver(krosai, { secret, on: { 'call.completed': (event: Completed) => event.data } })
krosaiWebhooks({
  secret,
  on: {
    'call.completed': async (_event: Completed, context: HandlerContext) => context.attempt,
    'call.failed': ({ data }: KrosaiCallFailed) => data.error_code,
    'phone_number.*': (event: PhoneNumber) => event.data.phone_number_id,
    '*': (event: EventOf<typeof krosai, '*'>) => event.type,
  },
})
onKoa({
  secret,
  on: {
    'call.ended': function saved(event: Completed) {
      return event.data.duration
    },
  },
})
onFastify({
  secret,
  on: {
    'call.completed'(event: KrosaiCallCompleted) {
      return event.data.duration
    },
    'call.failed': (event: WebhookEvent) => event.id,
  },
})
odisWebhooks({
  secret,
  on: { 'appointment.created': (event: OdisAppointmentCreated) => event.data.patient_name },
})
callkaroWebhooks({
  allowUnsigned: true,
  on: { call_ended: (event: CallkaroCallEnded) => event.data.call_duration },
})

// Annotated, and with schemas of the user's own: theirs count.
const schemas = {
  'call.transferred': z.object({ to: z.string() }),
  'call.completed': z.object({ order: z.number() }),
}
krosaiWebhooks({
  secret,
  events: schemas,
  on: {
    'call.transferred': (event: EventOf<typeof krosai, 'call.transferred', typeof schemas>) =>
      event.data.to,
    'call.ended': ({ data }: EventOf<typeof krosai, 'call.completed', typeof schemas>) =>
      data.order,
    'call.failed': (event: KrosaiCallFailed) => event.data.error_code,
  },
})
createReceiver(krosai, {
  secret,
  events: schemas,
  // @ts-expect-error -- the documented event, which the user's schema has replaced
  on: { 'call.completed': (event: Completed) => event.data },
})

// Wrapped: what stands inside is inferred as if nothing stood around it.
declare function traced<Event, Context, Result>(
  handler: (event: Event, context: Context) => Result,
): (event: Event, context: Context) => Result
declare function timed<Event>(handler: (event: Event) => unknown): (event: Event) => Promise<void>
declare function bound<Args extends unknown[], Result>(
  handler: (...args: Args) => Result,
): (...args: Args) => Result
declare function logged<Event extends WebhookEvent>(
  handler: (event: Event, context: HandlerContext) => unknown,
): Handler<Event>
declare function same<Wrapped>(handler: Wrapped): Wrapped
declare function spied<Wrapped extends (...args: never[]) => unknown>(handler: Wrapped): Wrapped
const wrapped = {
  'call.completed': traced((_event: Completed, context: HandlerContext) => context.attempt),
}

createReceiver(krosai, {
  secret,
  on: {
    'call.completed': traced((event, context) => {
      expectTypeOf(event).toEqualTypeOf<KrosaiCallCompleted>()
      expectTypeOf(context).toEqualTypeOf<HandlerContext>()
      // @ts-expect-error -- a field that no page documents
      String(event.data.durations)
    }),
    'call.failed': traced(async ({ data }) =>
      expectTypeOf(data.error_code).toEqualTypeOf<string>(),
    ),
    'call.ringing': timed(({ data }) => data.call_id),
    'call.answered': bound((event, context) => [event.data.answered_at, context.fence]),
    'balance.low': logged((event) => event.data.threshold_cents),
    'payment.received': same((event) => event.data.amount_cents),
    'recording.ready': spied((event) => event.data.size_bytes),
    'phone_number.*': traced(traced((event) => expectTypeOf(event).toEqualTypeOf<PhoneNumber>())),
    '*': traced((event) => expectTypeOf(event.provider).toEqualTypeOf<'krosai'>()),
  },
})
for (const webhooks of [krosaiWebhooks, onKoa, onFastify]) {
  webhooks({
    secret,
    on: {
      'call.completed': traced((event) => event.data.duration),
      'call.ringing': same((event) => event.data.call_id),
      'call.failed': (event) => expectTypeOf(event).toEqualTypeOf<KrosaiCallFailed>(),
    },
  })
}
// Beside schemas of the user's own: the mount functions infer their names too.
krosaiWebhooks({
  secret,
  events: { 'call.transferred': z.object({ to: z.string() }) },
  on: {
    'call.transferred': traced((event) => expectTypeOf(event.data.to).toEqualTypeOf<string>()),
    'call.failed': traced((event) => event.data.error_code),
    'call.ringing': (event) => event.data.call_id,
  },
})
createReceiver(krosai, {
  secret,
  events: { 'call.transferred': z.object({ to: z.string() }) },
  on: {
    'call.failed': traced((event) => event.data.error_code),
    'call.transferred': (event) => expectTypeOf(event.data.to).toEqualTypeOf<string>(),
  },
})
// A wrapped handler of an event whose schema is the user's own has to be annotated.
createReceiver(krosai, {
  secret,
  events: schemas,
  on: {
    'call.completed': traced(
      (event: EventOf<typeof krosai, 'call.completed', typeof schemas>) => event.data.order,
    ),
  },
})

// Tables and options that are made elsewhere.
const table = {
  'call.completed': (event) => expectTypeOf(event).toEqualTypeOf<KrosaiCallCompleted>(),
  'phone_number.*': traced((event) => event.data.phone_number_id),
} satisfies RoutingTable<typeof krosai>
const annotated: RoutingTable<typeof krosai> = { 'call.failed': ({ data }) => data.error_code }
createReceiver(krosai, { secret, on: table })
createReceiver(krosai, { secret, on: annotated })
createReceiver(krosai, { secret, on: { ...table, ...annotated, ...wrapped } })
const options: ReceiverOptions<typeof krosai> = { secret, on: table }
createReceiver(krosai, options)
krosaiWebhooks({ ...options, namespace: 'eu' })
const unannotated = { secret, on: { 'call.completed': (event: Completed) => event.id } }
krosaiWebhooks(unannotated)
const withSchemas: ReceiverOptions<typeof krosai, typeof schemas> = {
  secret,
  events: schemas,
  on: { 'call.transferred': ({ data }) => data.to },
}
createReceiver(krosai, withSchemas)
createReceiver(krosai, { secret, events: {}, on: table })

// Handlers that may be missing, and those of an object.
declare const isAudited: boolean
declare const mayBe: { readonly log: Handler | undefined }
class Calls {
  completed(event: Completed) {
    return event.data.duration
  }
  readonly failed = async (event: KrosaiCallFailed) => event.data.error_code
}
const calls = new Calls()
createReceiver(krosai, {
  secret,
  on: {
    'call.completed': (event) => calls.completed(event),
    'call.failed': calls.failed,
    ...(isAudited && { 'balance.low': (event: WebhookEvent) => event.id }),
    ...(mayBe.log && { '*': mayBe.log }),
  },
})

// Code for any provider.
function receive<P extends Provider>(provider: P, given: ReceiverOptions<P>) {
  return createReceiver(provider, given)
}
receive(krosai, { secret, on: { 'call.completed': (event: Completed) => event.data } })
receive(odis, { secret, on: { '*': (event) => event.type } })

// The names of types: of one event, of a wildcard's, of all, and of a provider of the user's own.
expectTypeOf<PhoneNumber>().toEqualTypeOf<
  KrosaiPhoneNumberPurchased | KrosaiPhoneNumberReleased | KrosaiPhoneNumberUpdated
>()
expectTypeOf<
  EventData<typeof krosai, 'phone_number.*'>['phone_number_id']
>().toEqualTypeOf<string>()
expectTypeOf<
  EventOf<typeof krosai, 'call.recording.*'>['type']
>().toEqualTypeOf<'recording.ready'>()
expectTypeOf<EventOf<typeof krosai, '*'>>().toEqualTypeOf<
  WebhookEvent<string, unknown, string, 'krosai'>
>()
expectTypeOf<typeof krosai>().toEqualTypeOf<KrosaiProvider>()
expectTypeOf<Exclude<RoutingKey<typeof odis>, SentName<typeof odis>>>().toEqualTypeOf<
  '*' | 'call.*' | 'appointment.*'
>()

const acme = defineProvider({
  name: 'acme',
  signature: { header: 'x-acme', encoding: 'base64' },
  signedTimestamp: false,
  events: {
    'call.ended': { schema: z.object({ call_id: z.string() }), aliases: ['call.closed'] },
    'call.begun': { schema: z.object({ call_id: z.string() }) },
  },
  delivery: { retryDelaysMs: [0] },
})
expectTypeOf<EventOf<typeof acme, 'call.*'>['type']>().toEqualTypeOf<'call.ended' | 'call.begun'>()
createReceiver(acme, {
  secret,
  on: {
    'call.*': (event: EventOf<typeof acme, 'call.*'>) => event.data.call_id,
    'call.closed': traced((event) => expectTypeOf(event.type).toEqualTypeOf<'call.ended'>()),
  },
})

// The named events are what the schemas make of the data.
expectTypeOf<KrosaiCallCompleted['data']>().toEqualTypeOf<EventData<typeof krosai, 'call.ended'>>()
expectTypeOf<KrosaiCallCompleted['sentAs']>().toEqualTypeOf<'call.completed' | 'call.ended'>()
expectTypeOf<CallkaroCallEnded['provider']>().toEqualTypeOf<'callkaro'>()
