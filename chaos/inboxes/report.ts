import type { Finding } from '../invariants.ts'
import { answersIn, type Row, strikesIn, takeoversIn, tally } from '../report.ts'
import type { WorkerPool } from '../worker-pool.ts'
import { overtakingsIn } from './call-invariants.ts'
import type { InboxHistory } from './history.ts'
import type { InboxEnding } from './invariants.ts'

/** What is told of a run against an inbox. */
export interface InboxRunFacts {
  readonly history: InboxHistory
  readonly ending: InboxEnding
  readonly violations: readonly Finding[]
  readonly events: number
  readonly workers: WorkerPool['counts']
  readonly faults: Readonly<Record<string, number>>
}

/** What is shown of a run against an inbox. */
export function inboxRowsOf(facts: InboxRunFacts): Row[] {
  const { history, ending, violations, events, workers, faults } = facts
  const { receipts, calmFates, lastFates } = ending
  const puts = [...history.puts.values()].flat()
  const turns = [...history.turns.values()].flat()
  const runs = [...history.runs.values()].flat()
  const calls = [...history.calls.values()].flat()
  const late = calls.filter(({ result }) => result === 'no').length
  return [
    ['events', `${events}, in ${receipts.length} deliveries`],
    ['answers', answersIn(receipts)],
    ['puts', tally(puts.map(({ answered }) => answered?.result ?? 'cut short'))],
    ['attempts', tally(turns.map(({ verdict }) => verdict?.state ?? 'cut short'))],
    ['runs', tally(runs.map(({ ended }) => ended?.kind ?? 'cut short'))],
    ['takeovers', `${takeoversIn(history)} of leases that had run out`],
    ['overtaken', `${overtakingsIn(history)} events that had held back others for long enough`],
    ['fenced', `${late} late calls of the store changed nothing`],
    ...strikesIn(workers, faults),
    ['calm', tally(calmFates.map(({ state }) => state))],
    ['replay', `${history.replays.size} dead letters`],
    ['restart', tally(lastFates.map(({ state }) => state))],
    ['journal', `${history.lines.length} lines, ${violations.length} violations`],
  ]
}
