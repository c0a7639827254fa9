import {
  createKrosaiApi,
  type KrosaiListedEvent,
  type KrosaiSubscribableEvent,
  type KrosaiSubscription,
  type KrosaiWebhook,
  type KrosaiWebhookCreate,
  type KrosaiWebhookUpdate,
} from 'ringhook/krosai-api'
import { createOdisApi } from 'ringhook/odis-api'
import { expectTypeOf } from 'vitest'
import type { components, operations } from '../../src/api/krosai/webhooks-document.ts'

// Compiled, never run: tsc is the test.
const api = createKrosaiApi({ apiKey: process.env['KROSAI_API_KEY'] })
const url = 'https://example.com/hooks'

// The seven events of the document, under every documented name.
expectTypeOf<KrosaiSubscribableEvent>().toEqualTypeOf<
  | 'call.started'
  | 'call.completed'
  | 'call.ended'
  | 'call.failed'
  | 'recording.ready'
  | 'call.recording.ready'
  | 'call.recording.completed'
  | 'transcript.ready'
  | 'transcription.completed'
  | 'number.provisioned'
  | 'phone_number.released'
  | 'number.released'
>()
expectTypeOf<Exclude<KrosaiSubscription, KrosaiSubscribableEvent>>().toEqualTypeOf<
  | '*'
  | 'call.*'
  | 'call.recording.*'
  | 'recording.*'
  | 'transcript.*'
  | 'transcription.*'
  | 'number.*'
  | 'phone_number.*'
>()

void api.ensureWebhook({ url, events: ['call.ended', 'transcript.ready', 'call.*', '*'] })
void api.ensureWebhook({ url, events: ['call.started'], active: false, allowUnlisted: false })
void api.ensureWebhook({
  url,
  events: ['call.ringing', 'endpoint.*', 'new.event'],
  allowUnlisted: true,
})
// @ts-expect-error -- documented, and not listed by the API
void api.ensureWebhook({ url, events: ['call.ringing'] })
// @ts-expect-error -- a wildcard for nothing that the API lists
void api.ensureWebhook({ url, events: ['endpoint.*'] })
// @ts-expect-error -- misspelt
void api.ensureWebhook({ url, events: ['call.complete'] })
// @ts-expect-error -- no events
void api.ensureWebhook({ url })

// The calls themselves take what the document takes.
expectTypeOf<KrosaiListedEvent>().toEqualTypeOf<components['schemas']['WebhookEvent']>()
expectTypeOf<KrosaiWebhookCreate>().toExtend<
  operations['createWebhook']['requestBody']['content']['application/json']
>()
expectTypeOf<KrosaiWebhookUpdate>().toExtend<
  NonNullable<operations['updateWebhook']['requestBody']>['content']['application/json']
>()
// @ts-expect-error -- a spelling that the API does not know
void api.webhooks.create({ url, events: ['call.ended'] })

// What the document promises is among what is read, field by field.
type Documented = Required<components['schemas']['Webhook']>
expectTypeOf<Documented>().toExtend<KrosaiWebhook>()
expectTypeOf<keyof Documented>().toExtend<keyof KrosaiWebhook>()
expectTypeOf(api.webhooks.list()).resolves.toEqualTypeOf<readonly KrosaiWebhook[]>()

const odis = createOdisApi({ apiKey: process.env['ODIS_API_KEY'] })
void odis.webhooks.create({ url, events: ['call.started', 'call.ended', 'appointment.created'] })
// @ts-expect-error -- an event of KrosAI's
void odis.webhooks.create({ url, events: ['call.completed'] })
