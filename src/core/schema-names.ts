import type { EventSchema } from '../providers/provider.ts'

/** Looked for when data first fails its schema, and kept as long as that. */
const found = new WeakMap<EventSchema, ReadonlySet<string>>()

/**
 * Returns the names of fields that stand in a schema, at any depth: all that a path may show of
 * data which is not to be shown. Of a schema that is not zod's, none.
 */
export function namesIn(schema: EventSchema): ReadonlySet<string> {
  const known = found.get(schema)
  if (known !== undefined) return known
  const names = new Set<string>()
  try {
    collect(schema, names, new Set())
  } catch {
    // A getter of a schema that is not zod's: what was found so far is in the code all the same.
  }
  found.set(schema, names)
  return names
}

/** Goes through what a schema was defined by: `def`, or `_def` in zod 3. */
function collect(value: unknown, names: Set<string>, seen: Set<unknown>): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return
  seen.add(value)
  if (Array.isArray(value) || value instanceof Map) {
    for (const part of value.values()) collect(part, names, seen)
    return
  }
  const { def, _def } = value as { readonly def?: unknown; readonly _def?: unknown }
  for (const [key, part] of Object.entries(def ?? _def ?? {})) {
    // Those of `z.lazy` and, in zod 3, of objects are made when they are asked for.
    const isMade = typeof part !== 'function' || (key !== 'shape' && key !== 'getter')
    const made: unknown = isMade ? part : part()
    if (key === 'shape') collectFields(made, names, seen)
    // The keys of a record, where they are an enumeration.
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
