import type { Client } from 'openapi-fetch'
import { z } from 'zod'
import { type CallOptions, checkId } from '../client-options.ts'
import type { Operation, Transport } from '../transport.ts'
import type { components, paths } from './webhooks-document.ts'

/** The seven names of events that the API's document lists for a subscription. */
export type KrosaiListedEvent = components['schemas']['WebhookEvent']

/**
 * A webhook subscription, as the API returns it. The document requires none of its fields: without
 * `id` and `url` an answer is refused, the others may be missing. Fields that are new pass through.
 */
export interface KrosaiWebhook {
  readonly id: string
  readonly url: string
  /** The secret that signs its deliveries. Which answers include it is not documented. */
  readonly secret?: string | null | undefined
  /** Any text: the API may come to list more names than its document. */
  readonly events?: readonly string[] | null | undefined
  readonly active?: boolean | null | undefined
  readonly organization_id?: string | null | undefined
  /** RFC 3339, as in `2025-01-10T12:00:00Z`. */
  readonly created_at?: string | null | undefined
  readonly updated_at?: string | null | undefined
  readonly [field: string]: unknown
}

/** What a test call came to. The document requires none of its fields. */
export interface KrosaiTestResult {
  readonly success?: boolean | null | undefined
  /** The status that the endpoint answered with. `null`: there was none. */
  readonly status_code?: number | null | undefined
  readonly message?: string | null | undefined
  readonly [field: string]: unknown
}

/** What `webhooks.create` takes. */
export interface KrosaiWebhookCreate {
  readonly url: string
  /** One name or more. */
  readonly events: readonly KrosaiListedEvent[]
  /** Default of the API: `true`. */
  readonly active?: boolean
}

/** What `webhooks.update` takes: what is left out stays as it is. */
export type KrosaiWebhookUpdate = Partial<KrosaiWebhookCreate>

/**
 * The webhooks of an account. Each call may reject with an `ApiError`, and with
 * RINGHOOK_OPTION_INVALID for an invalid id. Source: KrosAI, Webhooks API.
 */
export interface KrosaiWebhooks {
  list(options?: CallOptions): Promise<readonly KrosaiWebhook[]>
  /** Not repeated where it may have been done: two subscriptions of one URL send every event twice. */
  create(webhook: KrosaiWebhookCreate, options?: CallOptions): Promise<KrosaiWebhook>
  get(id: string, options?: CallOptions): Promise<KrosaiWebhook>
  update(id: string, changes: KrosaiWebhookUpdate, options?: CallOptions): Promise<KrosaiWebhook>
  delete(id: string, options?: CallOptions): Promise<void>
  /** Has KrosAI send a test payload to the webhook's URL. What is in it is not documented. */
  test(id: string, options?: CallOptions): Promise<KrosaiTestResult>
}

const webhook: z.ZodType<KrosaiWebhook> = z.looseObject({
  id: z.string(),
  url: z.string(),
  secret: z.string().nullish(),
  events: z.array(z.string()).nullish(),
  active: z.boolean().nullish(),
  organization_id: z.string().nullish(),
  created_at: z.string().nullish(),
  updated_at: z.string().nullish(),
})

const testResult: z.ZodType<KrosaiTestResult> = z.looseObject({
  success: z.boolean().nullish(),
  status_code: z.number().nullish(),
  message: z.string().nullish(),
})

const listWebhooks = operation('list', true, z.array(webhook))
const createWebhook = operation('create', false, webhook)
const getWebhook = operation('get', true, webhook)
const updateWebhook = operation('update', true, webhook)
const deleteWebhook = operation(
  'delete',
  true,
  z.unknown().transform(() => {}),
)
const testWebhook = operation('test', false, testResult)

/** Returns the calls for the document's six operations. */
export function krosaiWebhooksClient(client: Client<paths>, transport: Transport): KrosaiWebhooks {
  return {
    list: (options = {}) =>
      transport.call(listWebhooks, options, (fetch) => client.GET('/webhooks', { fetch })),

    create: (body, options = {}) =>
      transport.call(createWebhook, options, (fetch) => client.POST('/webhooks', { fetch, body })),

    get: async (id, options = {}) => {
      const path = pathOf('get', id)
      return await transport.call(getWebhook, options, (fetch) =>
        client.GET('/webhooks/{id}', { fetch, params: { path } }),
      )
    },

    update: async (id, body, options = {}) => {
      const path = pathOf('update', id)
      return await transport.call(updateWebhook, options, (fetch) =>
        client.PATCH('/webhooks/{id}', { fetch, params: { path }, body }),
      )
    },

    delete: async (id, options = {}) => {
      const path = pathOf('delete', id)
      await transport.call(deleteWebhook, options, (fetch) =>
        client.DELETE('/webhooks/{id}', { fetch, params: { path } }),
      )
    },

    test: async (id, options = {}) => {
      const path = pathOf('test', id)
      return await transport.call(testWebhook, options, (fetch) =>
        client.POST('/webhooks/{id}/test', { fetch, params: { path } }),
      )
    },
  }
}

function operation<Result>(
  name: string,
  isRepeatable: boolean,
  answer: z.ZodType<Result>,
): Operation<Result> {
  return { name: `webhooks.${name}`, isRepeatable, answer }
}

function pathOf(name: string, id: string): { readonly id: string } {
  return { id: checkId(`webhooks.${name}()`, id) }
}
