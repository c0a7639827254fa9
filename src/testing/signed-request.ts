import { createSecretKey, type KeyObject, randomBytes, randomUUID } from 'node:crypto'
import { types } from 'node:util'
import { signatureOf, signingKey } from '../core/authentication/signature.ts'
import { checkOptions } from '../core/checks.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { RinghookError } from '../core/errors.ts'
import type { SentName } from '../core/event/event-types.ts'
import type { JsonObject, Provider } from '../providers/provider.ts'
import { buildBody, type FixtureOverrides } from './fixture.ts'

/**
 * A delivery as it goes over the wire. Fits `fetch(url, request)`,
 * `app.inject({ url, ...request })` and, with supertest,
 * `.post(path).set(request.headers).send(request.body)`. Sent twice it is the provider's retry.
 */
export interface SignedRequest {
  readonly method: 'POST'
  readonly headers: Record<string, string>
  /** The body as text. */
  readonly body: string
  /** The body's bytes, for bodies that are no text. */
  readonly rawBody: Uint8Array
}

/** What goes wrong on the way, and what the request is made of. */
export interface RequestOptions {
  /** Headers to send with it; those that the signature covers are signed. */
  readonly headers?: Readonly<Record<string, string>>
  /** Signs with another secret. */
  readonly forge?: boolean
  /** Puts the timestamp this far into the past, in ms; negative for the future. */
  readonly ageMs?: number
  /** Loses the second half of the body after signing. */
  readonly truncate?: boolean
  /** Changes one byte of the body after signing. */
  readonly tamper?: boolean
  /** Where the timestamp comes from. Default: the machine's clock. */
  readonly clock?: Clock
}

/** What to send: an event by name, a body as an object, or bytes as they are. */
export type Sendable<P extends Provider> = SentName<P> | JsonObject | Uint8Array

/**
 * Gives a delivery as the provider would send it.
 *
 * - An event's name: its documented payload, as a new event (another id, the time now), with
 *   `overrides` on top.
 * - An object, such as `fixture` gives: this event, with the time now where it has a `timestamp`.
 * - Bytes: exactly these.
 *
 * @throws {RinghookError} RINGHOOK_FIXTURE_INVALID, RINGHOOK_OPTION_INVALID, or
 * RINGHOOK_SECRET_MISSING for a provider that signs.
 * @example
 * ```ts
 * import { krosai } from 'ringhook'
 * import { signedRequest } from 'ringhook/testing'
 *
 * const request = signedRequest(krosai, 'call.completed', { secret: 'a secret for tests' })
 * console.log(request.headers['x-webhook-signature'])
 * ```
 */
export function signedRequest<P extends Provider, const Sent extends Sendable<P>>(
  provider: P,
  sent: Sent,
  options?: RequestOptions & { readonly secret?: string } & OverridesFor<P, Sent>,
): SignedRequest {
  const { signature } = provider
  checkOptions('signedRequest()', options ?? {}, [...requestOptions, 'secret'])
  const secret = options?.secret
  if (signature === false) return requestFor(provider, sent, undefined, options ?? {})
  if (typeof secret !== 'string' || secret === '') {
    throw new RinghookError(
      'RINGHOOK_SECRET_MISSING',
      'There is nothing to sign with. Give the secret that the receiver under test was made with, as { secret }.',
    )
  }
  return requestFor(provider, sent, signingKey(signature, secret), options ?? {})
}

/** Overrides go with an event's name only: whoever gives a body has it in hand. */
export type OverridesFor<P extends Provider, Sent> =
  Sent extends SentName<P> ? { readonly overrides?: FixtureOverrides<P, Sent> } : unknown

/** The names of {@link RequestOptions}, and of the overrides that go with an event's name. */
export const requestOptions: readonly string[] = [
  'headers',
  'forge',
  'ageMs',
  'truncate',
  'tamper',
  'clock',
  'overrides',
]

/** Makes the request with a key that may come from a receiver. */
export function requestFor(
  provider: Provider,
  sent: string | JsonObject | Uint8Array,
  key: KeyObject | undefined,
  options: RequestOptions & { readonly overrides?: JsonObject },
): SignedRequest {
  const signed = bytesOf(provider, sent, options)
  const headers: Record<string, string> = { 'content-type': 'application/json', ...options.headers }
  if (provider.signature !== false && key !== undefined) {
    const signer = options.forge === true ? createSecretKey(randomBytes(32)) : key
    headers[provider.signature.header] = signatureOf(provider.signature, signer, headers, signed)
  }
  const rawBody = damaged(signed, options)
  return { method: 'POST', headers, body: rawBody.toString('utf8'), rawBody }
}

function bytesOf(
  provider: Provider,
  sent: string | JsonObject | Uint8Array,
  options: RequestOptions & { readonly overrides?: JsonObject },
): Buffer {
  if (types.isUint8Array(sent)) return Buffer.from(sent)
  const timestamp = timestampFor(options)
  const body =
    typeof sent === 'string'
      ? buildBody(provider, sent, options.overrides ?? {}, (sample) =>
          provider.renew(sample, { id: `evt_${randomUUID()}`, timestamp }),
        )
      : sent
  const isStamped = typeof sent !== 'string' && typeof sent['timestamp'] === 'string'
  return Buffer.from(
    JSON.stringify(isStamped ? { ...body, timestamp: timestamp.toISOString() } : body),
    'utf8',
  )
}

/** By clock, the stamps that were given out, each with the next one to try. */
const takenStamps = new WeakMap<Clock, Map<number, number>>()
const mostTaken = 10_000

/**
 * The time now, or the last millisecond before that was not given out by this clock: two events with
 * equal payloads must differ in their bytes, for providers whose event id is the hash of the body.
 * Never a later one: a clock that stands still or was set back would then refuse it.
 */
function timestampFor({ clock = systemClock, ageMs = 0 }: RequestOptions): Date {
  const taken = takenStamps.get(clock) ?? new Map<number, number>()
  takenStamps.set(clock, taken)
  const now = Math.floor(clock.now())
  let stamp = now
  for (let next = taken.get(stamp); next !== undefined; next = taken.get(stamp)) stamp = next
  if (taken.size >= mostTaken) taken.clear()
  taken.set(stamp, stamp - 1)
  taken.set(now, stamp - 1)
  return new Date(stamp - ageMs)
}

function damaged(signed: Buffer, { truncate, tamper }: RequestOptions): Buffer {
  const bytes = Buffer.from(truncate === true ? signed.subarray(0, signed.length >> 1) : signed)
  // The lowest bit of the last byte: a changed digit, quote or brace.
  if (tamper === true && bytes.length > 0) bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
  return bytes
}
