import { types } from 'node:util'
import type {
  EntryFilter,
  Failure,
  Inbox,
  InboxState,
  StoredDelivery,
  StoredEntry,
} from '../../inboxes/inbox.ts'
import { checkTenant } from '../authentication/tenant.ts'
import { checkOptions, optionInvalid, wholeNumber } from '../checks.ts'
import type { Clock } from '../clock.ts'
import type { RequestHeaders } from '../request/http.ts'
import { bodyOf, readStoredDelivery } from './stored-delivery.ts'

/**
 * What an operator does with an inbox: `receiver.inbox`. Receivers that share an inbox see all of it.
 *
 * Its functions reject with the code of what their database failed with, as RINGHOOK_STORE_UNREACHABLE.
 */
export interface InboxAdmin {
  /** Lists deliveries, oldest first, without their bytes. */
  list(filter?: InboxListFilter): Promise<InboxEntry[]>
  /** One delivery, with its bytes. `id` is its idempotency key, as outcomes and `list` have it. */
  get(id: string): Promise<InboxDelivery | undefined>
  /**
   * Makes dead letters run again, with all their attempts: the one with this id, or all that fit.
   * Gives how many they were. Keys stay, and fences rise.
   */
  replay(which: string | InboxReplayFilter): Promise<number>
  /** Removes a delivery that does not run now. `false`: there is none with this id. */
  discard(id: string): Promise<boolean>
  stats(): Promise<InboxStats>
}

/** Which deliveries are meant: those that fit all that is given. */
export interface InboxReplayFilter {
  /** The canonical name of the event. */
  readonly type?: string
  /** The tenant whose secret verified it. */
  readonly tenant?: string
  /** Received at this time or later. */
  readonly since?: Date
}

export interface InboxListFilter extends InboxReplayFilter {
  readonly state?: InboxState
  /** At most so many. Default: 100. From 1 to 10 000. */
  readonly limit?: number
}

/** A delivery in an inbox. What could not be read has none of the optional properties but `failure`. */
export interface InboxEntry {
  readonly id: string
  /** `waiting` for its turn, `running`, `delayed` until it is tried again, or `dead`. */
  readonly state: InboxState
  /** How many attempts counted since it arrived or was replayed. */
  readonly attempts: number
  /** When a delayed one is tried again. */
  readonly dueAt?: Date
  /** Why its last attempt failed. */
  readonly failure?: { readonly code: string; readonly reason: string; readonly at: Date }
  readonly provider?: string
  readonly type?: string
  readonly sentAs?: string
  readonly eventId?: string
  readonly tenant?: string
  readonly receivedAt?: Date
}

/** A delivery in an inbox, with what was sent. */
export interface InboxDelivery extends InboxEntry {
  readonly headers?: RequestHeaders
  /** The exact bytes that were verified. */
  readonly rawBody?: Uint8Array
}

export interface InboxStats {
  /** Ready to run, or behind another delivery of their call. */
  readonly waiting: number
  readonly running: number
  /** To be tried again later. */
  readonly delayed: number
  /** Dead letters. */
  readonly dead: number
  /** How long ago the oldest that is not dead was received, in ms. 0: there is none. */
  readonly oldestAgeMs: number
}

const states: readonly InboxState[] = ['waiting', 'running', 'delayed', 'dead']

/** Gives `receiver.inbox`. */
export class ReceiverInboxAdmin implements InboxAdmin {
  readonly #inbox: Inbox
  readonly #clock: Clock

  constructor(inbox: Inbox, clock: Clock) {
    this.#inbox = inbox
    this.#clock = clock
  }

  async list(given: InboxListFilter = {}): Promise<InboxEntry[]> {
    checkOptions('receiver.inbox.list()', given, ['state', 'type', 'tenant', 'since', 'limit'])
    const { limit: most, tenant, ...filter } = given
    const limit = wholeNumber('limit', most, { default: 100, min: 1, max: 10_000 })
    checkFilter(filter)
    checkTenant(tenant)
    const found: InboxEntry[] = []
    for await (const entry of this.#inbox.entries(filter)) {
      const described = describe(entry)
      if (tenant !== undefined && described.tenant !== tenant) continue
      found.push(described)
      if (found.length === limit) break
    }
    return found
  }

  async get(id: string): Promise<InboxDelivery | undefined> {
    checkId(id)
    const entry = await this.#inbox.entry(id)
    if (entry === undefined) return undefined
    const stored = readStoredDelivery(entry.delivery)
    const described = describe(entry)
    if (typeof stored === 'string') return described
    return { ...described, headers: stored.headers, rawBody: bodyOf(stored) }
  }

  async replay(which: string | InboxReplayFilter): Promise<number> {
    if (typeof which === 'string') return (await this.#replayOne(which)) ? 1 : 0
    checkOptions('receiver.inbox.replay()', which, ['type', 'tenant', 'since'])
    const { tenant, ...filter } = which
    checkFilter(filter)
    checkTenant(tenant)
    // All of them first: what is replayed may be dead again before the last is read.
    const ids: string[] = []
    for await (const entry of this.#inbox.entries({ ...filter, state: 'dead' })) {
      if (tenant === undefined || describe(entry).tenant === tenant) ids.push(entry.id)
    }
    let replayed = 0
    for (const id of ids) if (await this.#replayOne(id)) replayed++
    return replayed
  }

  async discard(id: string): Promise<boolean> {
    checkId(id)
    return await this.#inbox.discard(id)
  }

  async stats(): Promise<InboxStats> {
    const { oldest, ...counts } = await this.#inbox.stats()
    const oldestAgeMs = oldest === undefined ? 0 : Math.max(0, this.#clock.now() - oldest)
    return { ...counts, oldestAgeMs }
  }

  async #replayOne(id: string): Promise<boolean> {
    checkId(id)
    return await this.#inbox.replay(id)
  }
}

function describe({ id, state, attempts, dueAt, failure, delivery }: StoredEntry): InboxEntry {
  const stored = readStoredDelivery(delivery)
  return {
    id,
    state,
    attempts,
    ...(dueAt !== undefined && { dueAt: new Date(dueAt) }),
    ...(failure !== undefined && { failure: describeFailure(failure) }),
    ...(typeof stored !== 'string' && describeDelivery(stored)),
  }
}

function describeFailure({ code, reason, at }: Failure): NonNullable<InboxEntry['failure']> {
  return { code, reason, at: new Date(at) }
}

function describeDelivery(stored: StoredDelivery) {
  const { provider, type, sentAs, eventId, tenant, receivedAt } = stored
  const described = { provider, type, sentAs, eventId, receivedAt: new Date(receivedAt) }
  return tenant === undefined ? described : { ...described, tenant }
}

function checkFilter(filter: EntryFilter): void {
  const { state, type, since } = filter
  if (state !== undefined && !states.includes(state)) {
    throw optionInvalid('state is none of its values.', `Use one of ${states.join(', ')}.`)
  }
  if (type !== undefined && typeof type !== 'string') {
    throw optionInvalid('type is no text.', 'Give the canonical name of an event.')
  }
  if (since !== undefined && !(types.isDate(since) && !Number.isNaN(since.getTime()))) {
    throw optionInvalid('since is no Date.', 'Give a Date, such as new Date(Date.now() - 3600000).')
  }
}

function checkId(id: string): void {
  if (typeof id === 'string' && id !== '') return
  throw optionInvalid('id is no text.', 'Give the idempotency key of a delivery, as list() has it.')
}
