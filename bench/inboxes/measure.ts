import type { StoredDelivery } from '../../src/index.ts'
import { type HeldDelivery, heldDeliveries } from '../deliveries.ts'
import { percentile } from '../statistics.ts'
import { concurrency, Endpoint } from './endpoint.ts'
import type { Place } from './place.ts'

export interface Measures {
  /** How many begin again as soon as they have an answer. */
  readonly workers: readonly number[]
  readonly rounds: number
  /** How many deliveries each round of each figure has. */
  readonly deliveries: number
  /** How many deliveries wait when the worker is started. 0: leaves that out. */
  readonly backlog: number
}

/** One round after the other. */
export interface Pace {
  readonly perSecond: number[]
  readonly p50: number[]
  readonly p99: number[]
}

/** Acknowledgements with so many workers, and the engine's bare commits. */
export interface Acks {
  readonly workers: number
  readonly floor: Pace
  readonly acks: Pace
}

/** What it takes to work off what has waited. */
export interface Drain {
  readonly deliveries: number
  readonly seconds: number
  /** The heap after a collection, in bytes, at each tenth of the way. */
  readonly heap: readonly number[]
}

export interface InboxFigures {
  readonly floor: string
  readonly acks: readonly Acks[]
  /** From the arrival to the end of the handler, with the last of `workers`. */
  readonly endToEnd: Pace
  readonly drain: Drain | undefined
}

let series = 0

/** Measures an inbox against its engine. */
export async function measure(place: Place, measures: Measures): Promise<InboxFigures> {
  try {
    return {
      floor: place.floor,
      acks: await measureAcks(place, measures),
      endToEnd: await measureEndToEnd(place, measures),
      drain: measures.backlog === 0 ? undefined : await measureDrain(place, measures.backlog),
    }
  } finally {
    await place.close()
  }
}

async function measureAcks(
  place: Place,
  { workers: counts, rounds, deliveries }: Measures,
): Promise<readonly Acks[]> {
  const figures = counts.map((workers): Acks => ({ workers, floor: newPace(), acks: newPace() }))
  const endpoint = new Endpoint(place)
  // The first rounds are for the compiler, the connections and the plans.
  for (let round = -2; round < rounds; round++) {
    for (const { workers, floor, acks } of figures) {
      const turns = [
        async () => {
          const stored = heldDeliveries(deliveries, `f${series++}`).map(storedForm)
          const pace = await timed(stored, workers, (delivery) => place.commit(delivery))
          if (round >= 0) keep(floor, pace)
          await place.clear()
        },
        async () => {
          const held = heldDeliveries(deliveries, `a${series++}`)
          const pace = await timed(held, workers, (delivery) => endpoint.accept(delivery))
          if (round >= 0) keep(acks, pace)
          await endpoint.workOff()
        },
      ]
      for (const turn of round % 2 === 0 ? turns : turns.toReversed()) await turn()
    }
  }
  await endpoint.close()
  return figures
}

async function measureEndToEnd(
  place: Place,
  { workers, rounds, deliveries }: Measures,
): Promise<Pace> {
  const pace = newPace()
  const endpoint = new Endpoint(place)
  await endpoint.receiver.start({ concurrency })
  for (let round = -1; round < rounds; round++) {
    const held = heldDeliveries(deliveries, `e${series++}`)
    const one = await timed(held, workers.at(-1) ?? 1, async (delivery) => {
      const handled = endpoint.handledOf(delivery)
      await endpoint.accept(delivery)
      await handled
    })
    if (round >= 0) keep(pace, one)
  }
  await endpoint.close()
  return pace
}

async function measureDrain(place: Place, backlog: number): Promise<Drain> {
  const endpoint = new Endpoint(place)
  for (let done = 0; done < backlog; done += 1_000) {
    const held = heldDeliveries(Math.min(1_000, backlog - done), `d${series++}`)
    await timed(held, 64, (delivery) => endpoint.accept(delivery))
  }
  const heap: number[] = []
  const look = () => {
    globalThis.gc?.()
    heap.push(process.memoryUsage().heapUsed)
  }
  const tenth = backlog / 10
  endpoint.onHandled = (count) => {
    if (count % tenth === 0) look()
  }
  look()
  const startedAt = performance.now()
  await endpoint.workOff()
  const seconds = (performance.now() - startedAt) / 1_000
  await endpoint.close()
  return { deliveries: backlog, seconds, heap }
}

/** What the engine is given to commit: the same as by the inbox. */
function storedForm({ headers, body }: HeldDelivery): StoredDelivery {
  const { 'x-webhook-signature': signature, ...kept } = headers
  return {
    version: 1,
    key: signature.slice('sha256='.length),
    provider: 'krosai',
    namespace: '',
    type: 'call.completed',
    sentAs: 'call.completed',
    eventId: signature.slice(-20),
    receivedAt: Date.now(),
    headers: kept,
    body: body.toString('base64'),
  }
}

interface OnePace {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

/** Does something with each item, so many at a time. */
async function timed<Item>(
  items: readonly Item[],
  workers: number,
  operation: (item: Item) => Promise<unknown>,
): Promise<OnePace> {
  const times: number[] = []
  const left = items[Symbol.iterator]()
  const work = async () => {
    // One iterator for all of them.
    for (const item of { [Symbol.iterator]: () => ({ next: () => left.next() }) }) {
      const startedAt = performance.now()
      await operation(item)
      times.push(performance.now() - startedAt)
    }
  }
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: workers }, work))
  const ms = performance.now() - startedAt
  return {
    perSecond: (1_000 * items.length) / ms,
    p50: percentile(times, 0.5),
    p99: percentile(times, 0.99),
  }
}

function newPace(): Pace {
  return { perSecond: [], p50: [], p99: [] }
}

function keep(pace: Pace, { perSecond, p50, p99 }: OnePace): void {
  pace.perSecond.push(perSecond)
  pace.p50.push(p50)
  pace.p99.push(p99)
}
