import { findServers } from '../test/helpers/find-servers.ts'
import { buildInboxes } from './build.ts'
import { figuresOf } from './figures.ts'
import type { InboxTask } from './inbox-process.ts'
import type { Drain, InboxFigures } from './inboxes/measure.ts'
import { type SubjectName, servers, subjectNames } from './inboxes/subjects.ts'
import { decimal, range, ratios, spreadOf, tableOrLines } from './statistics.ts'

export interface InboxesOptions {
  /** The inboxes to measure, as in `sqlite`. None: all of them. */
  readonly names: readonly string[]
  /** Fewer rounds, and a small backlog. */
  readonly isQuick: boolean
}

/** What an acknowledgement may cost, over a bare commit of the engine. */
const costAim = 1.25

/** Measures the inboxes, each in a process of its own, and prints what came out. */
export async function printInboxes({ names, isQuick }: InboxesOptions): Promise<void> {
  const unknown = names.filter((name) => !subjectNames.some((subject) => subject === name))
  if (unknown.length > 0) {
    console.error(`No inbox is called ${unknown.join(' ')}. There are: ${subjectNames.join(', ')}.`)
    process.exitCode = 1
    return
  }
  const chosen = subjectNames.filter((name) => names.length === 0 || names.includes(name))
  const found = await findServers()
  try {
    const folder = await buildInboxes()
    const program = `${folder}/inbox-process.js`
    const measures = isQuick
      ? { workers: [1, 64], rounds: 2, deliveries: 200, backlog: 1_000 }
      : { workers: [1, 64], rounds: 15, deliveries: 2_000, backlog: 100_000 }
    for (const subject of chosen) {
      const server = servers[subject]
      const url = server === undefined ? `${folder}/files` : found.urls[server]
      if (url === undefined) console.log(`\n${subject}: not measured, there is no server.`)
      else {
        const task: InboxTask = { subject, ...measures }
        print(subject, await figuresOf<InboxFigures>(program, task, url))
      }
    }
  } finally {
    await found.stop()
  }
  console.log('\ncost: what an acknowledgement takes, over a bare commit of the same delivery.')
}

function print(subject: SubjectName, { floor: name, acks, endToEnd, drain }: InboxFigures): void {
  console.log(`\n${subject}: compared with ${name}, median of ${endToEnd.p99.length} rounds.\n`)
  console.log(
    tableOrLines(
      ['workers', 'commits/s', 'acks/s', 'cost', 'p10–p90', 'aim', 'p50 ms', '×', 'p99 ms', '×'],
      acks.map(({ workers, floor, acks: own }) => {
        const cost = ratios(floor.perSecond, own.perSecond)
        return [
          `${workers} workers`,
          spreadOf(floor.perSecond).median.toFixed(0),
          spreadOf(own.perSecond).median.toFixed(0),
          decimal(cost),
          range(cost),
          `at most ${costAim}: ${spreadOf(cost).median <= costAim ? 'met' : 'missed'}`,
          decimal(own.p50),
          decimal(ratios(own.p50, floor.p50)),
          decimal(own.p99),
          decimal(ratios(own.p99, floor.p99)),
        ]
      }),
    ),
  )
  console.log(
    `from arrival to the end of the handler, ${acks.at(-1)?.workers} at a time: ${spreadOf(endToEnd.perSecond).median.toFixed(0)} per s, p50 ${decimal(endToEnd.p50)} ms, p99 ${decimal(endToEnd.p99)} ms`,
  )
  if (drain !== undefined) console.log(lineOf(drain))
}

function lineOf({ deliveries, seconds, heap }: Drain): string {
  const megabytes = heap.map((bytes) => bytes / 1_048_576)
  const [first = 0] = megabytes
  const most = Math.max(...megabytes)
  return `${deliveries} waiting deliveries: worked off in ${seconds.toFixed(1)} s, ${(deliveries / seconds).toFixed(0)} per s; heap ${first.toFixed(1)} MB before, at most ${most.toFixed(1)} MB on the way`
}
