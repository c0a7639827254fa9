import { isRecord } from '../../core/checks.ts'
import { defineProvider } from '../define-provider.ts'
import type { Provider, SignatureScheme } from '../provider.ts'
import { krosaiEvents } from './events.ts'
import type { KrosaiEvents } from './named-events.ts'

/** The type of {@link krosai}. An interface, so that messages of the compiler say its name. */
export interface KrosaiProvider extends Provider<'krosai', KrosaiEvents, SignatureScheme> {}

/**
 * KrosAI: signs the raw body, sends an `id` and a `timestamp` in it, and tries five times.
 *
 * How long it waits for an answer and which addresses it delivers from is not documented.
 * Source: KrosAI, Overview (signature, retries) and Events (envelope, names, data).
 */
export const krosai: KrosaiProvider = defineProvider({
  name: 'krosai',
  signature: { header: 'x-webhook-signature', encoding: 'hex', prefix: 'sha256=' },
  signedTimestamp: true,
  events: krosaiEvents,
  read: ({ event, id, timestamp, data }) => ({
    event,
    id,
    timestamp,
    data,
    callId: isRecord(data) ? data['call_id'] : undefined,
  }),
  delivery: {
    retryDelaysMs: [0, 60_000, 300_000, 1_800_000, 7_200_000],
  },
  defaults: {
    // A failed delivery can be retried by hand (Deliveries API); until when is not documented.
    retentionMs: 30 * 24 * 60 * 60 * 1_000,
  },
})
