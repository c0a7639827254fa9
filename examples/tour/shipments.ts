import { krosai, type SentName } from 'ringhook'
import { type RequestOptions, type SignedRequest, signedRequest } from 'ringhook/testing'
import type { Attempt } from './attempts.ts'
import type { Answer } from './check.ts'
import type { Shipment } from './stage.ts'

type Name = SentName<typeof krosai>

// What may be promised: answers of the endpoint, and attempts of its worker.
export const accepted: Answer = { status: 200, outcome: 'accepted' }
export const handled: Answer = { status: 200, outcome: 'handled' }
export const duplicate: Answer = { status: 200, outcome: 'duplicate' }
export const failed: Answer = { status: 500, outcome: 'failed', code: 'RINGHOOK_HANDLER_FAILED' }
export const timedOut: Answer = {
  status: 503,
  outcome: 'timed_out',
  code: 'RINGHOOK_DEADLINE_EXCEEDED',
}

const notAuthentic: Answer = { status: 401, outcome: 'rejected', code: 'RINGHOOK_NOT_AUTHENTIC' }
const tooOld: Answer = { status: 400, outcome: 'rejected', code: 'RINGHOOK_TIMESTAMP_TOO_OLD' }
const inFuture: Answer = { status: 400, outcome: 'rejected', code: 'RINGHOOK_TIMESTAMP_IN_FUTURE' }
export const invalid: Answer = { status: 422, outcome: 'invalid', code: 'RINGHOOK_EVENT_INVALID' }

export const done: Attempt = { outcome: 'handled', next: 'completed' }
export const known: Attempt = { outcome: 'duplicate', next: 'completed' }
export const retried: Attempt = {
  outcome: 'failed',
  next: 'retry',
  code: 'RINGHOOK_HANDLER_FAILED',
}
export const dead: Attempt = { ...retried, next: 'dead' }
export const unfit: Attempt = { outcome: 'invalid', next: 'dead', code: 'RINGHOOK_EVENT_INVALID' }

const minute = 60_000
const day = 24 * 60 * minute

/** The names under which KrosAI's pages show a payload. */
export const shown = Object.values(krosai.events).flatMap(samplesOf)
/** Those that they mention without one. */
export const mentioned = [...krosai.canonicalNames.keys()].filter((name) => !shown.includes(name))

/** An event that nobody has sent yet. */
export function newEvent(name: string, secret: string): Shipment {
  const canonical = krosai.canonicalNames.get(name)
  return {
    name,
    // Every name comes from krosai itself.
    request: signedRequest(krosai, name as Name, { secret }),
    promised: accepted,
    attempts: [done],
    effects: 1,
    note: canonical === name ? '' : `is ${canonical}`,
  }
}

/** The same event in other words: as a provider might send it again after an update. */
export function reworded({ name, request }: Shipment, secret: string): Shipment {
  const body = { ...JSON.parse(request.body), sent_again: true }
  return { name, request: signedRequest(krosai, body, { secret }), promised: accepted }
}

/** What the endpoint refuses, whether it has an inbox or not. */
export function unwanted(secret: string): Shipment[] {
  const name = 'call.completed'
  const sign = (options: RequestOptions) => signedRequest(krosai, name, { secret, ...options })
  const { 'x-webhook-signature': _, ...unsigned } = sign({}).headers
  return [
    { name, request: sign({ forge: true }), promised: notAuthentic, note: 'another secret' },
    {
      name,
      request: { ...sign({}), headers: unsigned },
      promised: notAuthentic,
      note: 'no signature',
    },
    { name, request: lengthened(sign({})), promised: notAuthentic, note: 'another duration' },
    { name, request: sign({ ageMs: 31 * day }), promised: tooOld, note: '31 days old' },
    { name, request: sign({ ageMs: -10 * minute }), promised: inFuture, note: '10 min ahead' },
  ]
}

/** Changed on the way: another duration under the signature of the true one. */
function lengthened(request: SignedRequest): SignedRequest {
  const body = request.body.replace('"duration":180', '"duration":18000')
  return { ...request, body, rawBody: Buffer.from(body) }
}

/** An event whose data fails its schema. */
export function withoutCallId(secret: string): Omit<Shipment, 'promised'> {
  const name = 'call.completed'
  const event = JSON.parse(signedRequest(krosai, name, { secret }).body)
  const body = { ...event, data: { ...event.data, call_id: undefined } }
  return { name, request: signedRequest(krosai, body, { secret }), note: 'no call_id' }
}

function samplesOf(definition: (typeof krosai.events)[keyof typeof krosai.events]): string[] {
  return 'samples' in definition ? Object.keys(definition.samples) : []
}
