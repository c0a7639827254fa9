import type { EventSchema } from '../../providers/provider.ts'

/** Collected when data first fails a schema, and kept as long as the schema. */
const found = new WeakMap<EventSchema, ReadonlySet<string>>()

/**
 * Returns the names of the fields of a zod schema, at any depth: the only words that a path into
 * private data may show. Returns none for other schemas.
 */
export function namesIn(schema: EventSchema): ReadonlySet<string> {
  const known = found.get(schema)
  if (known !== undefined) return known
  const names = new Set<string>()
  try {
    collect(schema, names, new Set())
  } catch {
    // A getter of another library's schema: the names found so far are in its code all the same.
  }
  found.set(schema, names)
  return names
}

/** Walks the definition of a schema: `def`, or `_def` in zod 3. */
function collect(value: unknown, names: Set<string>, seen: Set<unknown>): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return
  seen.add(value)
  if (Array.isArray(value) || value instanceof Map) {
    for (const part of value.values()) collect(part, names, seen)
    return
  }
  const { def, _def } = value as { readonly def?: unknown; readonly _def?: unknown }
  for (const [key, part] of Object.entries(def ?? _def ?? {})) {
    // Those of `z.lazy` and, in zod 3, of objects are created on demand.
    const isMade = typeof part !== 'function' || (key !== 'shape' && key !== 'getter')
    const made: unknown = isMade ? part : part()
    if (key === 'shape') collectFields(made, names, seen)
    // The keys of a record, if they are an enumeration.
    else if (key === 'entries') addTexts(made, names)
    else collect(made, names, seen)
  }
}

function collectFields(shape: unknown, names: Set<string>, seen: Set<unknown>): void {
  for (const [name, field] of Object.entries(shape ?? {})) {
    names.add(name)
    collect(field, names, seen)
  }
}

function addTexts(entries: unknown, names: Set<string>): void {
  for (const name of Object.values(entries ?? {})) if (typeof name === 'string') names.add(name)
}
