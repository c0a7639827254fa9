import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { EventDefinition, JsonObject, Provider } from '../../src/providers/provider.ts'

/** A body as a provider's page shows it. */
export interface DocumentedBody extends JsonObject {
  readonly event: string
  readonly data: JsonObject
}

/** What the pages say of one event. */
export interface DocumentedEvent {
  /** Each name under which it is sent, the canonical one first. */
  readonly names: readonly string[]
  /** The fields of its data that may be missing or `null`; all others are required. */
  readonly optional: readonly string[]
}

/** The bodies on a provider's pages, in their order, copied by a program. */
export function documentedBodies(provider: string): readonly DocumentedBody[] {
  const file = new URL(`../vectors/${provider}-samples.json`, import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')) as readonly DocumentedBody[]
}

/** A copy of an object without one of its fields. */
function without(object: JsonObject, field: string): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => name !== field))
}

/** Compares a provider's names, samples and schemas with its pages. */
export function testDocumentedEvents(
  provider: Provider,
  documented: readonly DocumentedEvent[],
): void {
  const bodies = documentedBodies(provider.name)

  it('knows every documented name, and no other', () => {
    const pairs = documented.flatMap(({ names }) => names.map((name) => [name, names[0]]))
    expect(Object.fromEntries(provider.canonicalNames)).toEqual(Object.fromEntries(pairs))
    expect(Object.keys(provider.events).sort()).toEqual(documented.map((e) => e.names[0]).sort())
  })

  it('returns every documented body as the page has it, and no other', () => {
    const samples = Object.values<EventDefinition>(provider.events).flatMap((definition) =>
      Object.entries(definition.samples ?? {}),
    )
    // As text: a sample is signed as it is written, in the order of its fields.
    expect(samples.map(([name, body]) => [name, JSON.stringify(body)]).sort()).toEqual(
      bodies.map((body) => [body.event, JSON.stringify(body)]).sort(),
    )
  })

  for (const { names, optional } of documented) {
    const own = bodies.filter((body) => names.includes(body.event))
    if (own.length > 0) describe(names.join(', '), () => testEvent(provider, names, own, optional))
  }
}

function testEvent(
  provider: Provider,
  names: readonly string[],
  bodies: readonly DocumentedBody[],
  optional: readonly string[],
): void {
  const schema = schemaOf(provider, names[0])
  const cases = bodies.flatMap(({ event, data }) =>
    Object.keys(data).map((field) => ({ event, data, field })),
  )

  it.each(names)('is validated under the name %s, and comes to the handler unchanged', (name) => {
    for (const { data } of bodies) {
      const before = structuredClone(data)
      expect(schemaOf(provider, provider.canonicalNames.get(name)).safeParse(data)).toEqual({
        success: true,
        data: before,
      })
    }
  })

  it.each(cases)('a missing $field of $event is refused only if required', ({ data, field }) => {
    expect(schema.safeParse(without(data, field)).success).toBe(optional.includes(field))
  })

  it.each(cases)('a null $field of $event is refused only if required', ({ data, field }) => {
    expect(schema.safeParse({ ...data, [field]: null }).success).toBe(optional.includes(field))
  })

  it.each(cases)('a $field of $event of another type is refused by its path', ({ data, field }) => {
    const other = Array.isArray(data[field]) || typeof data[field] !== 'object' ? {} : []
    expect(schema.safeParse({ ...data, [field]: other })).toMatchObject({
      success: false,
      error: { issues: [{ path: [field] }] },
    })
  })

  it('keeps undocumented fields, at the top and below', () => {
    for (const { data } of bodies) {
      const grown = grow(data) as JsonObject
      expect(schema.safeParse(grown)).toEqual({ success: true, data: grow(data) })
    }
  })

  it('has no field beside the documented ones that must be there', () => {
    const required = cases.filter(({ field }) => !optional.includes(field))
    for (const { data } of bodies) {
      const least = Object.fromEntries(required.map(({ field }) => [field, data[field]]))
      expect(schema.safeParse(least)).toEqual({ success: true, data: least })
    }
  })

  it('takes data whose __proto__ is a key, without a change to any prototype', () => {
    for (const { data } of bodies) {
      const text = `{"__proto__":{"stolen":true},${JSON.stringify(data).slice(1)}`
      const result = schema.safeParse(JSON.parse(text))
      expect(result).toEqual({ success: true, data })
      const given = (result as { readonly data: object }).data
      expect(Object.getPrototypeOf(given)).toBe(Object.prototype)
      expect(Object.keys(given)).toEqual(Object.keys(data))
      expect(Object.assign({}, given)).not.toHaveProperty('stolen')
      expect({}).not.toHaveProperty('stolen')
    }
  })

  it.each([[undefined], [null], ['text'], [1], [[]]])('refuses %j for its data', (data) => {
    expect(schema.safeParse(data).success).toBe(false)
  })
}

function schemaOf(provider: Provider, name: string | undefined) {
  const definition = Object.entries(provider.events).find(([canonical]) => canonical === name)?.[1]
  if (definition === undefined) throw new Error(`${provider.name} has no event ${name}`)
  return definition.schema
}

/** The value with an undocumented field in every object in it. */
function grow(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(grow)
  if (typeof value !== 'object' || value === null) return value
  const grown = Object.entries(value).map(([key, child]) => [key, grow(child)])
  // An object, so that it also fits where each value is one, as in `changes`.
  return { ...Object.fromEntries(grown), x_new_field: { x: [1, null] } }
}
