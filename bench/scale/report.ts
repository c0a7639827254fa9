import { findServers } from '../../test/helpers/find-servers.ts'
import { buildPrograms } from '../build.ts'
import { figuresOf } from '../processes.ts'
import { type BenchOptions, figureOf, type Report, type Row, type Section } from '../report.ts'
import { ratios } from '../statistics.ts'
import type { ScaleTask, SizeFigures } from './process.ts'

interface Growth {
  readonly grows: ScaleTask['grows']
  readonly title: string
  readonly sizes: readonly number[]
  readonly quick: readonly number[]
  readonly deliveries: number
  readonly notes: readonly string[]
}

const growths: readonly Growth[] = [
  {
    grows: 'remembered',
    title: 'remembered events, in memory',
    sizes: [1_000, 10_000, 100_000, 1_000_000, 10_000_000],
    quick: [1_000, 10_000],
    deliveries: 4_000,
    notes: [
      'The store is full: each delivery puts the oldest event out. Many events no longer fit into the caches of the processor, and each delivery looks at several places among them.',
    ],
  },
  {
    grows: 'rows',
    title: 'remembered events, in Postgres',
    sizes: [1_000, 10_000, 100_000, 1_000_000, 10_000_000],
    quick: [1_000, 10_000],
    deliveries: 2_000,
    notes: [
      '64 deliveries at a time, each in a new row, whose place in the index is anywhere. From a million rows on the index is larger than the buffers that a server has by default (128 MB).',
    ],
  },
  {
    grows: 'handlers',
    title: 'handlers',
    sizes: [1, 10, 100, 1_000],
    quick: [1, 10],
    deliveries: 4_000,
    notes: ['Flat: a name is looked up in a Map.'],
  },
  {
    grows: 'secrets',
    title: 'secrets',
    sizes: [1, 2, 3, 5, 10],
    quick: [1, 2],
    deliveries: 4_000,
    notes: ['The one that verifies is the last. Each one before it costs an HMAC of the body.'],
  },
  {
    grows: 'body',
    title: 'bytes of the body',
    sizes: [1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576],
    quick: [1_024, 4_096],
    deliveries: 4_000,
    notes: ['It grows as the floor does: what is left beyond it is the fingerprint of the body.'],
  },
  {
    grows: 'simultaneous',
    title: 'simultaneous deliveries',
    sizes: [1, 10, 100, 1_000, 10_000],
    quick: [1, 10],
    deliveries: 4_000,
    notes: [
      'Every handler waits until the last has begun. Ten thousand that run at once live long enough to be moved by the garbage collector.',
    ],
  },
]

/** Measures what a delivery costs as something grows. */
export async function measureScale({ isQuick }: BenchOptions): Promise<Report> {
  const found = await findServers()
  const sections: Section[] = []
  try {
    const url = found.urls.postgres
    if (url === undefined) throw new Error('There is no PostgreSQL server to measure with.')
    const program = `${await buildPrograms()}/scale/process.js`
    for (const growth of growths) {
      const { grows } = growth
      const rest = {
        grows,
        rounds: isQuick ? 2 : 21,
        deliveries: isQuick ? 100 : growth.deliveries,
      }
      const sizes = isQuick ? growth.quick : growth.sizes
      // A process for each that fills a heap; else all in one, in turns.
      const tasks: readonly ScaleTask[] =
        grows === 'remembered'
          ? sizes.map((size) => ({ ...rest, sizes: [size] }))
          : [{ ...rest, sizes }]
      const figures: SizeFigures[] = []
      for (const task of tasks) {
        const options = { url, flags: ['--max-old-space-size=8192'] }
        const subject = { subject: growth.title, ...task }
        figures.push(...(await figuresOf<readonly SizeFigures[]>(program, subject, options)))
      }
      sections.push(sectionOf(growth, figures))
    }
  } finally {
    await found.stop()
  }
  return { name: 'scale', title: 'Scale: what a delivery costs as something grows', sections }
}

function sectionOf({ title, grows, notes }: Growth, figures: readonly SizeFigures[]): Section {
  const [first] = figures
  if (first === undefined) throw new Error(`The benchmark of ${title} has no figures.`)
  // Postgres works in processes of its own, so that there the time on the wall counts.
  const column = grows === 'rows' ? 'time ÷ the first' : 'CPU × floor'
  return {
    title,
    columns: [
      { name: 'µs' },
      { name: 'CPU µs' },
      { name: column, better: 'less' },
      ...(grows === 'remembered'
        ? [{ name: 'bytes per event', digits: 0, better: 'less' } as const]
        : []),
    ],
    rows: figures.map(
      ({ size, us, cpuUs, floorUs, heapPerEvent }): Row => ({
        name: `${size}`,
        figures: {
          µs: figureOf(us),
          'CPU µs': figureOf(cpuUs),
          [column]: figureOf(grows === 'rows' ? ratios(us, first.us) : ratios(cpuUs, floorUs)),
          ...(heapPerEvent > 0 && size >= 1_000_000
            ? { 'bytes per event': figureOf([heapPerEvent], { atMost: 300 }) }
            : {}),
        },
      }),
    ),
    plot: { kind: 'line', column },
    notes,
  }
}
