import type { EventSchema, Provider } from '../../providers/provider.ts'
import { didYouMean } from '../did-you-mean.ts'
import { RinghookError } from '../errors.ts'
import { isClass, isGeneratorFunction } from '../execution/handler-result.ts'
import type { RetryPolicies, RetryPolicy } from '../inbox/retry.ts'
import type { Handler } from './event.ts'
import type { OwnEvents } from './event-types.ts'

/** The destination of an event. */
export interface Route {
  /** The canonical name. */
  readonly type: string
  /** `undefined` for a name that is neither documented nor in `events`. */
  readonly schema: EventSchema | undefined
  readonly handler: Handler | undefined
  /** How its attempts are retried, with an inbox. */
  readonly retry: RetryPolicy
}

/** A handler under one key of `on`. */
interface Listed {
  readonly handler: Handler
  readonly retry: RetryPolicy
}

/** Returns the route for a name on the wire. */
export type Router = (sentAs: string) => Route

/**
 * Compiles the routing table: every known name gets its route now, so that a delivery costs one
 * look-up in a Map, where names such as `constructor` find nothing.
 *
 * A prefix wildcard takes known names only: its handler is promised validated data. An undocumented
 * name goes to `*` alone.
 *
 * @throws {RinghookError} RINGHOOK_EVENT_UNKNOWN, RINGHOOK_EVENT_REPEATED, RINGHOOK_HANDLER_INVALID,
 * RINGHOOK_OPTION_INVALID
 */
export function compileRoutes(
  provider: Provider,
  on: Readonly<Record<string, Handler | undefined>>,
  own: OwnEvents,
  retry: RetryPolicies,
): Router {
  const canonicalNames = new Map(provider.canonicalNames)
  const unlisted = { handler: undefined, retry: retry.common }
  const schemas = schemasOf(provider, own, canonicalNames)
  const exact = new Map<string, Listed>()
  const spelled = new Map<string, string>()
  const prefixes: { readonly prefix: string; readonly listed: Listed }[] = []
  let fallback: Listed | undefined

  for (const [key, handler] of Object.entries(on)) {
    checkHandler(key, handler)
    const listed = { handler, retry: retry.byKey.get(key) ?? retry.common }
    if (key === '*') fallback = listed
    else if (key.endsWith('.*')) prefixes.push({ prefix: key.slice(0, -1), listed })
    else {
      const type = canonicalNames.get(key)
      if (type === undefined) throw eventUnknown(key, canonicalNames, provider)
      refuseRepeated('on', type, key, spelled)
      exact.set(type, listed)
    }
  }
  prefixes.sort((a, b) => b.prefix.length - a.prefix.length)
  for (const { prefix } of prefixes) checkPrefix(prefix, canonicalNames, provider)

  const routes = new Map<string, Route>()
  for (const [sentAs, type] of canonicalNames) {
    const byPrefix = prefixes.find(
      ({ prefix }) => type.startsWith(prefix) || sentAs.startsWith(prefix),
    )
    const found = exact.get(type) ?? byPrefix?.listed ?? fallback ?? unlisted
    routes.set(sentAs, { type, schema: schemas.get(type), ...found })
  }
  const otherwise = fallback ?? unlisted
  return function route(sentAs) {
    return routes.get(sentAs) ?? { type: sentAs, schema: undefined, ...otherwise }
  }
}

function schemasOf(
  provider: Provider,
  own: OwnEvents,
  canonicalNames: Map<string, string>,
): ReadonlyMap<string, EventSchema> {
  const schemas = new Map<string, EventSchema>()
  for (const [type, { schema }] of Object.entries(provider.events)) schemas.set(type, schema)
  const seen = new Map<string, string>()
  for (const [name, schema] of Object.entries(own)) {
    if (typeof schema?.safeParse !== 'function') {
      throw new RinghookError(
        'RINGHOOK_OPTION_INVALID',
        `events["${name}"] must be a zod schema, such as z.object({ call_id: z.string() }).`,
      )
    }
    if (name === '' || name.includes('*')) {
      throw new RinghookError(
        'RINGHOOK_OPTION_INVALID',
        `events["${name}"] must name one event. Write the name as it is sent, without a wildcard.`,
      )
    }
    const type = canonicalNames.get(name) ?? name
    refuseRepeated('events', type, name, seen)
    canonicalNames.set(name, type)
    schemas.set(type, schema)
  }
  return schemas
}

function refuseRepeated(
  option: string,
  type: string,
  name: string,
  seen: Map<string, string>,
): void {
  const other = seen.get(type)
  if (other !== undefined) {
    throw new RinghookError(
      'RINGHOOK_EVENT_REPEATED',
      `${option} holds "${other}" and "${name}", two names of one event. Keep one of them.`,
    )
  }
  seen.set(type, name)
}

function checkPrefix(
  prefix: string,
  canonicalNames: ReadonlyMap<string, string>,
  provider: Provider,
): void {
  for (const [sentAs] of canonicalNames) if (sentAs.startsWith(prefix)) return
  throw wildcardUnknown(`${prefix}*`, canonicalNames, provider)
}

function eventUnknown(
  key: string,
  canonicalNames: ReadonlyMap<string, string>,
  provider: Provider,
): RinghookError {
  const hint = didYouMean(key, canonicalNames.keys())
  return new RinghookError(
    'RINGHOOK_EVENT_UNKNOWN',
    `on has "${key}", which is not an event that ${provider.name} documents.${hint} For an event of your own, add its schema to events. For everything else, use "*".`,
  )
}

function wildcardUnknown(
  key: string,
  canonicalNames: ReadonlyMap<string, string>,
  provider: Provider,
): RinghookError {
  const wildcards = new Set<string>()
  for (const name of canonicalNames.keys()) {
    if (name.includes('.')) wildcards.add(`${name.slice(0, name.indexOf('.'))}.*`)
  }
  return new RinghookError(
    'RINGHOOK_EVENT_UNKNOWN',
    `on has "${key}", which matches no event that ${provider.name} documents. Wildcards that do: ${[...wildcards, '*'].join(', ')}.`,
  )
}

function checkHandler(key: string, handler: unknown): asserts handler is Handler {
  if (typeof handler !== 'function') {
    throw handlerInvalid(key, 'must be a function', 'Give a function that takes the event')
  }
  if (isGeneratorFunction(handler)) {
    const why = 'is a generator function, and calling one runs none of its code'
    throw handlerInvalid(
      key,
      why,
      'Give a function without the asterisk, such as an async function',
    )
  }
  if (isClass(handler)) {
    throw handlerInvalid(key, 'is a class', 'Give a function, such as (event) => new Call(event)')
  }
}

function handlerInvalid(key: string, cause: string, remedy: string): RinghookError {
  return new RinghookError(
    'RINGHOOK_HANDLER_INVALID',
    `on["${key}"] ${cause}. ${remedy}, or leave the key out.`,
  )
}
