import type { Inbox } from '../../inboxes/inbox.ts'
import type { Provider } from '../../providers/provider.ts'
import type { RoutedEvent } from '../delivery.ts'
import { recordReads } from '../inbox/kept-headers.ts'
import type { UncheckedOptions } from '../options/option-checks.ts'
import { type Answer, answerFor } from '../outcome/answers.ts'
import type { RequestHeaders } from '../request/http.ts'
import type { Handler } from './event.ts'
import { parseTimestamp } from './freshness.ts'
import { bodyId, callIdText, idText, type KeyMaker, oddId } from './idempotency.ts'
import { parseJsonObject } from './json.ts'
import type { Route, Router } from './routing.ts'
import { identify, refusePromise, validateData } from './validation.ts'

/** What {@link readEvent} and {@link routeEvent} need. */
export interface ReadingSettings {
  readonly routeOf: Router
  readonly invalidEvents: 'reject' | 'acknowledge'
  readonly ownId: UncheckedOptions['eventId']
  readonly keyOf: KeyMaker
  /** With one, the headers that the provider reads are kept for the worker, which reads them again. */
  readonly inbox: Inbox | undefined
}

/** What an authentic body says, before its data is validated. */
export interface ReadEvent extends Route {
  readonly sentAs: string
  /** The provider's id, or the body's. */
  readonly eventId: string
  /** What the provider's id is, in words, if there is one that cannot be used. */
  readonly oddId: string | undefined
  /** As the body has it, and as a time. */
  readonly sent: unknown
  readonly timestamp: Date | undefined
  readonly data: unknown
  /** The headers that the provider's `read` looked at, with an inbox. */
  readonly headersRead: ReadonlySet<string> | undefined
  /** The call that it is about. */
  readonly callId: string | undefined
}

/** Reads an authentic body, and finds its handler. */
export function readEvent(
  provider: Provider,
  { routeOf, inbox }: ReadingSettings,
  body: Uint8Array,
  headers: RequestHeaders,
): ReadEvent | Answer {
  const json = parseJsonObject(body)
  if (typeof json === 'string') return answerFor(json)
  const recorded = inbox === undefined ? undefined : recordReads(headers)
  const envelope = provider.read(json, recorded?.headers ?? headers)
  refusePromise('read', envelope)
  const { event: sentAs, id, timestamp: sent, data, callId } = envelope
  if (typeof sentAs !== 'string' || sentAs === '') return answerFor('RINGHOOK_EVENT_MISSING')
  const { type, schema, handler, retry } = routeOf(sentAs)
  return {
    type,
    schema,
    handler,
    retry,
    sentAs,
    eventId: idText(id) ?? bodyId(body),
    oddId: oddId(id),
    sent,
    timestamp: parseTimestamp(sent),
    data,
    headersRead: recorded?.read,
    callId: callIdText(callId),
  }
}

/** Validates an event that has a handler, and gives it the id and the key that it is remembered by. */
export function routeEvent(
  provider: Provider,
  { invalidEvents, ownId, keyOf }: ReadingSettings,
  read: ReadEvent,
  handler: Handler,
  body: Uint8Array,
  tenant: string | undefined,
): RoutedEvent | Answer {
  const { type, sentAs, timestamp, retry, eventId } = read
  const validated = validateData(read.schema, read.data, invalidEvents)
  if (!validated.valid) return validated.answer
  const event = {
    id: eventId,
    type,
    sentAs,
    timestamp,
    data: validated.data,
    provider: provider.name,
  }
  const routed = ownId === undefined ? event : identify(event, body, ownId)
  if ('outcome' in routed) return routed
  return { event: routed, handler, retry, key: keyOf(routed.id, tenant), rawBody: body }
}

/**
 * The key of an event that fails its schema. It is not shown to the user's `eventId`, which is there
 * because the provider's ids are not what tells events apart: two of them must not be taken for one.
 */
export function keyOfInvalid(
  { ownId, keyOf }: Pick<ReadingSettings, 'ownId' | 'keyOf'>,
  { eventId }: ReadEvent,
  body: Uint8Array,
  tenant: string | undefined,
): string {
  return keyOf(ownId === undefined ? eventId : bodyId(body), tenant)
}

/**
 * The key that a delivery of a body would get. `undefined`: it gets none, because it cannot be read,
 * nobody handles it, or a function of the user's fails.
 */
export function keyOfBody(
  provider: Provider,
  settings: ReadingSettings,
  body: Uint8Array,
  tenant: string | undefined,
): string | undefined {
  const read = readUnsent(provider, settings, body)
  if (read?.handler === undefined) return undefined
  const routed = routeEvent(provider, settings, read, read.handler, body, tenant)
  if ('event' in routed) return routed.key
  return routed.outcome === 'invalid' ? keyOfInvalid(settings, read, body, tenant) : undefined
}

/** Reads a body that did not come over the wire: a provider of the user's may miss the headers. */
function readUnsent(
  provider: Provider,
  settings: ReadingSettings,
  body: Uint8Array,
): ReadEvent | undefined {
  try {
    const read = readEvent(provider, settings, body, {})
    return 'outcome' in read ? undefined : read
  } catch {
    return undefined
  }
}
