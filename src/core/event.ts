import type { EventDefinitions, EventSchema, Provider } from '../providers/provider.ts'
import type { RequestHeaders } from './http.ts'

/** An authentic, validated event, as handlers get it. */
export interface WebhookEvent<
  Type extends string = string,
  Data = unknown,
  SentAs extends string = string,
  ProviderName extends string = string,
> {
  /** The provider's id of the event, or the SHA-256 of the body where it sends none. */
  readonly id: string
  /** The canonical name, whichever spelling was sent. */
  readonly type: Type
  /** The name on the wire. */
  readonly sentAs: SentAs
  /** When the provider sent it. `undefined` for providers that document no timestamp. */
  readonly timestamp: Date | undefined
  /** What the event's schema made of the data. */
  readonly data: Data
  readonly provider: ProviderName
}

/**
 * What a handler gets beside the event. `{ ...context, db }` keeps every member. Printing the
 * context, or such a copy, shows neither the body nor the headers.
 */
export interface HandlerContext {
  /** The key under which the store remembers the event: fit for an idempotency key of your own. */
  readonly idempotencyKey: string
  /** The tenant whose secret verified the delivery, if the `secret` function named one. */
  readonly tenant: string | undefined
  /**
   * Which claim of the event this is, from 1: a claim that was given back before it ran counts too.
   * With an inbox: which attempt of the delivery since it arrived or was replayed.
   */
  readonly attempt: number
  /** Higher with every owner of the event: write it beside your data to refuse late writers. */
  readonly fence: number
  /** Aborts when the lease is lost, or when `close()` ran out of time to drain. */
  readonly signal: AbortSignal
  /**
   * When the answer must be out. The handler may go on after it, but the sender is told to come
   * again. `undefined` with an inbox: nobody waits.
   */
  readonly deadline: Date | undefined
  /** The exact bytes that were verified. */
  readonly rawBody: Uint8Array
  /** In a worker those that the inbox keeps: docs/inbox.md, "What is kept". */
  readonly headers: RequestHeaders
  readonly receivedAt: Date
  /**
   * Marks the event as finished inside the handler's own database transaction, so that the
   * handler's write and the mark commit together. Call it last in the transaction. With a
   * synchronous driver (SQLite) it has marked, or thrown, when it returns.
   *
   * With an inbox in the same database the delivery's end in the inbox commits with them.
   *
   * A handler that calls it and returns while its transaction is not committed has failed:
   * RINGHOOK_TRANSACTION_NOT_COMMITTED.
   *
   * @throws {RinghookError} RINGHOOK_STORE_NOT_TRANSACTIONAL: the store cannot (memory, Redis).
   * RINGHOOK_TRANSACTION_INVALID: that is no open transaction of the store's database.
   * RINGHOOK_LEASE_LOST: another run took over; roll back.
   */
  complete(transaction: unknown): Promise<void>
}

/** A handler. What it returns is awaited and then dropped. */
export type Handler<Event extends WebhookEvent = WebhookEvent> = (
  event: Event,
  context: HandlerContext,
) => unknown

/** Schemas of the user's own, by event name: the `events` option. */
export type OwnEvents = Readonly<Record<string, EventSchema>>

/** The events of a provider with the user's own added, or put in place of the documented schema. */
export type MergedEvents<Events extends EventDefinitions, Own extends OwnEvents> = {
  [Type in keyof Events]: Extract<keyof Own, Type | SpellingOf<Events[Type]>> extends never
    ? Events[Type]
    : {
        readonly schema: Own[Extract<keyof Own, Type | SpellingOf<Events[Type]>>]
        readonly spellings: readonly SpellingOf<Events[Type]>[]
      }
} & {
  [Type in Exclude<keyof Own, NameOf<Events>>]: { readonly schema: Own[Type] }
}

type SpellingOf<Definition> = Definition extends { readonly spellings: readonly (infer Name)[] }
  ? Extract<Name, string>
  : never

/** The names of events, in every spelling. */
export type NameOf<Events> = {
  [Type in keyof Events]: Extract<Type, string> | SpellingOf<Events[Type]>
}[keyof Events]

type DataOf<Definition> = Definition extends { readonly schema: EventSchema<infer Data> }
  ? Data
  : never

/** The prefix wildcards that match at least one of the names: `call.*` for `call.ended`. */
export type WildcardOf<Name extends string> = Name extends `${infer Head}.${infer Rest}`
  ?
      | `${Head}.*`
      | (WildcardOf<Rest> extends infer Deeper
          ? Deeper extends string
            ? `${Head}.${Deeper}`
            : never
          : never)
  : never

type EventOfType<Events, Type extends keyof Events, ProviderName extends string> = {
  [T in Type]: WebhookEvent<
    Extract<T, string>,
    DataOf<Events[T]>,
    Extract<T, string> | SpellingOf<Events[T]>,
    ProviderName
  >
}[Type]

/** The canonical types that a key of the routing table stands for. */
type TypesFor<Events, Key extends string> = {
  [Type in keyof Events]: Key extends Type | SpellingOf<Events[Type]>
    ? Type
    : Key extends `${infer Head}.*`
      ? Extract<Extract<Type, string> | SpellingOf<Events[Type]>, `${Head}.${string}`> extends never
        ? never
        : Type
      : never
}[keyof Events]

/** The event that the handler under `Key` gets. */
export type EventFor<Events, Key extends string, ProviderName extends string> = Key extends '*'
  ? // Names that nobody documents arrive here too, so the data is what the wire says it is.
    WebhookEvent<string, unknown, string, ProviderName>
  : EventOfType<Events, TypesFor<Events, Key>, ProviderName>

/**
 * The routing table: exactly one handler runs per event, the most specific. The exact name in any
 * documented spelling, then the longest prefix wildcard, then `*`.
 */
export type RoutingTable<Events, ProviderName extends string = string> = {
  readonly [Key in NameOf<Events> | WildcardOf<Extract<NameOf<Events>, string>> | '*']?: Handler<
    EventFor<Events, Key, ProviderName>
  >
}

/** The names under which a provider's events are sent, in every spelling. */
export type SentName<P extends Provider> = Extract<NameOf<P['events']>, string>

/** The event of a provider under a name in any spelling: `EventOf<typeof krosai, 'call.completed'>`. */
export type EventOf<P extends Provider, Name extends SentName<P>> = EventFor<
  P['events'],
  Name,
  P['name']
>

/** The data of a provider's event: `EventData<typeof krosai, 'call.completed'>`. */
export type EventData<P extends Provider, Name extends SentName<P>> = EventOf<P, Name>['data']
