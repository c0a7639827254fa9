import type { Call, History } from './history.ts'
import type { Finding } from './invariants.ts'
import { printLine } from './journal.ts'
import type { Receipt } from './sender.ts'
import type { WorkerPool } from './worker-pool.ts'

/** What a run did, and what it found. */
export interface Report {
  /** What is shown of it: names and values. */
  readonly rows: readonly Row[]
  readonly violations: readonly Finding[]
}

export type Row = readonly [name: string, text: string]

/** What is told of a run against a store. */
export interface StoreRun {
  readonly history: History
  readonly violations: readonly Finding[]
  readonly events: number
  readonly receipts: readonly Receipt[]
  readonly workers: WorkerPool['counts']
  readonly faults: Readonly<Record<string, number>>
  readonly afterRestart: readonly Receipt[]
}

/** How many lines of the journal are printed for one violation, and how many violations. */
const mostLines = 40
const mostViolations = 5

/** What a run did, as a short table. */
export function tableOf({ rows }: Report): string {
  return rows.map(([name, text]) => `  ${name.padEnd(12)}${text}`).join('\n')
}

/** What is shown of a run against a store. */
export function rowsOf(run: StoreRun): Row[] {
  const { history, events, receipts, workers, faults, afterRestart } = run
  const calls = [...history.calls.values()].flat()
  const runs = [...history.runs.values()].flat()
  const count = (isCounted: (call: Call) => boolean) => calls.filter(isCounted).length
  const claims = calls.filter(({ asked }) => asked.op === 'claim')
  return [
    ['events', `${events}, in ${receipts.length} deliveries`],
    ['answers', answersIn(receipts)],
    ['claims', tally(claims.map(({ result }) => result))],
    ['runs', tally(runs.map(({ ended }) => ended?.kind ?? 'cut short'))],
    [
      'takeovers',
      `${takeoversIn(history)} of leases that had run out; ${overlapsIn(history)} runs beside the next`,
    ],
    ['completions', `${count(({ asked, result }) => asked.op === 'complete' && result === 'yes')}`],
    ['fenced', `${count(({ result }) => result === 'no')} late calls changed nothing`],
    ...strikesIn(workers, faults),
    [
      'restart',
      `${afterRestart.length} repeats: ${tally(afterRestart.map(({ outcome }) => outcome))}`,
    ],
    ['journal', `${history.lines.length} lines, ${run.violations.length} violations`],
  ]
}

/** What the provider was answered. */
export function answersIn(receipts: readonly Receipt[]): string {
  return tally(receipts.map(({ status }) => (status === 0 ? 'none' : String(status))))
}

/** What was done to the workers, and to their database. */
export function strikesIn(
  { starts, kills, stops }: WorkerPool['counts'],
  faults: Readonly<Record<string, number>>,
): Row[] {
  const struck = Object.entries(faults).map(([fault, times]) => `${fault} ${times}`)
  return [
    ['workers', `${starts} starts, ${kills} kills, ${stops} stops`],
    ['faults', struck.join(', ')],
  ]
}

/** The violations, one of each rule first, each with the lines of the journal that show it. */
export function listOf({ violations }: Report): string {
  const firsts = new Map([...violations].reverse().map((found) => [found.rule, found])).values()
  const sorted = [...new Set([...[...firsts].reverse(), ...violations])]
  const shown = sorted.slice(0, mostViolations).map(({ rule, what, lines }) => {
    const excerpt = lines.slice(-mostLines).map((line) => `    ${printLine(line)}`)
    return [`  violated: ${rule}`, `  ${what}`, ...excerpt].join('\n')
  })
  const left = violations.length - shown.length
  return [...shown, ...(left > 0 ? [`  and ${left} more`] : [])].join('\n\n')
}

/** Claims that were won although the fence before them was neither given back nor completed. */
export function takeoversIn({ calls }: History): number {
  let takeovers = 0
  for (const ofKey of calls.values()) {
    const won = new Set(
      ofKey.filter(({ result }) => result === 'claimed').map(({ fence }) => fence),
    )
    const settled = ofKey.filter(({ asked, result }) => result === 'yes' && asked.op !== 'extend')
    for (const { fence } of settled) won.delete(fence)
    // The last of them is nobody's predecessor, unless it is the one that was settled.
    takeovers += settled.some(({ asked }) => asked.op === 'complete')
      ? won.size
      : Math.max(0, won.size - 1)
  }
  return takeovers
}

/** Runs that were still going on when the next run of their key began. */
function overlapsIn({ runs }: History): number {
  let overlaps = 0
  for (const ofKey of runs.values()) {
    for (const [index, run] of ofKey.entries()) {
      const next = ofKey[index + 1]
      if (next !== undefined && next.started.seq < run.overSeq) overlaps++
    }
  }
  return overlaps
}

/** How often each word comes. */
export function tally(words: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
  return [...counts]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([word, times]) => `${word} ${times}`)
    .join(', ')
}
