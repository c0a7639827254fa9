import { nextKey, prepareKeys } from './subject.ts'

/** Does something once, with a key that is new. */
export type Operation = (key: string) => Promise<unknown>

/** How many keys the fastest so far took in a millisecond. To make them on the way would slow it. */
let keysPerMs = 100

/** How often per second workers get it done that begin again as soon as they have an answer. */
export async function perSecond(
  operation: Operation,
  workers: number,
  forMs: number,
): Promise<number> {
  prepareKeys(Math.ceil(forMs * keysPerMs * 1.5))
  let done = 0
  const startedAt = performance.now()
  const endsAt = startedAt + forMs
  await inParallel(workers, async () => {
    while (performance.now() < endsAt) {
      await operation(nextKey())
      done++
    }
  })
  const perMs = done / (performance.now() - startedAt)
  keysPerMs = Math.max(keysPerMs, perMs)
  return perMs * 1_000
}

/** How long each time took, in ms: `count` times, or as often as it can be done in `forMs`. */
export async function latencies(
  operation: Operation,
  workers: number,
  { count, forMs = Number.POSITIVE_INFINITY }: { readonly count: number; readonly forMs?: number },
): Promise<readonly number[]> {
  prepareKeys(count)
  const times: number[] = []
  const endsAt = performance.now() + forMs
  let left = count
  await inParallel(workers, async () => {
    while (left-- > 0) {
      const key = nextKey()
      const startedAt = performance.now()
      if (startedAt >= endsAt) break
      await operation(key)
      times.push(performance.now() - startedAt)
    }
  })
  return times
}

function inParallel(workers: number, work: () => Promise<void>): Promise<unknown> {
  return Promise.all(Array.from({ length: workers }, work))
}
