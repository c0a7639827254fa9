import { type Clock, systemClock } from '../../core/clock.ts'
import type { ApiCode } from '../../core/errors.ts'
import type { Receiver } from '../../core/receiver.ts'
import { ApiError } from '../api-error.ts'
import type { CallOptions } from '../client-options.ts'
import { pacer } from '../pause.ts'
import { type DeliveredEvent, eventIn, timeOf } from './delivered-event.ts'
import type { KrosaiDeliveries, KrosaiDelivery, KrosaiDeliverySummary } from './deliveries.ts'
import { type History, listUndelivered } from './undelivered.ts'

/** What `reconcile` takes beside the receiver and the API. */
export interface ReconcileOptions {
  /** The webhook whose deliveries are checked: the `id` that `ensureWebhook` returned. */
  readonly webhookId: string
  /** Older events are left alone. Not earlier than `retentionMs` ago: the receiver refuses those. */
  readonly since: Date
  /** How many calls of the API are made in a second. Default: 5. From 1 to 100. */
  readonly callsPerSecond?: number
  /** Whose events they are, if the receiver's `secret` function names tenants. Default: none. */
  readonly tenant?: string
  /** How many deliveries are requested again at most. Default: 1 000. From 1 to 100 000. */
  readonly maxRetries?: number
  /** Passed on to `deliveries.list`. Its values are not documented. Default: every status. */
  readonly status?: string
  /** Called with the result for each delivery that KrosAI did not deliver. */
  readonly onDelivery?: (delivery: ReconciledDelivery) => void
  /** Ends it early: it rejects with the signal's `reason`. */
  readonly signal?: AbortSignal
  /** For tests: `manualClock()` of `ringhook/testing`. Default: the machine's clock. */
  readonly clock?: Clock
}

/** The result for one delivery that KrosAI did not deliver. */
export interface ReconciledDelivery {
  /** KrosAI's id of the delivery. */
  readonly id: string
  /** The event's id and name, where the delivery shows its payload. */
  readonly eventId: string | undefined
  readonly event: string | undefined
  /**
   * - `retried`: KrosAI was asked to send it again. `onOutcome` reports that delivery.
   * - `completed`, `in_flight`: the receiver has processed the event, or is processing it.
   * - `repeated`: another delivery of the same event was requested.
   * - `too_old`: the event is older than `since`.
   * - `failed`: the API failed or refused; `code` says how. Another run tries again.
   */
  readonly result: 'retried' | 'completed' | 'in_flight' | 'repeated' | 'too_old' | 'failed'
  /** Why the API did not do it. */
  readonly code: ApiCode | undefined
}

/** What `reconcile` found and did. */
export interface ReconcileReport {
  /** How many deliveries the API listed, and how many of them as delivered or still to be tried. */
  readonly listed: number
  readonly delivered: number
  readonly pending: number
  /** How many of the others came to what. */
  readonly retried: number
  readonly completed: number
  readonly inFlight: number
  readonly repeated: number
  readonly tooOld: number
  readonly failed: number
  /** Values of `status` other than `delivered`, `pending` and `failed`. They count as not delivered. */
  readonly unknownStatuses: readonly string[]
  /** The API's own count, if it has one. */
  readonly summary: KrosaiDeliverySummary | undefined
  /** `false`: there may be more, for another run. */
  readonly isComplete: boolean
}

/** After this many failures in a row, the API counts as unavailable. */
const mostFailuresInARow = 3

/** A delivery that KrosAI did not deliver, and the event in it. */
interface Candidate {
  readonly id: string
  readonly event: DeliveredEvent | undefined
}

