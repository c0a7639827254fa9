import type { Inbox } from '../../inboxes/inbox.ts'
import type { EventDefinitions, Provider, SignatureScheme } from '../../providers/provider.ts'
import type { IdempotencyStore } from '../../stores/store.ts'
import type { Clock } from '../clock.ts'
import type { WebhookEvent } from '../event/event.ts'
import type { MergedEvents, OwnEvents, OwnName, RoutingTable } from '../event/event-types.ts'
import type { RetryOptions } from '../inbox/retry.ts'
import type { Logger } from '../log.ts'
import type { Outcome } from '../outcome/outcome.ts'
import type { RequestHeaders } from '../request/http.ts'

/**
 * The shared secret: one, several (rotation: any of them verifies), or a function that is asked for
 * every request. `undefined` is in the type so that `process.env.X` can be given; it is refused
 * when the receiver is built.
 */
export type Secret = string | undefined | readonly (string | undefined)[] | SecretFunction

/**
 * Returns the secret or secrets for a request, from what has not been verified yet: use it to look a
 * secret up and for nothing else. `undefined`, `null` or an empty array: no secret is known, answered 401.
 * Throwing, or a blank secret: answered 503.
 */
export type SecretFunction = (request: SecretRequest) => SecretAnswer | Promise<SecretAnswer>

type SecretAnswer = string | TenantSecret | readonly (string | TenantSecret)[] | null | undefined

/**
 * The secret or secrets of one tenant. If one of them verifies a delivery, the tenant is part of the
 * event's key, so that two tenants may use one event id, and is in `context` and outcomes.
 */
export interface TenantSecret {
  /** `undefined` or `null`: no secret is known for the tenant. */
  readonly secret: string | readonly string[] | null | undefined
  /** 1 to 128 characters without control characters. Compared exactly as it is. */
  readonly tenant: string
}

/** What a {@link SecretFunction} may look at. */
export interface SecretRequest {
  readonly url: string
  readonly headers: RequestHeaders
}

/** Options that are the same for every provider. README, "Options", explains each. */
export interface CommonOptions<
  P extends Provider,
  Own extends OwnEvents,
  Events extends EventDefinitions = P['events'],
> {
  /** The routing table. Default: `{}`, every event is answered 200 `ignored`. */
  readonly on?: RoutingTable<Events, P['name']>
  /** Adds events, or narrows the data of known ones: `{ 'call.transferred': zodSchema }`. */
  readonly events?: Own
  /** Keeps the events of receivers apart that share a store. Default: `''`. */
  readonly namespace?: string
  /** Addresses and CIDRs that may send, or `'documented'` for those the provider publishes. */
  readonly allowedIps?: readonly string[] | 'documented'
  /**
   * The proxies whose `X-Forwarded-For` to believe: addresses, CIDRs, `'loopback'`, `'linklocal'`,
   * `'uniquelocal'`, or `'unix'` for a proxy that connects through a Unix socket. Default: none,
   * only the socket's address counts.
   */
  readonly trustedProxies?: string | readonly string[]
  /** A secret in the URL's `?token=`, 16 characters or more. Several: any of them. */
  readonly urlToken?: string | undefined | readonly (string | undefined)[]
  /** Default: 1 048 576. From 1 to 64 MiB. */
  readonly maxBodyBytes?: number
  /** How long the whole body may take, in ms. Default: 10 000. */
  readonly bodyTimeoutMs?: number
  /** When the answer must be out, in ms from the arrival of the headers. Default: 10 000; CallKaro 4 500. */
  readonly ackDeadlineMs?: number
  /** How long a claim holds without renewal, in ms. Default: 30 000. */
  readonly leaseMs?: number
  /** How long a completed event is remembered, and the oldest signed timestamp accepted. Default: 7 days; KrosAI 30 days. */
  readonly retentionMs?: number
  /** How far in the future a signed timestamp may lie, in ms. Default: 300 000. */
  readonly clockToleranceMs?: number
  /** `'process'`: run the handler without deduplication when the store is down. Default: `'reject'`. */
  readonly onStoreError?: 'reject' | 'process'
  /**
   * An authentic event whose data fails its schema. Default: `'reject'` (422); ODIS and CallKaro
   * `'acknowledge'` (200). With an inbox `'acknowledge'`: answered 200, and kept as a dead letter.
   */
  readonly invalidEvents?: 'reject' | 'acknowledge'
  /** Gives the event id instead of the provider's. Repeats must get the same one. */
  readonly eventId?: (event: WebhookEvent, rawBody: Uint8Array) => string
  /** Called once per delivery, and with an inbox once per attempt. What it throws is logged and changes nothing. */
  readonly onOutcome?: (outcome: Outcome) => void
  /**
   * Gets what needs looking at as `warn` and `error`, and one `debug` line per delivery. Default:
   * `console` for warnings and errors, and debug lines with `NODE_DEBUG=ringhook`. `false`: silence.
   */
  readonly logger?: Logger | false
  /**
   * `true`: what a handler threw is logged with message and stack, which may quote the event.
   * `false`: only its code and place. Default: `true`.
   */
  readonly logErrors?: boolean
  /** Default: the machine's clock. */
  readonly clock?: Clock
}

