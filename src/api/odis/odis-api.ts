import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { checkSecretText } from '../../core/authentication/secrets.ts'
import { checkOptions, optionInvalid } from '../../core/checks.ts'
import { didYouMean } from '../../core/did-you-mean.ts'
import { RinghookError } from '../../core/errors.ts'
import type { SentName } from '../../core/event/event-types.ts'
import { odis } from '../../providers/odis/odis.ts'
import type { JsonObject } from '../../providers/provider.ts'
import {
  type ApiClientOptions,
  type CallOptions,
  type ClientKind,
  type ClientSettings,
  checkClientOptions,
  checkEndpoint,
} from '../client-options.ts'
import { Transport } from '../transport.ts'

/** Options of {@link createOdisApi}. */
export type OdisApiOptions = ApiClientOptions

/** What `webhooks.create` takes. */
export interface OdisWebhookCreate extends CallOptions {
  readonly url: string
  /** The three events of ODIS's page. One name or more. */
  readonly events: readonly SentName<typeof odis>[]
  /** Signs the deliveries. 16 characters or more. Default: 32 random bytes, as base64url. */
  readonly secret?: string
}

/** A webhook that was created. */
export interface CreatedOdisWebhook {
  /** What deliveries are signed with. Keep it: it goes into the receiver's `secret`. */
  readonly secret: string
  /** What ODIS answered. Its page does not say what that is: `undefined` if it was nothing. */
  readonly answer: JsonObject | undefined
}

/** ODIS AI's management API, as far as its page documents it: one call. */
export interface OdisApi {
  readonly webhooks: {
    /**
     * Subscribes a URL. Not repeated where it may have been done: give a `secret` of your own if
     * you want to call again after such a failure, so that deliveries of either are verified.
     *
     * @throws {RinghookError} RINGHOOK_OPTION_INVALID, RINGHOOK_EVENT_UNKNOWN,
     * RINGHOOK_SECRET_MISSING, RINGHOOK_SECRET_INVALID; what the API failed with, as an `ApiError`.
     */
    create(webhook: OdisWebhookCreate): Promise<CreatedOdisWebhook>
  }
}

// The page shows no form of a key.
const kind: ClientKind = {
  factory: 'createOdisApi',
  baseUrl: 'https://api.odis.ai/v1',
  options: [],
}

const createWebhook = {
  name: 'webhooks.create',
  isRepeatable: false,
  answer: z.looseObject({}).optional().catch(undefined),
}

/**
 * Creates a client for ODIS AI's management API.
 *
 * Source: ODIS, Webhooks ("Via API"). It shows the request; the answer, its errors and other calls
 * are not documented.
 *
 * @throws {RinghookError} RINGHOOK_API_KEY_INVALID, RINGHOOK_OPTION_INVALID
 * @example
 * ```ts
 * import { createOdisApi } from 'ringhook/odis-api'
 *
 * const api = createOdisApi({ apiKey: process.env.ODIS_API_KEY })
 *
 * export async function subscribe() {
 *   const { secret } = await api.webhooks.create({
 *     url: 'https://example.com/hooks',
 *     events: ['call.ended', 'appointment.created'],
 *   })
 *   return secret
 * }
 * ```
 */
export function createOdisApi(options: OdisApiOptions): OdisApi {
  const settings = checkClientOptions(kind, options)
  const transport = new Transport(settings)
  return {
    webhooks: {
      create: async (webhook) => {
        const { url, events, secret, signal } = checkCreate(webhook)
        const call = signal === undefined ? {} : { signal }
        const request = requestTo(settings, '/webhooks', { url, events, secret })
        const answer = await transport.call(createWebhook, call, async (fetch) => {
          const response = await fetch(request)
          return { data: response.status === 204 ? undefined : await response.json() }
        })
        return { secret, answer }
      },
    },
  }
}

function requestTo({ baseUrl, apiKey }: ClientSettings, path: string, body: unknown): Request {
  return new Request(`${baseUrl}${path}`, {
    method: 'POST',
    headers: {
      accept: 'application/json',
      authorization: `Bearer ${apiKey}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify(body),
  })
}

function checkCreate(webhook: OdisWebhookCreate) {
  checkOptions('webhooks.create()', webhook, ['url', 'events', 'secret', 'signal'])
  const { events, signal } = webhook
  const url = checkEndpoint(webhook.url)
  if (!Array.isArray(events) || events.length === 0) {
    throw optionInvalid('events must be an array of names.', "Give one such as ['call.ended'].")
  }
  for (const name of events) if (!odis.canonicalNames.has(name)) throw unknown(String(name))
  return { url, events, signal, secret: secretOf(webhook) }
}

/** Generates a secret if the option is absent. An option that is present but empty is a mistake. */
function secretOf(webhook: OdisWebhookCreate): string {
  if (!('secret' in webhook)) return randomBytes(32).toString('base64url')
  const { secret } = webhook
  checkSecretText(secret, 'odis')
  if (secret.length >= 16) return secret
  throw new RinghookError(
    'RINGHOOK_SECRET_INVALID',
    'The secret is too weak: it needs 16 characters or more. Leave it out to have one generated.',
  )
}

function unknown(name: string): RinghookError {
  const names = [...odis.canonicalNames.keys()]
  return new RinghookError(
    'RINGHOOK_EVENT_UNKNOWN',
    `events has "${name}", which is not an event that odis documents.${didYouMean(name, names)} It documents: ${names.join(', ')}.`,
  )
}
