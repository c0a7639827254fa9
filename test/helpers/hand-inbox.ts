import {
  type AttemptResult,
  type Inbox,
  type InboxWorkerOptions,
  memoryStore,
  type Process,
  type PutOptions,
  type StoredDelivery,
  type StoredEntry,
} from 'ringhook'
import { type Endpoint, type EndpointOptions, endpoint } from './endpoint.ts'

/** An inbox that does nothing by itself: the test hands out what was put, and sees the verdict. */
export interface HandInbox extends Inbox {
  readonly puts: { readonly delivery: StoredDelivery; readonly options: PutOptions }[]
  /** What `entries` gives. */
  readonly kept: StoredEntry[]
  readonly calls: string[]
  worker: InboxWorkerOptions | undefined
  /** Hands out what was put last, or something else. */
  hand(number?: number, delivery?: unknown, attempt?: object): Promise<AttemptResult>
}

export function handInbox(changes: Partial<Inbox> = {}): HandInbox {
  let process: Process | undefined
  const inbox: HandInbox = {
    name: 'handInbox',
    keepsOrder: true,
    puts: [],
    kept: [],
    calls: [],
    worker: undefined,
    async migrate() {},
    async put(delivery, options) {
      // As the database would: nothing of what was put is shared.
      inbox.puts.push(JSON.parse(JSON.stringify({ delivery, options })))
      return inbox.puts.filter(({ options: { key } }) => key === options.key).length === 1
        ? 'accepted'
        : 'duplicate'
    },
    async start(given, options) {
      inbox.calls.push('start')
      inbox.worker = options
      process = given
    },
    async stop(options) {
      inbox.calls.push(`stop ${options?.drainMs}`)
    },
    async *entries({ state }) {
      yield* inbox.kept.filter((entry) => state === undefined || entry.state === state)
    },
    async entry(id) {
      return inbox.kept.find((entry) => entry.id === id)
    },
    async replay(id) {
      inbox.calls.push(`replay ${id}`)
      return inbox.kept.some((entry) => entry.id === id && entry.state === 'dead')
    },
    async discard(id) {
      inbox.calls.push(`discard ${id}`)
      return inbox.kept.some((entry) => entry.id === id)
    },
    async stats() {
      return {
        waiting: 1,
        running: 2,
        delayed: 3,
        dead: 4,
        oldest: Date.parse('2026-03-01T11:59:00Z'),
      }
    },
    async hand(number = 1, delivery = inbox.puts.at(-1)?.delivery, attempt = {}) {
      if (process === undefined) throw new Error('the inbox was not started')
      const id = inbox.puts.at(-1)?.options.key ?? 'unknown'
      return await process(delivery, { id, number, ...attempt })
    },
    ...changes,
  }
  return inbox
}

/** An endpoint with an inbox whose worker has been started. */
export async function started(
  options: EndpointOptions = {},
  inbox = handInbox(),
): Promise<Endpoint & { readonly inbox: HandInbox }> {
  const place = endpoint({ inbox, store: memoryStore(), ...options })
  await place.receiver.start()
  return { ...place, inbox }
}
