import type { krosai, RoutingTable } from 'ringhook'

/** How far a call has come. Both ends are final. */
export type CallStatus = 'initiated' | 'ringing' | 'answered' | 'completed' | 'failed'

/** What is known about a call, as far as its events have arrived. */
export interface Call {
  readonly id: string
  readonly status?: CallStatus
  readonly from?: string
  readonly to?: string
  readonly seconds?: number
  readonly costCents?: number
  readonly failure?: string
  readonly recordingUrl?: string
  readonly transcript?: string
  readonly notes?: readonly string[]
}

/** One line of the journal: an event that was handled, and what it was about. */
export interface JournalEntry {
  readonly eventId: string
  readonly type: string
  readonly about?: string
}

const progress: Readonly<Record<CallStatus, number>> = {
  initiated: 1,
  ringing: 2,
  answered: 3,
  completed: 4,
  failed: 4,
}

/** The calls of a small support team. In memory: a real one would be two tables. */
export class CallLog {
  readonly #calls = new Map<string, Call>()
  readonly #journal: JournalEntry[] = []

  /** Writes an event into the journal and what it says into the call: in a database, one transaction. */
  async record(entry: JournalEntry, news?: Call): Promise<void> {
    this.#journal.push(entry)
    if (news !== undefined) this.#calls.set(news.id, update(this.#calls.get(news.id), news))
  }

  /** Adds a person's note to a call, and says whether there is such a call. */
  addNote(callId: string, note: string): boolean {
    const call = this.#calls.get(callId)
    if (call === undefined) return false
    this.#calls.set(callId, { ...call, notes: [...(call.notes ?? []), note] })
    return true
  }

  get calls(): readonly Call[] {
    return [...this.#calls.values()]
  }

  get journal(): readonly JournalEntry[] {
    return [...this.#journal]
  }
}

/** Webhooks arrive in any order: a call that has ended does not start to ring again. */
function update(known: Call | undefined, news: Call): Call {
  const isOld = news.status !== undefined && progressOf(news) <= progressOf(known)
  return isOld ? { ...news, ...known } : { ...known, ...news }
}

function progressOf(call: Call | undefined): number {
  return call?.status === undefined ? 0 : progress[call.status]
}

/** The handlers: the same for every framework. */
export function callLogHandlers(log: CallLog): RoutingTable<typeof krosai> {
  return {
    'call.initiated': ({ id, type, data }) =>
      log.record(
        { eventId: id, type, about: data.call_id },
        { id: data.call_id, status: 'initiated', from: data.from_number, to: data.to_number },
      ),
    'call.ringing': ({ id, type, data }) =>
      log.record(
        { eventId: id, type, about: data.call_id },
        { id: data.call_id, status: 'ringing' },
      ),
    'call.answered': ({ id, type, data }) =>
      log.record(
        { eventId: id, type, about: data.call_id },
        { id: data.call_id, status: 'answered' },
      ),
    // Also under the name of KrosAI's overview, call.ended: it is the same event.
    'call.completed': ({ id, type, data }) =>
      log.record(
        { eventId: id, type, about: data.call_id },
        {
          id: data.call_id,
          status: 'completed',
          from: data.from_number,
          to: data.to_number,
          seconds: data.duration,
          costCents: data.cost_cents,
        },
      ),
    'call.failed': ({ id, type, data }) =>
      log.record(
        { eventId: id, type, about: data.call_id },
        { id: data.call_id, status: 'failed', failure: data.error_message },
      ),
    'recording.ready': ({ id, type, data }) =>
      log.record(
        { eventId: id, type, about: data.call_id },
        { id: data.call_id, recordingUrl: data.recording_url },
      ),
    'transcript.ready': ({ id, type, data }) =>
      log.record(
        { eventId: id, type, about: data.call_id },
        { id: data.call_id, transcript: data.transcript },
      ),
    'phone_number.*': ({ id, type, data }) =>
      log.record({ eventId: id, type, about: data.phone_number_id }),
    '*': ({ id, type }) => log.record({ eventId: id, type }),
  }
}
