import { printable } from '../../core/log.ts'
import type {
  KrosaiDelivery,
  KrosaiDeliveryFilter,
  KrosaiDeliveryPage,
  KrosaiDeliverySummary,
} from './deliveries.ts'

/** What the API lists, with the deliveries that did not arrive. */
export interface History {
  readonly listed: number
  readonly delivered: number
  readonly pending: number
  readonly undelivered: readonly KrosaiDelivery[]
  readonly unknownStatuses: readonly string[]
  readonly summary: KrosaiDeliverySummary | undefined
  /** `false`: there are more pages than anybody reads. */
  readonly isComplete: boolean
}

/** 100 000 deliveries. */
const mostPages = 1_000
const perPage = 100

/**
 * Lists all deliveries before anything is done about one: a delivery that is sent again changes its
 * status, and the pages behind it would move up. The order of the pages is not documented.
 */
export async function listUndelivered(
  list: (filter: KrosaiDeliveryFilter) => Promise<KrosaiDeliveryPage>,
  filter: KrosaiDeliveryFilter & { readonly webhook_id: string },
): Promise<History> {
  const rows = new Map<string, KrosaiDelivery>()
  const seen = new Set<string>()
  let summary: KrosaiDeliverySummary | undefined
  let isComplete = false
  for (let page = 1; page <= mostPages && !isComplete; page++) {
    const answer = await list({ ...filter, page, limit: perPage })
    summary ??= answer.summary
    const before = seen.size
    for (const row of answer.data) {
      // By id: a delivery that is new meanwhile moves others to the next page.
      seen.add(row.id)
      if ((row.webhook_id ?? filter.webhook_id) === filter.webhook_id) rows.set(row.id, row)
    }
    // Without a number of pages, and where it is wrong, a page with nothing new is the last.
    const isLast = page >= (answer.total_pages ?? Number.MAX_SAFE_INTEGER)
    isComplete = isLast || seen.size === before
  }
  return { ...sortOut([...rows.values()]), summary, isComplete }
}

function sortOut(rows: readonly KrosaiDelivery[]): Omit<History, 'summary' | 'isComplete'> {
  const undelivered: KrosaiDelivery[] = []
  const unknown = new Set<string>()
  let delivered = 0
  let pending = 0
  for (const row of rows) {
    const status = row.status?.toLowerCase()
    if (status === 'delivered') delivered++
    // KrosAI has attempts of its own left.
    else if (status === 'pending') pending++
    else {
      undelivered.push(row)
      if (status !== 'failed') unknown.add(printable(row.status ?? ''))
    }
  }
  return { listed: rows.length, delivered, pending, undelivered, unknownStatuses: [...unknown] }
}
