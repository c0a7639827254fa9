import { setImmediate } from 'node:timers'

/** Where ringhook takes its time from. Tests bring their own: `manualClock()` of `ringhook/testing`. */
export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  now(): number
  /** Calls back once after `delayMs`. */
  setTimeout(callback: () => void, delayMs: number): unknown
  clearTimeout(timer: unknown): void
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
}

// Kept when ringhook is loaded: a test's fake timers, put in its place later, would stop work that
// waits for no time. jsdom has none among its globals.
const immediate = setImmediate

/** Calls back in the next turn of the event loop. */
export function inNextTurn(callback: () => void): void {
  immediate(callback)
}

/** Resolves in the next turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => immediate(resolve))
}

/** The longest wait that a timer can hold, in ms: 2^31 - 1. A longer one would be over at once. */
export const longestTimer = 2_147_483_647

/**
 * Rejects if a promise has not settled after `ms`, with the error that `late` makes. What the
 * promise comes to later is dropped.
 */
export function withTimeout<Value>(
  clock: Clock,
  promise: Promise<Value>,
  ms: number,
  late = () => new Error('there was no answer in time'),
): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimeout(() => reject(late()), ms)
    promise.then(resolve, reject).finally(() => clock.clearTimeout(timer))
  })
}
