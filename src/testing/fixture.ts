import { didYouMean } from '../core/did-you-mean.ts'
import { RinghookError } from '../core/errors.ts'
import type { EventData, SentName } from '../core/event/event-types.ts'
import type { EventDefinition, JsonObject, Provider } from '../providers/provider.ts'

/** Any part of a value, at any depth. Arrays are replaced whole. */
export type DeepPartial<Value> = Value extends readonly unknown[]
  ? Value
  : Value extends object
    ? { readonly [Key in keyof Value]?: DeepPartial<Value[Key]> | undefined }
    : Value

/** A body as a provider sends it. */
export type Fixture<P extends Provider, Name extends SentName<P>> = JsonObject & {
  readonly event: Name
  readonly data: EventData<P, Name>
}

/** What to change in a fixture: any field at any depth, and fields of your own. */
export type FixtureOverrides<P extends Provider, Name extends SentName<P>> = {
  readonly data?: DeepPartial<EventData<P, Name>>
  readonly [field: string]: unknown
}

/**
 * Gives the payload that the provider documents for an event, value for value, with `overrides` on
 * top at any depth, and checks that the result fits the event's schema. An `undefined` takes a
 * field away.
 *
 * The timestamp is the documented one, so a receiver refuses the payload as too old as it stands:
 * `deliver` and `signedRequest` bring it up to date.
 *
 * @throws {RinghookError} RINGHOOK_FIXTURE_INVALID: no such event, or overrides that do not fit.
 * @example
 * ```ts
 * import { krosai } from 'ringhook'
 * import { fixture } from 'ringhook/testing'
 *
 * const { data } = fixture(krosai, 'call.completed', { data: { duration: 7 } })
 * console.log(data.duration, data.hangup_cause) // 7 normal_clearing
 * ```
 */
export function fixture<P extends Provider, Name extends SentName<P>>(
  provider: P,
  name: Name,
  overrides: FixtureOverrides<P, Name> = {},
): Fixture<P, Name> {
  return buildBody(provider, name, overrides, (body) => body) as Fixture<P, Name>
}

/** The sample of an event, changed by `renew`, with `overrides` on top, checked against its schema. */
export function buildBody(
  provider: Provider,
  name: string,
  overrides: JsonObject,
  renew: (body: JsonObject) => JsonObject,
): JsonObject {
  const [type, { schema, samples = {} }] = checkDocumented(provider, name)
  const sample = samples[name] ?? renamed(samples[type] ?? Object.values(samples)[0], name)
  const body = merge(renew(sample ?? undocumentedBody(provider, name)), overrides)
  const result = schema.safeParse(provider.read(body, {}).data)
  if (!result.success) {
    const fields = result.error.issues.map(({ path }) => ['data', ...path.map(String)].join('.'))
    throw fixtureInvalid(
      `The overrides do not fit the schema of ${name} at ${fields.join(', ')}. Correct them; to send an invalid event on purpose, give deliver or signedRequest the body itself.`,
    )
  }
  return body
}

/** Returns the event of a name: its canonical name and its definition. */
function checkDocumented(provider: Provider, name: string): [string, EventDefinition] {
  const type = provider.canonicalNames.get(name)
  const definition = type === undefined ? undefined : provider.events[type]
  if (type !== undefined && definition !== undefined) return [type, definition]
  const hint = didYouMean(name, provider.canonicalNames.keys())
  throw fixtureInvalid(
    `${provider.name} documents no event "${name}".${hint} For an event of your own give its body: an object or bytes.`,
  )
}

/** The pages name the event and show no payload of it: what all events have in common, and no data. */
function undocumentedBody(provider: Provider, name: string): JsonObject {
  const anySample = Object.values(provider.events).flatMap(({ samples = {} }) =>
    Object.values(samples),
  )[0]
  if (anySample === undefined) {
    throw fixtureInvalid(
      `${provider.name} is defined without samples. Add samples to its events in defineProvider.`,
    )
  }
  return { ...renamed(anySample, name), data: {} }
}

function renamed(sample: JsonObject | undefined, name: string): JsonObject | undefined {
  if (sample === undefined) return undefined
  const nameField = Object.keys(sample).find((key) => key === 'event' || key === 'type')
  return nameField === undefined ? sample : { ...sample, [nameField]: name }
}

/** Puts `over` on top of `base`, object by object. */
function merge(base: JsonObject, over: JsonObject): JsonObject {
  const merged = copyOf(base) as Record<string, unknown>
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key]
    if (value === undefined) delete merged[key]
    else merged[key] = isPlain(value) && isPlain(below) ? merge(below, value) : copyOf(value)
  }
  return merged
}

/** A copy of what JSON can hold. Not `structuredClone`, which jsdom does not have. */
function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf)
  if (Object.prototype.toString.call(value) !== '[object Object]') return value
  const entries = Object.entries(value as object)
  return Object.fromEntries(entries.map(([key, inner]) => [key, copyOf(inner)]))
}

function isPlain(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function fixtureInvalid(message: string): RinghookError {
  return new RinghookError('RINGHOOK_FIXTURE_INVALID', message)
}
