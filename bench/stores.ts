import { findServers, type ServerUrls } from '../test/helpers/find-servers.ts'
import { buildStores } from './build.ts'
import { figuresOf } from './figures.ts'
import { decimal, range, ratios, spreadOf, tableOrLines } from './statistics.ts'
import type { StoreTask } from './store-process.ts'
import type { StoreFigures } from './stores/measure.ts'
import { type SubjectName, servers, subjectNames } from './stores/subjects.ts'

export interface StoresOptions {
  /** The stores to measure, as in `sqlite`. None: all of them. */
  readonly names: readonly string[]
  /** Fewer rounds, and nothing that needs a million events. */
  readonly isQuick: boolean
}

/** Claims per second that a store is to reach, over those of its floor, by the number of workers. */
const aims: { readonly [Name in SubjectName]?: Readonly<Record<number, number>> } = {
  'redis, ioredis': { 1: 0.8, 64: 0.8, 256: 0.8 },
  'redis, node-redis': { 1: 0.8, 64: 0.8, 256: 0.8 },
  postgres: { 1: 0.85, 64: 3 },
  mysql: { 64: 2 },
  'sqlite, FULL': { 64: 10 },
}
/** The p99 of a claim among many events, over that in an empty place. */
const latencyAim = 1.5
const bytesAims: { readonly [Name in SubjectName]?: number } = { memory: 300 }

/** Measures the stores, each in a process of its own, and prints what came out. */
export async function printStores({ names, isQuick }: StoresOptions): Promise<void> {
  const chosen = subjectNames.filter((name) => names.length === 0 || names.some(isStoreOf(name)))
  const unknown = names.filter((name) => !subjectNames.some((subject) => isStoreOf(subject)(name)))
  if (unknown.length > 0) {
    console.error(`No store is called ${unknown.join(' ')}. There are: ${subjectNames.join('; ')}.`)
    process.exitCode = 1
    return
  }
  const found = await findServers()
  try {
    const folder = await buildStores()
    const program = `${folder}/store-process.js`
    const workers = [1, 64, 256]
    const measures = isQuick
      ? { workers, rounds: 3, forMs: 60, events: 0 }
      : { workers, rounds: 21, forMs: 100, events: 1_000_000 }
    for (const subject of chosen) {
      const url = urlFor(subject, found.urls, folder)
      if (url === undefined) console.log(`\n${subject}: not measured, there is no server.`)
      else {
        const task: StoreTask = { subject, ...measures }
        print(subject, await figuresOf<StoreFigures>(program, task, url))
      }
    }
  } finally {
    await found.stop()
  }
  console.log(
    '\n÷: divided by the claims per second of the statement that each store is compared with.',
  )
}

function isStoreOf(subject: SubjectName): (name: string) => boolean {
  return (name) => subject === name || subject.startsWith(`${name},`)
}

/** Where a subject finds its server. Those that have none keep their files beside the program. */
function urlFor(subject: SubjectName, urls: ServerUrls, folder: string): string | undefined {
  const server = servers[subject]
  return server === undefined ? `${folder}/files` : urls[server]
}

function print(subject: SubjectName, { floor, throughput, roundTrips, many }: StoreFigures): void {
  const rounds = throughput[0]?.floor.length
  console.log(`\n${subject}: compared with ${floor}, median of ${rounds} rounds.\n`)
  console.log(
    tableOrLines(
      ['workers', 'floor/s', 'claims/s', '÷', 'p10–p90', 'aim', 'claim+complete/s', '÷', 'p10–p90'],
      throughput.map(({ workers, floor: base, claims, deliveries }) => [
        `${workers} workers`,
        whole(base),
        whole(claims),
        decimal(ratios(claims, base)),
        range(ratios(claims, base)),
        atLeast(aims[subject]?.[workers], spreadOf(ratios(claims, base)).median),
        whole(deliveries),
        decimal(ratios(deliveries, base)),
        range(ratios(deliveries, base)),
      ]),
    ),
  )
  if (roundTrips !== undefined) {
    const { claim, delivery } = roundTrips
    console.log(
      `round trips: ${claim} for a claim, aim ${atMost(1, claim)}; ${delivery} for claim and complete, aim ${atMost(2, delivery)}`,
    )
  }
  if (many === undefined) return
  const { events, latency, bytesPerEvent } = many
  for (const { workers, empty, full } of latency) {
    const ratio = ratios(full, empty)
    console.log(
      `p99 of a claim, ${workers} workers: ${microseconds(empty)} in an empty place, ${microseconds(full)} among ${events} events: × ${decimal(ratio)} (${range(ratio)}), aim ${atMost(latencyAim, spreadOf(ratio).median)}`,
    )
  }
  const aim = bytesAims[subject]
  const suffix = aim === undefined ? '' : `, aim ${atMost(aim, bytesPerEvent)}`
  console.log(`memory: ${Math.round(bytesPerEvent)} bytes for each of ${events} events${suffix}`)
}

function whole(figures: readonly number[]): string {
  return spreadOf(figures).median.toFixed(0)
}

function microseconds(ms: readonly number[]): string {
  return `${(spreadOf(ms).median * 1_000).toFixed(0)} µs`
}

function atLeast(aim: number | undefined, figure: number): string {
  if (aim === undefined) return ''
  return `at least ${aim}: ${figure >= aim ? 'met' : 'missed'}`
}

function atMost(aim: number, figure: number): string {
  return `at most ${aim}: ${figure <= aim ? 'met' : 'missed'}`
}
