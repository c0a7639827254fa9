import type {
  EventDefinitions,
  EventSchema,
  NamedEvent,
  Provider,
} from '../../providers/provider.ts'
import type { Handler, WebhookEvent } from './event.ts'

/** Schemas of the user's own, by event name: the `events` option. */
export type OwnEvents = Readonly<Record<string, EventSchema>>

/** The events of a provider with the user's own added, or put in place of the documented schema. */
export type MergedEvents<Events extends EventDefinitions, Own extends OwnEvents> = [
  OwnName<Own>,
] extends [never]
  ? Events
  : EventsWith<Events, Own>

type EventsWith<Events extends EventDefinitions, Own extends OwnEvents> = {
  [Type in keyof Events]: Extract<keyof Own, Type | AliasOf<Events[Type]>> extends never
    ? Events[Type]
    : {
        readonly schema: Own[Extract<keyof Own, Type | AliasOf<Events[Type]>>]
        readonly aliases: readonly AliasOf<Events[Type]>[]
      }
} & {
  [Type in Exclude<keyof Own, NameOf<Events>>]: { readonly schema: Own[Type] }
}

/** The names of the user's own events: none for `never` too, which is what is not inferred yet. */
export type OwnName<Own> = Own extends unknown ? keyof Own : never

type AliasOf<Definition> = Definition extends { readonly aliases: readonly (infer Name)[] }
  ? Extract<Name, string>
  : never

/** The names of events, in every spelling. */
export type NameOf<Events> = {
  [Type in keyof Events]: Extract<Type, string> | AliasOf<Events[Type]>
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

/** The event of a definition: the interface that it names, or what its schema makes of the data. */
type EventOfType<Events, Type extends keyof Events, ProviderName extends string> =
  Events[Type] extends NamedEvent<infer Event extends WebhookEvent>
    ? Event
    : WebhookEvent<
        Extract<Type, string>,
        DataOf<Events[Type]>,
        Extract<Type, string> | AliasOf<Events[Type]>,
        ProviderName
      >

/**
 * The event that a definition stands for. An interface that extends it gives the event a name in
 * messages of the compiler: `KrosaiCallCompleted`.
 */
export type DocumentedEvent<
  Events,
  Type extends keyof Events,
  ProviderName extends string,
> = WebhookEvent<
  Extract<Type, string>,
  DataOf<Events[Type]>,
  Extract<Type, string> | AliasOf<Events[Type]>,
  ProviderName
>

/** The canonical types that a key of the routing table stands for. */
type TypesFor<Events, Key extends string> = {
  [Type in keyof Events]: Key extends Type | AliasOf<Events[Type]>
    ? Type
    : Key extends `${infer Head}.*`
      ? Extract<Extract<Type, string> | AliasOf<Events[Type]>, `${Head}.${string}`> extends never
        ? never
        : Type
      : never
}[keyof Events]

/** The event that the handler under `Key` gets. */
export type EventFor<Events, Key extends string, ProviderName extends string> = Key extends '*'
  ? // Undocumented names arrive here too, so the data can be anything.
    WebhookEvent<string, unknown, string, ProviderName>
  : {
      // Not an alias for the whole: the compiler would say its name, and not those of the events.
      [Type in TypesFor<Events, Key>]: EventOfType<Events, Type, ProviderName>
    }[TypesFor<Events, Key>]

/** The keys of a routing table: names in every spelling, prefix wildcards, and `*`. */
type KeyOf<Events> =
  | Extract<NameOf<Events>, string>
  | WildcardOf<Extract<NameOf<Events>, string>>
  | '*'

/**
 * The routing table: exactly one handler runs per event, the most specific. The exact name in any
 * documented spelling, then the longest prefix wildcard, then `*`.
 *
 * `RoutingTable<typeof krosai>` for a table that is written apart from its receiver.
 */
export type RoutingTable<Of, ProviderName extends string = ProviderNameOf<Of>> = {
  readonly [Key in KeyOf<EventsOf<Of>>]?: HandlerFor<EventFor<EventsOf<Of>, Key, ProviderName>>
}

/**
 * A handler of an event. `unknown` if there is no event: the compiler looks up names of the user's
 * own events before it has inferred them, and would infer `never` for a wrapped handler's event.
 */
type HandlerFor<Event> = [Event] extends [never] ? unknown : Handler<Extract<Event, WebhookEvent>>

/** A provider's events; or what was given, where it is these already. */
type EventsOf<Of> = Of extends { readonly canonicalNames: unknown; readonly events: infer Events }
  ? Events
  : Of

type ProviderNameOf<Of> = Of extends Provider<infer Name> ? Name : string

/** The names under which a provider's events are sent, in every spelling. */
export type SentName<P extends Provider> = Extract<NameOf<P['events']>, string>

/** What `on` may hold for a provider: its names in every spelling, its prefix wildcards, and `*`. */
export type RoutingKey<P extends Provider> = KeyOf<P['events']>

/**
 * What the handler under a key of `on` receives: `EventOf<typeof krosai, 'call.completed'>`, in any
 * spelling. For a prefix wildcard, such as `'phone_number.*'`, the union of its events.
 *
 * With the schemas of the `events` option, if there are any, as its third argument:
 * `EventOf<typeof krosai, 'call.transferred', typeof schemas>`.
 */
export type EventOf<
  P extends Provider,
  Key extends KeyOf<MergedEvents<P['events'], Own>>,
  Own extends OwnEvents = Record<never, never>,
> = EventFor<MergedEvents<P['events'], Own>, Key, P['name']>

/** The data of what {@link EventOf} stands for: `EventData<typeof krosai, 'call.completed'>`. */
export type EventData<
  P extends Provider,
  Key extends KeyOf<MergedEvents<P['events'], Own>>,
  Own extends OwnEvents = Record<never, never>,
> = EventOf<P, Key, Own>['data']
