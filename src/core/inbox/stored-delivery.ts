import type { StoredDelivery } from '../../inboxes/inbox.ts'
import type { Provider } from '../../providers/provider.ts'
import type { Delivery } from '../delivery.ts'
import { headerKeeper, storable } from './kept-headers.ts'

/** Returns a delivery in the form in which an inbox keeps it. */
export type DeliveryKeeper = (delivery: Delivery) => StoredDelivery

/** Returns what turns the deliveries of a receiver into the form in which an inbox keeps them. */
export function deliveryKeeper(
  provider: Provider,
  namespace: string,
  urlTokens: readonly string[],
): DeliveryKeeper {
  const { name } = provider
  const keptHeaders = headerKeeper(provider, urlTokens)
  return ({ key, tenant, type, sentAs, eventId, receivedAtMs, headersRead, request, rawBody }) => ({
    version: 1,
    key,
    provider: name,
    namespace,
    ...(tenant !== undefined && { tenant }),
    type: displayable(type),
    sentAs: displayable(sentAs),
    eventId: displayable(eventId),
    receivedAt: receivedAtMs,
    headers: keptHeaders(request.headers, headersRead),
    body: Buffer.from(rawBody.buffer, rawBody.byteOffset, rawBody.byteLength).toString('base64'),
  })
}

/** Returns the bytes that were kept. */
export function bodyOf({ body }: StoredDelivery): Uint8Array {
  return Buffer.from(body, 'base64')
}

/**
 * Gives a stored delivery as what it is, or says why it cannot be one: the row may have been
 * written by a newer version, or changed by hand.
 */
export function readStoredDelivery(value: unknown): StoredDelivery | string {
  if (typeof value !== 'object' || value === null) return 'it is no object'
  const { version, headers, receivedAt, ...texts } = value as Readonly<Record<string, unknown>>
  if (typeof version !== 'number') return 'it has no version'
  if (version !== 1) {
    return `it has version ${version}, and this ringhook knows version 1. Replay it with the version that wrote it, or a newer one`
  }
  for (const name of ['key', 'provider', 'namespace', 'type', 'sentAs', 'eventId', 'body']) {
    if (typeof texts[name] !== 'string') return `its ${name} is no text`
  }
  if (texts['tenant'] !== undefined && typeof texts['tenant'] !== 'string') {
    return 'its tenant is not text'
  }
  if (!isBase64(String(texts['body']))) return 'its body is no base64'
  if (typeof receivedAt !== 'number' || Number.isNaN(new Date(receivedAt).getTime())) {
    return 'its receivedAt is no time'
  }
  if (!areHeaders(headers)) return 'its headers are no headers'
  return value as StoredDelivery
}

/** Decoding would leave out what is none, and the handler would get other bytes than were verified. */
function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)
}

function areHeaders(headers: unknown): boolean {
  return (
    typeof headers === 'object' &&
    headers !== null &&
    Object.values(headers).every(
      (value) =>
        typeof value === 'string' ||
        (Array.isArray(value) && value.every((part) => typeof part === 'string')),
    )
  )
}

/** Text from the body, for lists: the handler reads it from the bytes again. */
function displayable(text: string): string {
  return storable(text.length > 200 ? `${text.slice(0, 199)}…` : text)
}
