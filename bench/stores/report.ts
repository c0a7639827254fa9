import { findServers, type ServerUrls } from '../../test/helpers/find-servers.ts'
import { buildPrograms } from '../build.ts'
import { figuresOf } from '../processes.ts'
import {
  type Aim,
  type BenchOptions,
  type Column,
  figureOf,
  type Report,
  type Section,
} from '../report.ts'
import { ratios } from '../statistics.ts'
import type { StoreFigures } from './measure.ts'
import type { StoreTask } from './process.ts'
import { type SubjectName, servers, subjectNames } from './subjects.ts'

export const storeNames: readonly string[] = subjectNames

/** Claims per second that a store is to reach, over those of its floor, by the number of workers. */
const aims: { readonly [Name in SubjectName]?: Readonly<Record<number, number>> } = {
  'redis, ioredis': { 1: 0.8, 64: 0.8, 256: 0.8 },
  'redis, node-redis': { 1: 0.8, 64: 0.8, 256: 0.8 },
  postgres: { 1: 0.85, 64: 3 },
  mysql: { 64: 2 },
  'sqlite, FULL': { 64: 10 },
}
/** The p99 of a claim among many events, over that in an empty place. */
const latencyAim: Aim = { atMost: 1.5 }
const bytesAims: { readonly [Name in SubjectName]?: Aim } = { memory: { atMost: 300 } }

const throughputColumns: readonly Column[] = [
  { name: 'floor/s', digits: 0 },
  { name: 'claims/s', digits: 0 },
  { name: 'claims ÷ floor', better: 'more' },
  { name: 'claim+complete/s', digits: 0 },
  { name: 'both ÷ floor', better: 'more' },
]

/** Measures the stores, each in a process of its own. */
export async function measureStores({ parts, isQuick }: BenchOptions): Promise<Report> {
  const chosen = subjectNames.filter((name) => parts.length === 0 || parts.includes(name))
  const workers = [1, 64, 256]
  const measures = isQuick
    ? { workers, rounds: 3, forMs: 60, events: 0 }
    : { workers, rounds: 9, forMs: 100, events: 1_000_000 }
  const found = await findServers()
  const sections: Section[] = []
  try {
    const folder = await buildPrograms()
    for (const subject of chosen) {
      const url = urlFor(subject, found.urls, folder)
      if (url === undefined) throw new Error(`${subject} cannot be measured: there is no server.`)
      const task: StoreTask = { subject, ...measures }
      const program = `${folder}/stores/process.js`
      sections.push(...sectionsOf(subject, await figuresOf<StoreFigures>(program, task, { url })))
    }
  } finally {
    await found.stop()
  }
  const title = `Stores: claims per second over the statement that each is compared with, ${measures.rounds} rounds in turns`
  return { name: 'stores', title, sections }
}

/** Where a subject finds its server. Those that have none keep their files beside the programs. */
function urlFor(subject: SubjectName, urls: ServerUrls, folder: string): string | undefined {
  const server = servers[subject]
  return server === undefined ? `${folder}/files` : urls[server]
}

function sectionsOf(subject: SubjectName, figures: StoreFigures): readonly Section[] {
  const { floor, throughput, roundTrips, many } = figures
  const ofThroughput: Section = {
    title: `${subject}: compared with ${floor}`,
    columns: throughputColumns,
    rows: throughput.map(({ workers, floor: base, claims, deliveries }) => {
      const aim = aims[subject]?.[workers]
      return {
        name: `${workers} workers`,
        figures: {
          'floor/s': figureOf(base),
          'claims/s': figureOf(claims),
          'claims ÷ floor': figureOf(
            ratios(claims, base),
            aim === undefined ? undefined : { atLeast: aim },
          ),
          'claim+complete/s': figureOf(deliveries),
          'both ÷ floor': figureOf(ratios(deliveries, base)),
        },
      }
    }),
    plot: { kind: 'bars', column: 'claims ÷ floor' },
    notes:
      roundTrips === undefined
        ? []
        : [
            `Round trips: ${roundTrips.claim} for a claim, ${roundTrips.delivery} for claim and complete.`,
          ],
  }
  return many === undefined ? [ofThroughput] : [ofThroughput, manyOf(subject, many)]
}

function manyOf(
  subject: SubjectName,
  { events, latency, bytesPerEvent }: NonNullable<StoreFigures['many']>,
): Section {
  const µs = (figures: readonly number[]) => figureOf(figures.map((ms) => ms * 1_000))
  return {
    title: `${subject}: among ${events} events`,
    columns: [
      { name: 'p99 µs, empty', digits: 0 },
      { name: 'p99 µs, full', digits: 0 },
      { name: 'full ÷ empty', better: 'less' },
      { name: 'bytes per event', digits: 0, better: 'less' },
    ],
    rows: [
      ...latency.map(({ workers, empty, full }) => ({
        name: `${workers} workers`,
        figures: {
          'p99 µs, empty': µs(empty),
          'p99 µs, full': µs(full),
          'full ÷ empty': figureOf(ratios(full, empty), latencyAim),
        },
      })),
      {
        name: 'room',
        figures: { 'bytes per event': figureOf([bytesPerEvent], bytesAims[subject]) },
      },
    ],
  }
}
