import { isRecord } from '../../core/checks.ts'
import { defineProvider } from '../define-provider.ts'
import type { JsonObject, Provider, SignatureScheme } from '../provider.ts'
import { odisEvents } from './events.ts'
import type { OdisEvents } from './named-events.ts'

/** The type of {@link odis}. An interface, so that messages of the compiler say its name. */
export interface OdisProvider extends Provider<'odis', OdisEvents, SignatureScheme> {}

/**
 * ODIS AI: signs the raw body with a `timestamp` in it, sends no event id, tries five times and
 * then disables the endpoint.
 *
 * How long it waits for an answer is not documented. Source: ODIS, Webhooks.
 */
export const odis: OdisProvider = defineProvider({
  name: 'odis',
  signature: { header: 'x-odis-signature', encoding: 'hex', prefix: 'sha256=' },
  signedTimestamp: true,
  events: odisEvents,
  // No `id` is documented: one that appeared might not be the event's.
  read: (body) => ({
    event: body['event'],
    timestamp: body['timestamp'],
    data: body['data'],
    callId: isRecord(body['data']) ? body['data']['call_id'] : undefined,
  }),
  delivery: {
    retryDelaysMs: [0, 60_000, 300_000, 1_800_000, 7_200_000],
    disabledAfterFailures: 5,
    addresses: ['52.123.45.67', '52.123.45.68'],
  },
  defaults: {
    // One event that cannot be read, sent five times, would disable the endpoint for all others.
    invalidEvents: 'acknowledge',
  },
  renew: renewOdisBody,
})

// The body itself is the event's identity. A new timestamp alone would not do: two bodies of one
// millisecond would be the same event.
function renewOdisBody(
  body: JsonObject,
  unique: { readonly id: string; readonly timestamp: Date },
): JsonObject {
  const renewed = { ...body, timestamp: unique.timestamp.toISOString() }
  const data = body['data']
  if (!isRecord(data)) return renewed
  const idOfEvent = 'appointment_id' in data ? 'appointment_id' : 'call_id'
  return { ...renewed, data: { ...data, [idOfEvent]: unique.id } }
}
