import type { Inbox } from '../../inboxes/inbox.ts'
import type { Provider } from '../../providers/provider.ts'
import { Delivery } from '../delivery.ts'
import { recordReads } from '../inbox/kept-headers.ts'
import type { UncheckedOptions } from '../options/option-checks.ts'
import { type Answer, answerFor } from '../outcome/answers.ts'
import { CheckedRequest } from '../request/request.ts'
import { parseTimestamp } from './freshness.ts'
import { bodyId, callIdText, idText, type KeyMaker, oddId } from './idempotency.ts'
import { parseJsonObject } from './json.ts'
import type { Router } from './routing.ts'
import { identify, refusePromise, validateData } from './validation.ts'

/** What {@link decode} and {@link validate} need. */
export interface DecodeSettings {
  readonly routeOf: Router
  readonly invalidEvents: 'reject' | 'acknowledge'
  readonly ownId: UncheckedOptions['eventId']
  readonly keyOf: KeyMaker
  /** With one, the headers that the provider reads are kept for the worker, which reads them again. */
  readonly inbox: Inbox | undefined
}

/** Reads what an authentic body says, and finds the route of its event. */
export function decode(
  provider: Provider,
  { routeOf, inbox }: DecodeSettings,
  delivery: Delivery,
): Answer | undefined {
  const { rawBody, request } = delivery
  const json = parseJsonObject(rawBody)
  if (typeof json === 'string') return answerFor(json)
  const recorded = inbox === undefined ? undefined : recordReads(request.headers)
  const envelope = provider.read(json, recorded?.headers ?? request.headers)
  refusePromise('read', envelope)
  const { event: sentAs, id, timestamp, data, callId } = envelope
  if (typeof sentAs !== 'string' || sentAs === '') return answerFor('RINGHOOK_EVENT_MISSING')
  delivery.route = routeOf(sentAs)
  delivery.type = delivery.route.type
  delivery.sentAs = sentAs
  delivery.eventId = idText(id) ?? bodyId(rawBody)
  delivery.unusableId = oddId(id)
  delivery.sentTimestamp = timestamp
  delivery.timestamp = parseTimestamp(timestamp)
  delivery.data = data
  delivery.headersRead = recorded?.read
  delivery.callId = callIdText(callId)
  return undefined
}

/** Validates the data of a decoded event, and gives the event its id and its key. */
export function validate(
  provider: Provider,
  { invalidEvents, ownId, keyOf }: DecodeSettings,
  delivery: Delivery,
): Answer | undefined {
  const { route, data, rawBody, timestamp, eventId: id, type, sentAs } = delivery
  const validated = validateData(route?.schema, data, invalidEvents)
  if (!validated.valid) return validated.answer
  const event = { id, type, sentAs, timestamp, data: validated.data, provider: provider.name }
  const identified = ownId === undefined ? event : identify(event, rawBody, ownId)
  if ('outcome' in identified) return identified
  delivery.event = identified
  delivery.eventId = identified.id
  delivery.key = keyOf(identified.id, delivery.tenant)
  return undefined
}

/**
 * Returns the key of an event that fails its schema. It isn't shown to the user's `eventId`, which is
 * there because the provider's ids don't tell events apart: two of them must not be taken for one.
 */
export function keyOfInvalid(
  { ownId, keyOf }: Pick<DecodeSettings, 'ownId' | 'keyOf'>,
  { eventId, rawBody, tenant }: Delivery,
): string {
  return keyOf(ownId === undefined ? eventId : bodyId(rawBody), tenant)
}

/**
 * Returns the key that a delivery of a body would get. `undefined`: none, because it can't be read,
 * no handler takes it, or a function of the user's fails.
 */
export function keyOfBody(
  provider: Provider,
  settings: DecodeSettings,
  body: Uint8Array,
  tenant: string | undefined,
): string | undefined {
  const request = new CheckedRequest({ method: 'POST' })
  const delivery = new Delivery(request, { receivedAtMs: 0, startedAtMs: 0, deadlineMs: 0 }, 'body')
  delivery.rawBody = body
  delivery.tenant = tenant
  if (!isReadable(provider, settings, delivery)) return undefined
  if (delivery.route?.handler === undefined) return undefined
  const answer = validate(provider, settings, delivery)
  if (answer === undefined) return delivery.key
  return answer.outcome === 'invalid' ? keyOfInvalid(settings, delivery) : undefined
}

/** A body that didn't arrive over the wire has no headers, which a provider of the user's may need. */
function isReadable(provider: Provider, settings: DecodeSettings, delivery: Delivery): boolean {
  try {
    return decode(provider, settings, delivery) === undefined
  } catch {
    return false
  }
}
