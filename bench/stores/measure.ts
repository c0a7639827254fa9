import { percentile } from '../statistics.ts'
import { latencies, type Operation, perSecond } from './load.ts'
import { type RoundTrips, roundTripsOf } from './round-trips.ts'
import {
  type Connection,
  claim,
  claimAndComplete,
  dropKeys,
  insert,
  type Place,
  type Subject,
} from './subject.ts'

export interface Measures {
  /** How many begin again as soon as they have an answer. */
  readonly workers: readonly number[]
  readonly rounds: number
  /** How long each is measured in a round, in ms. */
  readonly forMs: number
  /** How many events the store remembers for the figures that ask for many. 0: leaves them out. */
  readonly events: number
}

/** What the store and its floor did with so many workers, round by round, per second. */
export interface Throughput {
  readonly workers: number
  readonly floor: number[]
  readonly claims: number[]
  /** Claims that were completed. */
  readonly deliveries: number[]
}

/** The p99 of a claim with so many workers, round by round, in ms. */
export interface Latency {
  readonly workers: number
  readonly empty: number[]
  readonly full: number[]
}

/** With many events remembered. */
export interface ManyFigures {
  readonly events: number
  readonly latency: readonly Latency[]
  readonly bytesPerEvent: number
}

export interface StoreFigures {
  readonly floor: string
  readonly throughput: readonly Throughput[]
  readonly roundTrips: RoundTrips | undefined
  readonly many: ManyFigures | undefined
}

/** Measures a store against its floor. */
export async function measure(
  subject: Subject,
  url: string,
  measures: Measures,
): Promise<StoreFigures> {
  const connection = await subject.connect(url)
  try {
    return {
      floor: subject.floor,
      throughput: await measureThroughput(connection, measures),
      roundTrips: subject.isRemote ? await roundTripsOf(subject, url) : undefined,
      // Last: a heap of a million events would slow what else is measured in this process.
      many: measures.events === 0 ? undefined : await measureMany(connection, measures),
    }
  } finally {
    await connection.close()
  }
}

/** For how much of its time each is run before it counts: a table that was emptied is planned anew. */
const warmUp = 0.2

async function measureThroughput(
  connection: Connection,
  { workers: counts, rounds, forMs }: Measures,
): Promise<readonly Throughput[]> {
  const figures = counts.map(
    (workers): Throughput => ({ workers, floor: [], claims: [], deliveries: [] }),
  )
  const floor = await connection.open()
  const place = await connection.open()
  // The first round is for the compiler, the connections and the plans.
  for (let round = -1; round < rounds; round++) {
    for (const { workers, ...perSecondOf } of figures) {
      const turns: readonly (readonly [number[], Operation])[] = [
        [perSecondOf.floor, (key) => insert(floor, key)],
        [perSecondOf.claims, (key) => claim(place.store, key)],
        [perSecondOf.deliveries, (key) => claimAndComplete(place.store, key)],
      ]
      for (const [kept, operation] of inTurns(turns, round)) {
        await perSecond(operation, workers, forMs * warmUp)
        const figure = await perSecond(operation, workers, forMs)
        if (round >= 0) kept.push(figure)
        await floor.clear()
        await place.clear()
      }
    }
  }
  return figures
}

/** What a p99 is taken from: 2000 claims, or fewer where they take long. */
const sample = { count: 2_000, forMs: 500 }
/** How many workers fill a place: more than one batch of a store holds. */
const fillers = 1_000

async function measureMany(
  connection: Connection,
  { rounds, events }: Measures,
): Promise<ManyFigures> {
  const full = await connection.open()
  const bytesPerEvent = await fill(full, events)
  const empty = await connection.open()
  const figures = [1, 64].map((workers): Latency => ({ workers, empty: [], full: [] }))
  for (let round = -1; round < rounds; round++) {
    for (const { workers, ...p99Of } of figures) {
      const turns = [
        [p99Of.empty, empty],
        [p99Of.full, full],
      ] as const
      for (const [kept, { store }] of inTurns(turns, round)) {
        const operation: Operation = (key) => claim(store, key)
        await perSecond(operation, workers, sample.forMs * warmUp)
        const times = await latencies(operation, workers, sample)
        if (round >= 0) kept.push(percentile(times, 0.99))
        await empty.clear()
      }
    }
  }
  return { events, latency: figures, bytesPerEvent }
}

/** Fills a place as deliveries do, because what they leave behind takes room as well. */
async function fill(place: Place, events: number): Promise<number> {
  // The keys are a part of what a store in this process keeps.
  dropKeys()
  const before = await place.bytes()
  await latencies((key) => claimAndComplete(place.store, key), fillers, { count: events })
  return ((await place.bytes()) - before) / events
}

/** Turns them round every other time: who comes first has no advantage. */
function inTurns<Turn>(turns: readonly Turn[], round: number): readonly Turn[] {
  return round % 2 === 0 ? turns : turns.toReversed()
}
