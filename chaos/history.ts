import type {
  AnsweredLine,
  AnsweringLine,
  AskedLine,
  EndedRunLine,
  PhaseLine,
  Stamp,
  StampedLine,
  StartedLine,
  StoreAnswer,
} from './journal.ts'

/** One call of the store. It took effect, if it did, after `asked` and no later than `latestAt`. */
export interface Call {
  readonly asked: AskedLine & Stamp
  readonly answered: (AnsweredLine & Stamp) | undefined
  /** `unknown`: the worker ended before it had an answer. Like `failed` it may have taken effect. */
  readonly result: StoreAnswer | 'unknown'
  /** The fence that it was made with, or that it won. */
  readonly fence: number | undefined
  /** When the store had certainly done with it, as a place in the journal; infinity if that is open. */
  readonly overSeq: number
  /** The same by the store's clock. */
  readonly latestAt: number
}

/** One call of a handler. */
export interface Run {
  readonly started: StartedLine & Stamp
  readonly ended: (EndedRunLine & Stamp) | undefined
  /** Its end, or that of its process; infinity if it has none. */
  readonly overSeq: number
}

/** A journal, put together by key. */
export interface History {
  readonly lines: readonly StampedLine[]
  readonly calls: ReadonlyMap<string, readonly Call[]>
  readonly runs: ReadonlyMap<string, readonly Run[]>
  readonly answers: readonly (AnsweringLine & Stamp)[]
  /** Where each phase began. */
  readonly phases: ReadonlyMap<PhaseLine['phase'], StampedLine>
}

/**
 * How long a statement may go on by itself after its caller was told of a failure, or was killed: a
 * proxy holds it back, a client has it in a queue, a server is under load. Bounds only what may
 * excuse a key that is held, and never what may excuse a broken lease.
 */
const strayMs = 10_000

export function historyOf(lines: readonly StampedLine[]): History {
  const ends = endsOf(lines)
  const calls = new Map<string, Call[]>()
  const runs = new Map<string, Run[]>()
  const answers: (AnsweringLine & Stamp)[] = []
  const phases = new Map<PhaseLine['phase'], StampedLine>()
  for (const line of lines) {
    if (line.kind === 'asked') put(calls, line.key, callOf(line, ends))
    else if (line.kind === 'started') put(runs, line.key, runOf(line, ends))
    else if (line.kind === 'answering') answers.push(line)
    else if (line.kind === 'phase') phases.set(line.phase, line)
  }
  return { lines, calls, runs, answers, phases }
}

/** The lines that end something, by the name of what they end. */
interface Ends {
  readonly calls: ReadonlyMap<string, AnsweredLine & Stamp>
  readonly runs: ReadonlyMap<string, EndedRunLine & Stamp>
  readonly workers: ReadonlyMap<string, Stamp>
}

function endsOf(lines: readonly StampedLine[]): Ends {
  const calls = new Map<string, AnsweredLine & Stamp>()
  const runs = new Map<string, EndedRunLine & Stamp>()
  const workers = new Map<string, Stamp>()
  for (const line of lines) {
    if (line.kind === 'answered') calls.set(line.call, line)
    else if (line.kind === 'returned' || line.kind === 'threw') runs.set(line.run, line)
    else if (line.kind === 'ended') workers.set(line.worker, line)
  }
  return { calls, runs, workers }
}

function callOf(asked: AskedLine & Stamp, ends: Ends): Call {
  const answered = ends.calls.get(asked.call)
  const result = answered?.result ?? 'unknown'
  const isKnown = answered !== undefined && result !== 'failed'
  const heardAt = answered?.at ?? ends.workers.get(asked.worker)?.at ?? Number.POSITIVE_INFINITY
  return {
    asked,
    answered,
    result,
    fence: asked.fence ?? answered?.fence,
    overSeq: isKnown ? answered.seq : Number.POSITIVE_INFINITY,
    latestAt: isKnown ? heardAt : heardAt + strayMs,
  }
}

function runOf(started: StartedLine & Stamp, ends: Ends): Run {
  const ended = ends.runs.get(started.run)
  const overSeq = ended?.seq ?? ends.workers.get(started.worker)?.seq ?? Number.POSITIVE_INFINITY
  return { started, ended, overSeq }
}

/** Adds an item to the group of its key. */
export function put<Item>(groups: Map<string, Item[]>, key: string, item: Item): void {
  const group = groups.get(key)
  if (group === undefined) groups.set(key, [item])
  else group.push(item)
}