/** The options of a receiver without an inbox: its handlers run before the answer. */
interface InlineOptions<
  P extends Provider,
  Own extends OwnEvents,
  Events extends EventDefinitions = P['events'],
> extends CommonOptions<P, Own, Events> {
  /** Default: `memoryStore()`, which forgets with the process. */
  readonly store?: IdempotencyStore
  readonly inbox?: undefined
  readonly retry?: undefined
  readonly orderingKey?: undefined
  readonly maxHoldMs?: undefined
}

/** The options of a receiver with an inbox: its handlers run in a worker. */
export interface InboxOptions<
  P extends Provider,
  Own extends OwnEvents,
  Events extends EventDefinitions = P['events'],
> extends CommonOptions<P, Own, Events> {
  /** One that outlives the process: it knows which events have completed. */
  readonly store: IdempotencyStore
  /**
   * Keeps deliveries until they are processed: the endpoint answers 200 once a delivery is committed,
   * and a worker runs its handler. Default: none, the handler runs before the answer.
   */
  readonly inbox: Inbox
  /**
   * How failed attempts are repeated: for all handlers, and in `on` for single keys of the routing
   * table. Default: 15 attempts in one and a half to three hours.
   */
  readonly retry?: RetryOptions & {
    readonly on?: {
      readonly [Key in keyof RoutingTable<Events>]?: RetryOptions
    }
  }
  /**
   * Events for which this returns the same text run one after another, in the order received.
   * `undefined`: in no order; `false`: no order at all. Default: the call that the event is about, if
   * the inbox keeps order.
   */
  readonly orderingKey?: ((event: WebhookEvent) => string | undefined) | false
  /** How long after its first failure an event holds back those behind it, in ms. Default: 300 000. */
  readonly maxHoldMs?: number
}

/** How a provider that signs is authenticated. */
export interface SignedOptions {
  readonly secret: Secret
}

/** How a provider that signs nothing is told from anybody else: one of three, by type and when built. */
export type UnsignedOptions =
  // Where none is given, the compiler names the last.
  | { readonly allowUnsigned: true }
  | { readonly allowedIps: readonly string[] | 'documented' }
  | { readonly urlToken: NonNullable<CommonOptions<Provider, OwnEvents>['urlToken']> | undefined }

/** Of a provider that is known only as a `Provider`, either. */
type ProtectionOptions<Signature> = Signature extends SignatureScheme
  ? SignedOptions
  : UnsignedOptions

/**
 * The options of `createReceiver`.
 *
 * Conditional although both branches are alike: while `Own` is not inferred yet the compiler goes by
 * the first, which does not depend on it, and so knows the event of a handler inside of a wrapper,
 * as in `traced((event) => …)`.
 */
export type ReceiverOptions<P extends Provider, Own extends OwnEvents = Record<never, never>> = ([
  OwnName<Own>,
] extends [never]
  ? // If a required option is missing, the compiler names the last: the one without an inbox.
    InboxOptions<P, Record<never, never>> | InlineOptions<P, Record<never, never>>
  :
      | InboxOptions<P, Own, MergedEvents<P['events'], NoInfer<Own>>>
      | InlineOptions<P, Own, MergedEvents<P['events'], NoInfer<Own>>>) &
  ProtectionOptions<P['signature']>
