import createClient from 'openapi-fetch'
import { optionInvalid } from '../../core/checks.ts'
import {
  type ApiClientOptions,
  type ClientKind,
  checkClientOptions,
  checkId,
} from '../client-options.ts'
import { Transport } from '../transport.ts'
import { type KrosaiDeliveries, krosaiDeliveriesClient } from './deliveries.ts'
import type { paths as DeliveryPaths } from './deliveries-document.ts'
import { type EnsuredWebhook, type EnsureWebhookOptions, ensurer } from './ensure-webhook.ts'
import { type KrosaiWebhooks, krosaiWebhooksClient } from './webhooks.ts'
import type { paths as WebhookPaths } from './webhooks-document.ts'

/** Options of {@link createKrosaiApi}. */
export interface KrosaiApiOptions extends ApiClientOptions {
  /** `kros_live_…`, `kros_test_…`, or a JWT of a dashboard session. */
  readonly apiKey: string | undefined
  /** The organization's UUID, for an account with several. Default of the API: the first one. */
  readonly organizationId?: string
  /** Which header has the key. Default: `authorization`, as `Bearer`. */
  readonly keyHeader?: 'authorization' | 'x-api-key'
}

/** KrosAI's management API. */
export interface KrosaiApi {
  readonly webhooks: KrosaiWebhooks
  readonly deliveries: KrosaiDeliveries
  /**
   * Sees to it that one webhook sends these events to this URL: creates it, changes the one that
   * is there, or does nothing. For every start of a program, also of several instances at a time.
   *
   * @throws {RinghookError} RINGHOOK_OPTION_INVALID; RINGHOOK_EVENT_UNKNOWN for a name that KrosAI
   * does not document; RINGHOOK_EVENT_NOT_SUBSCRIBABLE for one that the API does not list; what
   * the API failed with, as an `ApiError`.
   */
  ensureWebhook(options: EnsureWebhookOptions): Promise<EnsuredWebhook>
}

const kind: ClientKind = {
  factory: 'createKrosaiApi',
  baseUrl: 'https://api.krosai.com/v1',
  options: ['organizationId', 'keyHeader'],
  keyForm: {
    pattern: /^(?:kros_(?:live|test)_.+|eyJ[\w-]*\.[\w-]+\.[\w-]*)$/,
    words: 'kros_live_…, kros_test_…, or that of a JWT',
  },
}

/**
 * Creates a client for KrosAI's management API. It connects to nothing until it is asked for
 * something, and keeps no connection of its own.
 *
 * Calls that change nothing when they are repeated (reads, `update`, `delete`) are repeated after
 * time-outs, broken connections, 408, 429 and 5xx; `create`, `test` and `retry` only after 429 and
 * where no connection was made. `Retry-After` is heeded up to `retry.maxDelayMs`.
 *
 * Source: KrosAI, Webhooks API (OpenAPI 3.0.3, version 1.3.0) and Webhook deliveries.
 *
 * @throws {RinghookError} RINGHOOK_API_KEY_INVALID, RINGHOOK_OPTION_INVALID
 * @example
 * ```ts
 * import { createKrosaiApi } from 'ringhook/krosai-api'
 *
 * const api = createKrosaiApi({ apiKey: process.env.KROSAI_API_KEY })
 *
 * export async function subscribe() {
 *   const { action, secret } = await api.ensureWebhook({
 *     url: 'https://example.com/hooks',
 *     events: ['call.completed', 'recording.ready'],
 *   })
 *   return { action, secret }
 * }
 * ```
 */
export function createKrosaiApi(options: KrosaiApiOptions): KrosaiApi {
  const settings = checkClientOptions(kind, options)
  const transport = new Transport(settings)
  const client = createClient<WebhookPaths & DeliveryPaths>({
    baseUrl: settings.baseUrl,
    headers: headersOf(settings.apiKey, options),
  })
  const webhooks = krosaiWebhooksClient(client, transport)
  return {
    webhooks,
    deliveries: krosaiDeliveriesClient(client, transport),
    ensureWebhook: ensurer(webhooks, settings),
  }
}

function headersOf(
  apiKey: string,
  { keyHeader = 'authorization', organizationId }: KrosaiApiOptions,
): Record<string, string> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (keyHeader === 'authorization') headers['authorization'] = `Bearer ${apiKey}`
  else if (keyHeader === 'x-api-key') headers['x-api-key'] = apiKey
  else {
    throw optionInvalid(
      'keyHeader has an unknown value.',
      "Use 'authorization' or 'x-api-key', or leave it out.",
    )
  }
  if (organizationId !== undefined) {
    headers['x-organization-id'] = checkId('organizationId', organizationId)
  }
  return headers
}
