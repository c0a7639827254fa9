import { put as add, type History, historyOf } from '../history.ts'
import type {
  HandedLine,
  PutLine,
  PuttingLine,
  ReplayLine,
  Stamp,
  StampedLine,
  VerdictLine,
} from '../journal.ts'

/** One call of an inbox's `put`. */
export interface Put {
  readonly asked: PuttingLine & Stamp
  readonly answered: (PutLine & Stamp) | undefined
}

/** A delivery's turn with a worker: from when it was handed over to what was decided. */
export interface Turn {
  readonly handed: HandedLine & Stamp
  /** Absent: the worker was killed before. */
  readonly verdict: (VerdictLine & Stamp) | undefined
}

/** A journal of a run with an inbox, put together by key. */
export interface InboxHistory extends History {
  readonly puts: ReadonlyMap<string, readonly Put[]>
  readonly turns: ReadonlyMap<string, readonly Turn[]>
  /** Before each dead letter was replayed. */
  readonly replays: ReadonlyMap<string, ReplayLine & Stamp>
  /** The key of each event. */
  readonly keys: ReadonlyMap<string, string>
}

export function inboxHistoryOf(lines: readonly StampedLine[]): InboxHistory {
  const answers = new Map<string, PutLine & Stamp>()
  const verdicts = new Map<string, VerdictLine & Stamp>()
  for (const line of lines) {
    if (line.kind === 'put') answers.set(line.put, line)
    if (line.kind === 'verdict') verdicts.set(line.turn, line)
  }
  const puts = new Map<string, Put[]>()
  const turns = new Map<string, Turn[]>()
  const replays = new Map<string, ReplayLine & Stamp>()
  const keys = new Map<string, string>()
  for (const line of lines) {
    if (line.kind === 'putting') {
      keys.set(line.event, line.key)
      add(puts, line.key, { asked: line, answered: answers.get(line.put) })
    } else if (line.kind === 'handed') {
      add(turns, line.key, { handed: line, verdict: verdicts.get(line.turn) })
    } else if (line.kind === 'replaying') replays.set(line.key, line)
  }
  return { ...historyOf(lines), puts, turns, replays, keys }
}
