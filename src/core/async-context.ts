import { AsyncResource } from 'node:async_hooks'

/** Runs a function in an async context captured earlier, and returns its result. */
export type InContext = <Result>(run: () => Result) => Result

/**
 * Captures the async context of its caller, which `AsyncLocalStorage` goes by, for functions that
 * are called later. Each run has a copy of its own: what one enters with `enterWith`, the next
 * doesn't see.
 */
export function captureContext(): InContext {
  const captured = new AsyncResource('RINGHOOK')
  return (run) => captured.runInAsyncScope(() => new AsyncResource('RINGHOOK').runInAsyncScope(run))
}

/**
 * Runs a function outside every request, in the async context in which ringhook was loaded. For work
 * that several requests share, such as a timer or a batch: the request that happens to start it must
 * neither be visible to the others nor be kept from garbage collection.
 */
export const detached: InContext = captureContext()
