import type { RequestHeaders } from '../core/request/http.ts'

/** An object as `JSON.parse` returns it. */
export type JsonObject = { readonly [key: string]: unknown }

/**
 * What validates an event's data: every zod schema is one. Only the synchronous `safeParse` is
 * called, and what it returns is what the handler gets.
 */
export interface EventSchema<Data = unknown> {
  safeParse(
    value: unknown,
  ):
    | { readonly success: true; readonly data: Data }
    | { readonly success: false; readonly error: { readonly issues: readonly RawSchemaIssue[] } }
}

/** One objection as the schema library words it. */
export interface RawSchemaIssue {
  readonly path: readonly PropertyKey[]
  readonly code?: string | undefined
}

/** One event that a provider documents. */
export interface EventDefinition<Data = unknown> {
  readonly schema: EventSchema<Data>
  /** Other names under which the provider's pages describe the same event. */
  readonly aliases?: readonly string[]
  /** The documented bodies, each under the name it is sent as. `fixture` returns them. */
  readonly samples?: Readonly<Record<string, JsonObject>>
}

declare const event: unique symbol

/**
 * A definition whose event has an interface of its own, by which the compiler calls it in its
 * messages. In types only: nothing is ever there.
 */
export interface NamedEvent<Event> {
  readonly [event]?: Event
}

/** The events of a provider, by canonical name. */
export type EventDefinitions = Readonly<Record<string, EventDefinition>>

/** How a provider signs: HMAC-SHA256 with a shared secret, written into a header. */
export interface SignatureScheme {
  /** The header's name, in lower case. Repeated headers, which Node joins with a comma, fit no form without a `separator`. */
  readonly header: string
  /** How the digest is written: 64 lower-case hex digits, or 44 characters of padded base64. */
  readonly encoding: 'hex' | 'base64'
  /** What stands before each digest, as in `sha256=`. Default: nothing. */
  readonly prefix?: string
  /**
   * One character that stands between signatures, where a sender may write several into the
   * header. Any of the first 16 may match; parts with another prefix are passed over. Default: one only.
   */
  readonly separator?: string
  /**
   * What is signed before the body, read from the headers. `undefined`: a header is missing or
   * malformed, and the delivery is refused. Default: nothing, the signature covers the body alone.
   */
  readonly signedPrefix?: (headers: RequestHeaders) => string | undefined
  /** How a secret becomes the HMAC's key; throws when it cannot. Default: its UTF-8 bytes. */
  readonly key?: (secret: string) => Uint8Array
}

/** The parts of a body that ringhook routes by. All are checked by the receiver. */
export interface Envelope {
  /** The event's name on the wire. Refused (400) unless it is a string with something in it. */
  readonly event: unknown
  /** What repeats of the event have in common: text that is not blank, an integer up to 2^53 either way, or a `bigint`. For anything else the id is the SHA-256 of the body, and what is there and cannot be used is logged. */
  readonly id?: unknown
  /** When it was sent: a `Date`, or a string in the form of RFC 3339, with its zone. Convert epochs. */
  readonly timestamp?: unknown
  /** What the event's schema validates. */
  readonly data?: unknown
  /**
   * The call that the event is about: an inbox runs the events of one call in the order received.
   * Text that is not blank, or a number. For anything else the event is in no order.
   */
  readonly callId?: unknown
}

/** How a provider delivers, as far as its pages say. Drives `simulateProvider`. */
export interface DeliveryPolicy {
  /** The wait before each attempt in ms, counted from the attempt before it. The first is 0. */
  readonly retryDelaysMs: readonly number[]
  /** How long the provider waits for an answer. Absent: not documented. */
  readonly timeoutMs?: number
  /** The endpoint is disabled after this many failed attempts of one event. Absent: not documented. */
  readonly disabledAfterFailures?: number
  /** How many hooks may send the same event. Default: 1. */
  readonly copies?: number
  /** The addresses that deliveries come from. Absent: not documented. */
  readonly addresses?: readonly string[]
}

/** Defaults of the receiver's options that a provider changes. README, "Options", has them all. */
export interface ProviderDefaults {
  readonly ackDeadlineMs?: number
  readonly retentionMs?: number
  readonly invalidEvents?: 'reject' | 'acknowledge'
}

/** A provider as it is described to {@link defineProvider}. */
export interface ProviderDefinition<
  Name extends string = string,
  Events extends EventDefinitions = EventDefinitions,
  Signature extends SignatureScheme | false = SignatureScheme | false,
> {
  /** Lower-case letters, digits and hyphens. Part of every idempotency key: never change it. */
  readonly name: Name
  /** `false` for a provider that signs nothing. */
  readonly signature: Signature
  /**
   * Whether every delivery carries a timestamp under its signature. Then it is required and
   * checked, so that an old delivery cannot be replayed once its event is forgotten.
   */
  readonly signedTimestamp: boolean
  readonly events: Events
  /** Where the body holds what. Default: `event`, `id`, `timestamp` and `data` at the top. */
  readonly read?: (body: JsonObject, headers: RequestHeaders) => Envelope
  readonly delivery: DeliveryPolicy
  readonly defaults?: ProviderDefaults
  /**
   * For tests: a body like `body`, but of another event. `unique` is new for every call.
   * Default: a new `id` and `timestamp` at the top, where the body has them.
   */
  readonly renew?: (
    body: JsonObject,
    unique: { readonly id: string; readonly timestamp: Date },
  ) => JsonObject
}

/** A provider, ready for `createReceiver`. Made by `defineProvider`. */
export interface Provider<
  Name extends string = string,
  Events extends EventDefinitions = EventDefinitions,
  Signature extends SignatureScheme | false = SignatureScheme | false,
> extends Required<Omit<ProviderDefinition<Name, Events, Signature>, 'defaults'>> {
  readonly defaults: ProviderDefaults
  /** Every documented name, in any spelling, with the canonical name that it stands for. */
  readonly canonicalNames: ReadonlyMap<string, string>
}
