import type { KeyObject } from 'node:crypto'
import { types } from 'node:util'
import type { Keyring } from '../core/authentication/keyring.ts'
import { checkOptions, optionInvalid } from '../core/checks.ts'
import { type DeliveryCode, RinghookError } from '../core/errors.ts'
import type { Outcome, OutcomeName } from '../core/outcome/outcome.ts'
import type { Receiver } from '../core/receiver.ts'
import { settingsOf } from '../core/receiver-internals.ts'
import type { DeliveryRequest } from '../core/request/http.ts'
import { CheckedRequest } from '../core/request/request.ts'
import type { JsonObject, Provider } from '../providers/provider.ts'
import {
  type OverridesFor,
  type RequestOptions,
  requestFor,
  requestOptions,
  type Sendable,
  type SignedRequest,
} from './signed-request.ts'

/** Options of {@link deliver}. */
export interface DeliverOptions extends RequestOptions {
  /** Path and query, as in `/hooks?token=…`. Default: `/`. */
  readonly url?: string
  /** Signs with this tenant's secret. Default: the first secret that the `secret` function returns. */
  readonly tenant?: string
  /** Where the connection comes from. Default: `127.0.0.1`. */
  readonly remoteAddress?: string
  /** Sends this many more copies of the same bytes at the same moment. Default: 0. */
  readonly duplicate?: number
}

/** What the provider would see, and what became of the delivery. */
export interface Delivered {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: { readonly outcome: OutcomeName; readonly code?: DeliveryCode }
  readonly outcome: OutcomeName
  /** What `onOutcome` was told. */
  readonly details: Outcome
  /** The answers to the copies that `duplicate` asked for. */
  readonly duplicates: readonly Delivered[]
}

/**
 * Delivers straight into a receiver, signed with the receiver's own secret and stamped by its
 * clock, and waits for the handler: also for one that goes on after its answer. A
 * {@link SignedRequest} is delivered as it is, so delivering it twice is a retry.
 *
 * With an inbox it resolves when the delivery is committed: `drainInbox` waits for its handler.
 *
 * @throws {RinghookError} RINGHOOK_FIXTURE_INVALID, RINGHOOK_OPTION_INVALID;
 * RINGHOOK_RECEIVER_INVALID for a receiver of another version of ringhook.
 * @example
 * ```ts
 * import { createReceiver, krosai } from 'ringhook'
 * import { deliver } from 'ringhook/testing'
 *
 * const receiver = createReceiver(krosai, {
 *   secret: 'a secret for tests',
 *   on: { 'call.completed': (event) => console.log(event.data.duration) },
 * })
 * const { status, outcome } = await deliver(receiver, 'call.completed', {
 *   overrides: { data: { duration: 7 } },
 * })
 * console.log(status, outcome) // 200 handled
 * ```
 */
export async function deliver<P extends Provider, const Sent extends Sendable<P> | SignedRequest>(
  receiver: Receiver<P>,
  sent: Sent,
  options?: DeliverOptions & OverridesFor<P, Sent>,
): Promise<Delivered> {
  checkOptions('deliver()', options ?? {}, [
    ...requestOptions,
    'url',
    'tenant',
    'remoteAddress',
    'duplicate',
  ])
  const { url = '/', remoteAddress = '127.0.0.1', duplicate = 0 } = options ?? {}
  const signed = isSignedRequest(sent) ? sent : await signFor(receiver, sent, options ?? {})
  const { method, headers, rawBody } = signed
  const request: DeliveryRequest = {
    method,
    url,
    headers: lowerCased(headers),
    socket: { remoteAddress },
    body: rawBody,
  }
  const [first, ...copies] = await Promise.all(
    Array.from({ length: duplicate + 1 }, () => deliverOne(receiver, request)),
  )
  await receiver.idle()
  // The array holds at least one entry.
  return { ...(first as Delivered), duplicates: copies }
}

/** Signs with the receiver's own secret and stamps by its clock. */
export async function signFor(
  receiver: Receiver,
  sent: string | JsonObject | Uint8Array,
  options: DeliverOptions & { readonly overrides?: JsonObject },
): Promise<SignedRequest> {
  const settings = settingsOf(receiver)
  if (settings === undefined) throw notOurs()
  const url = options.url ?? '/'
  const headers = lowerCased(options.headers ?? {})
  const keyring = await settings.keysFor(new CheckedRequest({ method: 'POST', url, headers }))
  const withClock = { clock: settings.clock, ...options }
  return requestFor(receiver.provider, sent, keyOf(keyring, options.tenant), withClock)
}

function notOurs(): RinghookError {
  return new RinghookError(
    'RINGHOOK_RECEIVER_INVALID',
    'The receiver under test was made by another version of ringhook than ringhook/testing, or is no receiver, so its secret is not known. Install one version (npm ls ringhook shows them), and give what createReceiver(provider, options) returned.',
  )
}

function keyOf(keyring: Keyring | undefined, tenant: string | undefined): KeyObject | undefined {
  if (tenant === undefined) return keyring?.keys[0]
  const index = keyring?.tenants?.indexOf(tenant) ?? -1
  if (index !== -1) return keyring?.keys[index]
  throw optionInvalid(
    'The receiver has no secret for the tenant of deliver().',
    'Its secret function must return { secret, tenant } for the url and headers of the delivery.',
  )
}

async function deliverOne(receiver: Receiver, request: DeliveryRequest): Promise<Delivered> {
  const { status, headers, body, outcome } = await receiver.receive(request)
  const parsed: Delivered['body'] = JSON.parse(body)
  return {
    status,
    headers,
    body: parsed,
    outcome: outcome.outcome,
    details: outcome,
    duplicates: [],
  }
}

/** Whether it is to be sent as it is. */
export function isSignedRequest(sent: unknown): sent is SignedRequest {
  return types.isUint8Array((sent as { readonly rawBody?: unknown } | undefined)?.rawBody)
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  )
}
