import { findServers } from '../../test/helpers/find-servers.ts'
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
import type { Drain, InboxFigures, Pace } from './measure.ts'
import type { InboxTask } from './process.ts'
import { type SubjectName, servers, subjectNames } from './subjects.ts'

export const inboxNames: readonly string[] = subjectNames

/** What an acknowledgement may cost, over a bare commit of the engine. */
const costAim: Aim = { atMost: 1.25 }

const columns: readonly Column[] = [
  { name: 'commits/s', digits: 0 },
  { name: 'acks/s', digits: 0 },
  { name: 'cost of an ack', better: 'less' },
  { name: 'p50 ms' },
  { name: 'p50 ÷ commit', better: 'less' },
  { name: 'p99 ms' },
  { name: 'p99 ÷ commit', better: 'less' },
]

/** Measures the inboxes, each in a process of its own. */
export async function measureInboxes({ parts, isQuick }: BenchOptions): Promise<Report> {
  const chosen = subjectNames.filter((name) => parts.length === 0 || parts.includes(name))
  const measures = isQuick
    ? { workers: [1, 64], rounds: 2, deliveries: 200, backlog: 1_000 }
    : { workers: [1, 64], rounds: 9, deliveries: 2_000, backlog: 100_000 }
  const found = await findServers()
  const sections: Section[] = []
  try {
    const folder = await buildPrograms()
    for (const subject of chosen) {
      const server = servers[subject]
      const url = server === undefined ? `${folder}/files` : found.urls[server]
      if (url === undefined) throw new Error(`${subject} cannot be measured: there is no server.`)
      const task: InboxTask = { subject, ...measures }
      const program = `${folder}/inboxes/process.js`
      sections.push(...sectionsOf(subject, await figuresOf<InboxFigures>(program, task, { url })))
    }
  } finally {
    await found.stop()
  }
  const title = `Inboxes: an acknowledgement over a bare commit of the engine, ${measures.rounds} rounds in turns`
  return { name: 'inbox', title, sections }
}

function sectionsOf(subject: SubjectName, figures: InboxFigures): readonly Section[] {
  const { floor: name, acks, endToEnd, drain } = figures
  const ofAcks: Section = {
    title: `${subject}: compared with ${name}`,
    columns,
    rows: acks.map(({ workers, floor, acks: own }) => ({
      name: `${workers} workers`,
      figures: {
        'commits/s': figureOf(floor.perSecond),
        'acks/s': figureOf(own.perSecond),
        'cost of an ack': figureOf(ratios(floor.perSecond, own.perSecond), costAim),
        'p50 ms': figureOf(own.p50),
        'p50 ÷ commit': figureOf(ratios(own.p50, floor.p50)),
        'p99 ms': figureOf(own.p99),
        'p99 ÷ commit': figureOf(ratios(own.p99, floor.p99)),
      },
    })),
    plot: { kind: 'bars', column: 'cost of an ack' },
  }
  const whole = wholeWayOf(subject, endToEnd, acks.at(-1)?.workers ?? 1)
  return [ofAcks, whole, ...(drain === undefined ? [] : [drainOf(subject, drain)])]
}

function wholeWayOf(subject: SubjectName, { perSecond, p50, p99 }: Pace, workers: number): Section {
  return {
    title: `${subject}: from arrival to the end of the handler`,
    columns: [{ name: 'per s', digits: 0 }, { name: 'p50 ms' }, { name: 'p99 ms' }],
    rows: [
      {
        name: `${workers} at a time`,
        figures: { 'per s': figureOf(perSecond), 'p50 ms': figureOf(p50), 'p99 ms': figureOf(p99) },
      },
    ],
  }
}

function drainOf(subject: SubjectName, { deliveries, seconds, heap }: Drain): Section {
  const megabytes = heap.map((bytes) => bytes / 1_048_576)
  const [first = 0] = megabytes
  return {
    title: `${subject}: working off a backlog`,
    columns: [
      { name: 'per s', digits: 0 },
      { name: 'heap MB before', digits: 1 },
      { name: 'heap MB at most', digits: 1 },
    ],
    rows: [
      {
        name: `${deliveries} deliveries`,
        figures: {
          'per s': figureOf([deliveries / seconds]),
          'heap MB before': figureOf([first]),
          'heap MB at most': figureOf([Math.max(...megabytes)]),
        },
      },
    ],
  }
}
