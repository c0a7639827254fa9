import { checkDefinition, invalid } from './checks.ts'
import type {
  Envelope,
  EventDefinitions,
  JsonObject,
  Provider,
  ProviderDefinition,
  SignatureScheme,
} from './provider.ts'

/**
 * Describes a provider: its signature, its events and how it delivers. The three that ringhook
 * ships are made with it, and so is a fourth of your own: docs/providers/your-own.md.
 *
 * @throws {RinghookError} RINGHOOK_PROVIDER_INVALID
 * @example
 * ```ts
 * import { defineProvider } from 'ringhook'
 * import { z } from 'zod'
 *
 * export const acme = defineProvider({
 *   name: 'acme',
 *   signature: { header: 'x-acme-signature', encoding: 'hex' },
 *   signedTimestamp: false,
 *   events: { 'call.ended': { schema: z.object({ call_id: z.string() }) } },
 *   delivery: { retryDelaysMs: [0, 60_000] },
 * })
 * ```
 */
export function defineProvider<
  const Name extends string,
  const Events extends EventDefinitions,
  const Signature extends SignatureScheme | false,
>(definition: ProviderDefinition<Name, Events, Signature>): Provider<Name, Events, Signature> {
  checkDefinition(definition)
  return Object.freeze({
    ...definition,
    read: definition.read ?? readEnvelope,
    renew: definition.renew ?? renewBody,
    defaults: definition.defaults ?? {},
    canonicalNames: namesOf(definition.events),
  })
}

function namesOf(events: EventDefinitions): ReadonlyMap<string, string> {
  const names = new Map<string, string>()
  for (const [canonical, { aliases = [] }] of Object.entries(events)) {
    for (const name of [canonical, ...aliases]) {
      if (name === '' || name.includes('*'))
        throw invalid('an event has no name, or a * in its name')
      if (names.has(name)) throw invalid(`the name "${name}" stands for two events`)
      names.set(name, canonical)
    }
  }
  return names
}

function readEnvelope(body: JsonObject): Envelope {
  return { event: body['event'], id: body['id'], timestamp: body['timestamp'], data: body['data'] }
}

function renewBody(
  body: JsonObject,
  unique: { readonly id: string; readonly timestamp: Date },
): JsonObject {
  const renewed: Record<string, unknown> = { ...body }
  if ('id' in body) renewed['id'] = unique.id
  if ('timestamp' in body) renewed['timestamp'] = unique.timestamp.toISOString()
  return renewed
}
