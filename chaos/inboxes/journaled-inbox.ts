import type { AttemptResult, Inbox, StoredDelivery } from '../../src/inboxes/inbox.ts'
import type { Journal } from '../journal.ts'

/** What the lines about a process's inbox say of it. */
export interface Keeper {
  readonly worker: string
  /** The delivery that is received at present. */
  delivery(): string | undefined
  /** Resolves, unless the process is to be killed before the inbox is told of a verdict on this key. */
  survive(key: string): Promise<void>
}

/** Puts a line into the journal before and after every `put`, and before and after every attempt. */
export function journaledInbox(inbox: Inbox, journal: Journal, keeper: Keeper): Inbox {
  const { worker } = keeper
  let puts = 0
  let turns = 0
  return altered(inbox, {
    async put(delivery, options) {
      const put = `${worker}#put${puts++}`
      const { key, order } = options
      await journal.append({
        kind: 'putting',
        put,
        worker,
        key,
        event: delivery.eventId,
        delivery: keeper.delivery() ?? '',
        ...(order !== undefined && { order: order.key, maxHoldMs: order.maxHoldMs }),
      })
      try {
        const result = await inbox.put(delivery, options)
        await journal.append({ kind: 'put', put, result })
        return result
      } catch (error) {
        const code = String((error as { readonly code?: unknown } | null)?.code)
        await journal.append({ kind: 'put', put, result: 'failed', code })
        throw error
      }
    },
    start: (process, options) =>
      inbox.start(async (delivery, attempt) => {
        const turn = `${worker}#turn${turns++}`
        const { id: key, number } = attempt
        await journal.append({ kind: 'handed', turn, worker, key, number })
        const verdict = await process(delivery, attempt)
        await keeper.survive(key)
        await journal.append({ kind: 'verdict', turn, ...wordsOf(verdict) })
        return verdict
      }, options),
  })
}

/** An inbox some of whose functions are others. */
export function altered(inbox: Inbox, others: Partial<Pick<Inbox, 'put' | 'start'>>): Inbox {
  return {
    name: inbox.name,
    keepsOrder: inbox.keepsOrder,
    migrate: () => inbox.migrate(),
    put: (delivery: StoredDelivery, options) => inbox.put(delivery, options),
    start: (process, options) => inbox.start(process, options),
    stop: (options) => inbox.stop(options),
    entries: (filter) => inbox.entries(filter),
    entry: (id) => inbox.entry(id),
    replay: (id) => inbox.replay(id),
    discard: (id) => inbox.discard(id),
    stats: () => inbox.stats(),
    ...others,
  }
}

function wordsOf(verdict: AttemptResult) {
  const { state } = verdict
  return 'failure' in verdict ? { state, code: verdict.failure.code } : { state }
}
