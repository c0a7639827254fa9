import { isThenable } from '../thenable.ts'

/**
 * Returns why a handler's result shows that its work has not run, or `undefined` if it may have. For
 * results that were awaited: awaiting runs anything with a `then`. Never throws.
 */
export function reasonNotRun(returned: unknown): string | undefined {
  if (typeof returned === 'function') return reasonFor('a function, which nothing calls')
  if (typeof returned !== 'object' || returned === null) return undefined
  try {
    const kind = lazyKindOf(returned as Lazy)
    return kind === undefined ? undefined : reasonFor(kind)
  } catch {
    // A getter or a proxy that throws: not lazy work.
    return undefined
  }
}

/**
 * Waits for an array of promises, or returns `undefined` for anything else. A handler that maps an
 * async function and forgets `Promise.all` returns one: its work goes on, and may still fail. Rejects
 * with the first failure once every promise has settled, so that no work runs beside a retry.
 */
export function listedPromises(returned: unknown): Promise<void> | undefined {
  try {
    return Array.isArray(returned) && returned.some(isThenable) ? allSettled(returned) : undefined
  } catch {
    // A proxy or a getter that throws.
    return undefined
  }
}

async function allSettled(promises: readonly unknown[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) {
    if (result.status === 'rejected') throw result.reason
  }
}

/** Returns whether calling a function runs none of its body. Sees through bound functions and proxies. */
export function isGeneratorFunction(value: unknown): boolean {
  try {
    return /GeneratorFunction\]$/.test(Object.prototype.toString.call(value))
  } catch {
    return false
  }
}

/** Returns whether a function can only be called with `new`. */
export function isClass(value: object): boolean {
  try {
    return /^class[\s{]/.test(Function.prototype.toString.call(value))
  } catch {
    return false
  }
}

/** The properties that identify objects whose work runs only on demand. */
interface Lazy {
  readonly next?: unknown
  readonly subscribe?: unknown
  readonly execute?: unknown
  readonly toOperationNode?: unknown
  readonly getQuery?: unknown
  readonly on?: unknown
  readonly publish?: unknown
  readonly getState?: unknown
  readonly pipe?: unknown
  readonly getReader?: unknown
  readonly [Symbol.asyncIterator]?: unknown
}

function lazyKindOf(value: Lazy): string | undefined {
  if (isFunction(value.next)) return 'an iterator, which nothing iterates'
  // Publish-subscribe clients and state stores aren't Observables.
  const isClient = isFunction(value.on) || isFunction(value.publish) || isFunction(value.getState)
  if ((isFunction(value.subscribe) || isFunction(observableOf(value))) && !isClient)
    return 'an Observable, which nothing subscribes to'
  // A stream may flow by itself.
  const isStream = isFunction(value.pipe) || isFunction(value.getReader)
  if (isFunction(value[Symbol.asyncIterator]) && !isStream) {
    return 'an async iterable, which nothing iterates'
  }
  // The query builders of Kysely and TypeORM. Those of Knex and Drizzle have a `then`.
  const isBuilder = isFunction(value.toOperationNode) || isFunction(value.getQuery)
  if (isFunction(value.execute) && isBuilder) return 'a query, which nothing executes'
  if (Symbol.for('effect/Effect') in value) return 'an Effect, which nothing runs'
  return undefined
}

/** Returns the method by which RxJS and similar libraries recognise an Observable. */
function observableOf(value: object): unknown {
  const { observable = '@@observable' } = Symbol as { readonly observable?: symbol }
  return Reflect.get(value, observable) ?? Reflect.get(value, '@@observable')
}

function isFunction(value: unknown): boolean {
  return typeof value === 'function'
}

function reasonFor(kind: string): string {
  return `the handler returned ${kind}, so its work has not run. Do the work in an async function, and await it`
}
