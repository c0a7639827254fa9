import { z } from 'zod'
import { isRecord } from '../core/checks.ts'
import type { EventSchema, JsonObject } from './provider.ts'

/** An object with undocumented keys. */
export type FreeForm = Readonly<Record<string, unknown>>

/**
 * The schema of an event's data: every field of the shape is validated, unknown ones pass through.
 * Nested objects are written with `z.object` and pass theirs through too.
 *
 * It checks and never changes, so shapes must not transform, coerce or fill in defaults. The data
 * that was given comes back, and not zod's copy, because `z.looseObject` types every misspelt field
 * as `unknown`, and its copy takes a prototype from a `__proto__` key in zod 4.0.
 *
 * It is built when the first event of its kind comes: those of all providers together would take a
 * third of the time of an import.
 */
export function open<Shape extends z.ZodRawShape>(
  shape: () => Shape,
): EventSchema<z.output<z.ZodObject<Shape>>> {
  return unchanged(() => z.object(shape()))
}

/** One field that holds an object of any keys. Not `z.record`, which visits and copies each. */
export function freeForm(): z.ZodType<FreeForm> {
  return z.custom<FreeForm>(isRecord, 'expected an object')
}

/**
 * An array whose elements are validated up to the first that is wrong. Not `z.array`, which goes on:
 * an issue costs a microsecond, and 1 MB has room for 500 000 wrong elements.
 */
export function list<Item>(item: z.ZodType<Item>): z.ZodType<Item[]> {
  const schema = z.custom<Item[]>().superRefine((value: unknown, context) => {
    if (!Array.isArray(value)) {
      context.addIssue({ code: 'invalid_type', expected: 'array' })
      return
    }
    for (const [index, element] of value.entries()) {
      const result = item.safeParse(element)
      if (result.success) continue
      for (const issue of result.error.issues) {
        context.addIssue({ ...issue, path: [index, ...issue.path] })
      }
      return
    }
  })
  // As in `z.array`, for the search for field names.
  Object.assign(schema.def, { element: item })
  return schema
}

/** Whether every value of an object is an object. Looks no further than the first that is not. */
export function holdsObjects(value: FreeForm): boolean {
  // Not Object.values, which takes twice as long where there are many keys.
  for (const key in value) if (!isRecord(value[key])) return false
  return true
}

/** The schema of an event that is documented by name only: the data is some object. */
export const undocumented: EventSchema<FreeForm> = unchanged(freeForm)

/** The documented bodies of one event, each under the name that it is sent as. */
export function sent(
  ...bodies: readonly (JsonObject & { readonly event: string })[]
): Readonly<Record<string, JsonObject>> {
  return Object.fromEntries(bodies.map((body) => [body.event, body]))
}

function unchanged<Data>(build: () => z.ZodType<Data>): EventSchema<Data> {
  let built: z.ZodType<Data> | undefined
  const schema: EventSchema<Data> & { readonly def: object } = {
    safeParse(value) {
      built ??= build()
      const result = built.safeParse(value)
      if (!result.success) return result
      return { success: true, data: withoutPrototypeKey(value as Data) }
    },
    /** As in a zod schema, for the search for field names. */
    get def() {
      built ??= build()
      return { innerType: built }
    },
  }
  return schema
}

// An own `__proto__` key, which `JSON.parse` makes, is harmless until a handler writes
// `Object.assign(record, event.data)`: then it replaces the prototype of the record.
function withoutPrototypeKey<Data>(data: Data): Data {
  if (!Object.hasOwn(data as object, '__proto__')) return data
  const entries = Object.entries(data as object).filter(([key]) => key !== '__proto__')
  return Object.fromEntries(entries) as Data
}
