import type { Clock } from '../core/clock.ts'

/** Rejects when the signal aborts, whether or not `fetch` heeds it. */
export function orAborted<Value>(
  promise: Promise<Value>,
  signal: AbortSignal | undefined,
): Promise<Value> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** Waits, unless the signal aborts. */
export async function pause(
  clock: Clock,
  delayMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  let timer: unknown
  const over = new Promise<void>((resolve) => {
    timer = clock.setTimeout(resolve, delayMs)
  })
  await orAborted(over, signal).finally(() => clock.clearTimeout(timer))
}

/** Waits so that what it lets through is at least `intervalMs` apart. */
export function pacer(
  clock: Clock,
  intervalMs: number,
  signal: AbortSignal | undefined,
): () => Promise<void> {
  let freeAt = Number.NEGATIVE_INFINITY
  return async function pace() {
    signal?.throwIfAborted()
    // No longer than one interval: the clock may have been set back.
    const waitMs = Math.min(intervalMs, freeAt - clock.now())
    if (waitMs > 0) await pause(clock, waitMs, signal)
    freeAt = clock.now() + intervalMs
  }
}
