import type { ChildProcess } from 'node:child_process'
import { buildPrograms } from '../build.ts'
import { tie } from '../machine.ts'
import { ask, messageOf, start } from '../processes.ts'
import { type BenchOptions, figureOf, type Report, type Row, type Section } from '../report.ts'
import { spreadOf } from '../statistics.ts'
import type { SoakTask, SoakWindow } from './client.ts'
import type { SoakReport } from './server.ts'

/** One window, as client and server saw it. */
interface Window extends SoakWindow {
  readonly perSecond: number
  readonly busy: number
  readonly rss: number
  readonly heap: number
}

const endpoint = 'the soaked server'
const full = { windows: 20, windowMs: 30_000, learnMs: 10_000, share: 0.8, longestLagMs: 2_000 }
/** Far from what a busy machine can do, and with no bound on how late an answer is. */
const quick = { windows: 4, windowMs: 500, learnMs: 500, share: 0.3, longestLagMs: 60_000 }

/** Soaks an Express endpoint: 80 % of what it can take, for ten minutes. */
export async function measureSoak({ isQuick }: BenchOptions): Promise<Report> {
  const programs = await buildPrograms()
  const { windows, windowMs, learnMs, share, longestLagMs } = isQuick ? quick : full
  const server = start(`${programs}/soak/server.js`, [])
  try {
    const { port } = await messageOf<SoakReport>(server, endpoint)
    if (server.pid !== undefined) tie(server.pid, 0)
    const client = (task: Omit<SoakTask, 'port'>) => {
      const child = start(`${programs}/soak/client.js`, [JSON.stringify({ port, ...task })])
      if (child.pid !== undefined) tie(child.pid, 1)
      return child
    }
    // Twice: first for the compiler, and so that the store is full.
    let capacity = 0
    for (const _ of [1, 2]) capacity = await capacityOf(client, learnMs)
    const perSecond = Math.floor(capacity * share)
    const before = await ask<SoakReport>(server, endpoint, 'collected')
    const soaking = client({ windows, windowMs, longestLagMs, perSecond })
    const seen: Window[] = []
    let last = before
    for (let index = 0; index < windows; index++) {
      const window = await messageOf<SoakWindow>(soaking, 'the soak')
      const now = await ask<SoakReport>(server, endpoint)
      const { rss, heap, cpuUs } = now
      const answered = Object.values(window.sent).reduce((sum, count) => sum + count, 0)
      seen.push({
        ...window,
        perSecond: (answered * 1_000) / windowMs,
        busy: (cpuUs - last.cpuUs) / 1_000 / windowMs,
        rss: rss / 1_048_576,
        heap: heap / 1_048_576,
      })
      last = now
    }
    const after = await ask<SoakReport>(server, endpoint, 'collected')
    return {
      name: 'soak',
      title: `Soak: Express, ${(windows * windowMs) / 60_000} minutes at ${100 * share} % of ${Math.floor(capacity)} requests per second`,
      sections: [windowsOf(seen), wholeOf(seen, before, after)],
    }
  } finally {
    server.disconnect()
  }
}

/** How many new events per second are answered when 64 are on their way at any time. */
async function capacityOf(
  client: (task: Omit<SoakTask, 'port'>) => ChildProcess,
  windowMs: number,
): Promise<number> {
  const child = client({ windows: 1, windowMs, longestLagMs: 60_000, perSecond: 0 })
  const { sent } = await messageOf<SoakWindow>(child, 'the capacity')
  return (sent.new * 1_000) / windowMs
}

function windowsOf(windows: readonly Window[]): Section {
  return {
    title: 'windows',
    columns: [
      { name: 'per s', digits: 0 },
      { name: 'busy' },
      { name: 'p50 ms' },
      { name: 'p99 ms' },
      { name: 'RSS MiB', digits: 1 },
      { name: 'heap MiB', digits: 1 },
    ],
    rows: windows.map(
      ({ perSecond, busy, p50, p99, rss, heap }, index): Row => ({
        name: `${index + 1}`,
        figures: {
          'per s': figureOf([perSecond]),
          busy: figureOf([busy]),
          'p50 ms': figureOf([p50]),
          'p99 ms': figureOf([p99]),
          'RSS MiB': figureOf([rss]),
          'heap MiB': figureOf([heap]),
        },
      }),
    ),
    plot: { kind: 'line', column: 'p99 ms' },
    notes: ['Times from the moment at which a request was due. Heap: as it is, with garbage.'],
  }
}

function wholeOf(windows: readonly Window[], before: SoakReport, after: SoakReport): Section {
  const third = Math.ceil(windows.length / 3)
  const median = (some: readonly Window[], what: 'p99' | 'rss') =>
    spreadOf(some.map((window) => window[what])).median
  const trend = (what: 'p99' | 'rss') =>
    median(windows.slice(-third), what) / median(windows.slice(0, third), what)
  const row = (name: string, value: number, atMost: number): Row => ({
    name,
    figures: { '×': figureOf([value], { atMost }) },
  })
  const counts = new Map<string, number>()
  for (const { sent } of windows) {
    for (const [kind, count] of Object.entries(sent))
      counts.set(kind, (counts.get(kind) ?? 0) + count)
  }
  return {
    title: 'from the start to the end',
    columns: [{ name: '×', better: 'less' }],
    rows: [
      row('heap after a collection', after.heap / before.heap, 1.05),
      row('RSS, last third ÷ first third', trend('rss'), 1.05),
      row('p99, last third ÷ first third', trend('p99'), 1.25),
    ],
    notes: [
      `Every answer was the expected one: ${[...counts].map(([kind, count]) => `${count} ${kind}`).join(', ')}.`,
    ],
  }
}
