import { type Clock, systemClock, withTimeout } from '../core/clock.ts'

/** How long a server may take to answer before its answer counts as lost, in ms. */
export const serverTimeoutMs = 10_000

/** Keeps running evenly even if someone sets the machine's clock. */
export const stopwatch: Clock = { ...systemClock, now: () => performance.now() }

/** Rejects with the error that `late` makes if a server hasn't answered in time. */
export function withServerTimeout<Value>(
  answer: Promise<Value>,
  late: () => Error,
): Promise<Value> {
  return withTimeout(systemClock, answer, serverTimeoutMs, late)
}
