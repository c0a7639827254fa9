import { isRecord } from '../../core/checks.ts'
import { defineProvider } from '../define-provider.ts'
import type { Envelope, JsonObject, Provider } from '../provider.ts'
import { callkaroEvents } from './events.ts'
import type { CallkaroEvents } from './named-events.ts'

/** The type of {@link callkaro}. An interface, so that messages of the compiler say its name. */
export interface CallkaroProvider extends Provider<'callkaro', CallkaroEvents, false> {}

/**
 * CallKaro AI: signs nothing, sends neither an event id nor a timestamp, and waits five seconds.
 * Retries are not documented. A hook of the account and a hook of the agent get the same event.
 *
 * Source: CallKaro, Introduction (hooks, five seconds) and Call ended event (body).
 */
export const callkaro: CallkaroProvider = defineProvider({
  name: 'callkaro',
  signature: false,
  signedTimestamp: false,
  events: callkaroEvents,
  read: readCallkaroBody,
  delivery: { retryDelaysMs: [0], timeoutMs: 5_000, copies: 2 },
  defaults: {
    // Half a second of the five is left for the way back.
    ackDeadlineMs: 4_500,
    // A refusal would not bring the event again: no retry is documented.
    invalidEvents: 'acknowledge',
  },
  renew: renewCallkaroBody,
})

function readCallkaroBody(body: JsonObject): Envelope {
  const { event, data } = body
  const callSid = isRecord(data) ? data['callSid'] : undefined
  // An empty callSid identifies nothing: with it, all such events would count as repeats of one.
  // Nor may a colon in an undocumented name make two ids equal.
  const identified =
    typeof event === 'string' &&
    !event.includes(':') &&
    (Number.isSafeInteger(callSid) || (typeof callSid === 'string' && callSid !== ''))
  return { event, data, callId: callSid, id: identified ? `${event}:${callSid}` : undefined }
}

function renewCallkaroBody(body: JsonObject, unique: { readonly id: string }): JsonObject {
  const { data } = body
  return isRecord(data) ? { ...body, data: { ...data, callSid: unique.id } } : body
}
