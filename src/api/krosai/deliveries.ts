import type { Client } from 'openapi-fetch'
import { z } from 'zod'
import { checkOptional, wholeNumber } from '../../core/checks.ts'
import { type CallOptions, checkId } from '../client-options.ts'
import type { Transport } from '../transport.ts'
import type { paths } from './deliveries-document.ts'

/**
 * One delivery of KrosAI's history. The page shows four fields and is cut after them: all others
 * are unknown, and pass through.
 */
export interface KrosaiDelivery {
  readonly id: string
  readonly webhook_id?: string | null | undefined
  readonly event_type?: string | null | undefined
  /** The values are not documented. `summary` suggests `delivered`, `failed` and `pending`. */
  readonly status?: string | null | undefined
  readonly [field: string]: unknown
}

/** The counts of the history. Each is `undefined` if the API returns no number. */
export interface KrosaiDeliverySummary {
  readonly total: number | undefined
  readonly delivered: number | undefined
  readonly failed: number | undefined
  readonly pending: number | undefined
  /** In which unit is not documented. */
  readonly success_rate: number | undefined
}

/** A page of the history. */
export interface KrosaiDeliveryPage {
  readonly data: readonly KrosaiDelivery[]
  readonly total: number | undefined
  readonly page: number | undefined
  readonly limit: number | undefined
  readonly total_pages: number | undefined
  readonly summary: KrosaiDeliverySummary | undefined
  readonly [field: string]: unknown
}

/** What `deliveries.list` takes. */
export interface KrosaiDeliveryFilter {
  /** From 1. Default of the API: 1. */
  readonly page?: number
  /** From 1 to 100. Default of the API: 20. */
  readonly limit?: number
  readonly webhook_id?: string
  /** One of values that are not documented: the API may refuse others. */
  readonly status?: string
}

/**
 * The history of deliveries. Each call may reject with an `ApiError`, and with
 * RINGHOOK_OPTION_INVALID for what is out of bounds. Source: KrosAI, Webhook deliveries.
 */
export interface KrosaiDeliveries {
  list(filter?: KrosaiDeliveryFilter, options?: CallOptions): Promise<KrosaiDeliveryPage>
  /** One delivery in full, "including payload and response", in fields that are not documented. */
  get(id: string, options?: CallOptions): Promise<KrosaiDelivery>
  /** Has KrosAI send a failed delivery again. What it answers is not documented. */
  retry(id: string, options?: CallOptions): Promise<unknown>
}

const delivery: z.ZodType<KrosaiDelivery> = z.looseObject({
  id: z.string(),
  webhook_id: z.string().nullish(),
  event_type: z.string().nullish(),
  status: z.string().nullish(),
})

const count = z.number().optional().catch(undefined)

const summary = z
  .looseObject({
    total: count,
    delivered: count,
    failed: count,
    pending: count,
    success_rate: count,
  })
  .transform(({ total, delivered, failed, pending, success_rate }) => {
    return { total, delivered, failed, pending, success_rate }
  })
  .optional()
  .catch(undefined)

const page = z.looseObject({
  data: z.array(delivery),
  total: count,
  page: count,
  limit: count,
  total_pages: count,
  summary,
})

const listDeliveries = {
  name: 'deliveries.list',
  isRepeatable: true,
  answer: page as z.ZodType<KrosaiDeliveryPage>,
}
const getDelivery = { name: 'deliveries.get', isRepeatable: true, answer: delivery }
const retryDelivery = { name: 'deliveries.retry', isRepeatable: false, answer: z.unknown() }

/** Returns the calls for the delivery history. */
export function krosaiDeliveriesClient(
  client: Client<paths>,
  transport: Transport,
): KrosaiDeliveries {
  return {
    list: async (filter = {}, options = {}) => {
      const query = checkFilter(filter)
      return await transport.call(listDeliveries, options, (fetch) =>
        client.GET('/webhook-deliveries', { fetch, params: { query } }),
      )
    },

    get: async (id, options = {}) => {
      const path = { id: checkId('deliveries.get()', id) }
      return await transport.call(getDelivery, options, (fetch) =>
        client.GET('/webhook-deliveries/{id}', { fetch, params: { path } }),
      )
    },

    retry: async (id, options = {}) => {
      const path = { id: checkId('deliveries.retry()', id) }
      return await transport.call(retryDelivery, options, (fetch) =>
        client.POST('/webhook-deliveries/{id}/retry', { fetch, params: { path } }),
      )
    },
  }
}

function checkFilter(filter: KrosaiDeliveryFilter): KrosaiDeliveryFilter {
  const { page: number, limit, webhook_id, status } = filter
  if (number !== undefined)
    wholeNumber('page', number, { default: 1, min: 1, max: Number.MAX_SAFE_INTEGER })
  if (limit !== undefined) wholeNumber('limit', limit, { default: 20, min: 1, max: 100 })
  if (webhook_id !== undefined) checkId('deliveries.list({ webhook_id })', webhook_id)
  checkOptional('status', status, 'string')
  return filter
}