/** One run of `reconcile`. */
export class Reconciliation {
  readonly #receiver: Receiver
  readonly #deliveries: KrosaiDeliveries
  readonly #options: ReconcileOptions
  readonly #call: CallOptions
  readonly #pace: () => Promise<void>
  readonly #since: number
  readonly #counts: Record<ReconciledDelivery['result'], number> = {
    retried: 0,
    completed: 0,
    in_flight: 0,
    repeated: 0,
    too_old: 0,
    failed: 0,
  }
  readonly #asked = new Set<string>()
  #failuresInARow = 0

  constructor(receiver: Receiver, deliveries: KrosaiDeliveries, options: ReconcileOptions) {
    const { signal, clock = systemClock, callsPerSecond = 5, since } = options
    this.#receiver = receiver
    this.#deliveries = deliveries
    this.#options = options
    this.#call = signal === undefined ? {} : { signal }
    this.#pace = pacer(clock, 1_000 / callsPerSecond, signal)
    this.#since = since.getTime()
  }

  async run(): Promise<ReconcileReport> {
    const { webhookId, status, maxRetries = 1_000 } = this.#options
    const history = await listUndelivered(
      async (filter) => {
        await this.#pace()
        return await this.#deliveries.list(filter, this.#call)
      },
      status === undefined ? { webhook_id: webhookId } : { webhook_id: webhookId, status },
    )
    const open: Candidate[] = []
    for (const row of history.undelivered) {
      if (this.#isAway()) break
      const candidate = await this.#look(row)
      if (candidate !== undefined) open.push(candidate)
    }
    // In the order in which things happened: the events of a call belong together.
    for (const candidate of open.sort(byTimestamp)) {
      if (this.#isAway() || this.#counts.retried >= maxRetries) break
      await this.#retry(candidate)
    }
    return this.#report(history)
  }

  /** Returns a delivery if it must be requested again. */
  async #look(row: KrosaiDelivery): Promise<Candidate | undefined> {
    const { id } = row
    if (isBefore(timeOf(row['created_at']), this.#since)) {
      return this.#settle({ id, event: undefined }, 'too_old')
    }
    const delivery = await this.#attempt(id, () => this.#deliveries.get(id, this.#call))
    if (delivery === undefined) return undefined
    const found = eventIn(delivery)
    const candidate = { id, event: found?.event }
    if (found === undefined) return candidate
    if (isBefore(found.event.timestamp, this.#since)) return this.#settle(candidate, 'too_old')
    const { tenant } = this.#options
    const whose = tenant === undefined ? {} : { tenant }
    const state = await this.#receiver.statusOfBody(found.body, whose)
    return state === 'unknown' ? candidate : this.#settle(candidate, state)
  }

  async #retry(candidate: Candidate): Promise<void> {
    const { id, event } = candidate
    if (event?.id !== undefined && this.#asked.has(event.id)) {
      this.#settle(candidate, 'repeated')
      return
    }
    const answer = await this.#attempt(id, async () => {
      await this.#deliveries.retry(id, this.#call)
      return true
    })
    if (answer === undefined) return
    if (event?.id !== undefined) this.#asked.add(event.id)
    this.#settle(candidate, 'retried')
  }

  /** Makes a call of the API. Where it fails, that delivery is left for another run. */
  async #attempt<Answer>(id: string, call: () => Promise<Answer>): Promise<Answer | undefined> {
    await this.#pace()
    try {
      const answer = await call()
      this.#failuresInARow = 0
      return answer
    } catch (error) {
      if (!(error instanceof ApiError) || error.code === 'RINGHOOK_API_UNAUTHORIZED') throw error
      // What the API refuses says nothing about the next delivery.
      if (isOfTheApi(error)) this.#failuresInARow++
      this.#settle({ id, event: undefined }, 'failed', error.code)
      return undefined
    }
  }

  #isAway(): boolean {
    return this.#failuresInARow >= mostFailuresInARow
  }

  #settle(
    { id, event }: Candidate,
    result: ReconciledDelivery['result'],
    code?: ApiCode,
  ): undefined {
    this.#counts[result]++
    this.#options.onDelivery?.({ id, eventId: event?.id, event: event?.name, result, code })
  }

  #report(history: History): ReconcileReport {
    const {
      retried,
      completed,
      in_flight: inFlight,
      repeated,
      too_old: tooOld,
      failed,
    } = this.#counts
    const settled = retried + completed + inFlight + repeated + tooOld
    const { undelivered, isComplete, ...listed } = history
    return {
      ...listed,
      retried,
      completed,
      inFlight,
      repeated,
      tooOld,
      failed,
      isComplete: isComplete && settled === undelivered.length,
    }
  }
}

/** A failure of the API as such, and not an answer about one delivery. */
function isOfTheApi({ status }: ApiError): boolean {
  return status === undefined || status === 429 || status >= 500 || status < 400
}

/** Deliveries without a time come last. */
function byTimestamp({ event: one }: Candidate, { event: other }: Candidate): number {
  return (one?.timestamp ?? Number.MAX_VALUE) - (other?.timestamp ?? Number.MAX_VALUE)
}

function isBefore(time: number | undefined, since: number): boolean {
  return time !== undefined && time < since
}
