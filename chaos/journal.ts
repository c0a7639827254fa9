/**
 * The journal of a run: what every process did, in a database, so that it outlives the processes.
 *
 * Lines are only ever added. Each has a number and a time by the clock that the store goes by.
 * A line is written either **before** what it tells (`asked`, `returned`, `answering`: it is in the
 * database before the thing happens) or **after** it (`answered`, `started`). So an after-line with
 * a lower number than a before-line proves an order: what the first tells was over before what the
 * second tells began, whatever the processes' own clocks say.
 */
export interface Journal {
  /** Resolves when the line is in the database. */
  append(line: Line): Promise<void>
  /** Everything so far, in order. */
  read(): Promise<StampedLine[]>
  close(): Promise<void>
}

export type Operation = 'claim' | 'extend' | 'complete' | 'release'

/** What the store answered; `failed`: it rejected, and nobody knows whether it took effect. */
export type StoreAnswer = 'claimed' | 'in_flight' | 'completed' | 'yes' | 'no' | 'failed'

/** Before the store is called. */
export interface AskedLine {
  readonly kind: 'asked'
  readonly call: string
  readonly worker: string
  readonly op: Operation
  readonly key: string
  readonly owner: string
  /** Absent for a claim. */
  readonly fence?: number
  /** Of a claim or an extension. */
  readonly leaseMs?: number
  /** Absent for a renewal, which belongs to no request. */
  readonly delivery?: string
}

/** After the store has answered. */
export interface AnsweredLine {
  readonly kind: 'answered'
  readonly call: string
  readonly result: StoreAnswer
  /** Of a claim that was won. */
  readonly fence?: number
  /** What is left of another's lease. */
  readonly leftMs?: number
  readonly code?: string
}

/** When a handler was called, before it does anything. */
export interface StartedLine {
  readonly kind: 'started'
  readonly run: string
  readonly worker: string
  readonly key: string
  readonly fence: number
  readonly delivery: string
  readonly event: string
  readonly attempt: number
  readonly act: string
}

/** When a handler has done its work, before its promise settles. */
export interface EndedRunLine {
  readonly kind: 'returned' | 'threw'
  readonly run: string
}

/** When the receiver has decided, before the first byte of the answer. */
export interface AnsweringLine {
  readonly kind: 'answering'
  readonly worker: string
  readonly delivery: string
  readonly status: number
  readonly outcome: string
  readonly code?: string
  readonly key?: string
  readonly completionLost?: boolean
  readonly bodyChanged?: boolean
}

/** Before an inbox is asked to keep a delivery. */
export interface PuttingLine {
  readonly kind: 'putting'
  readonly put: string
  readonly worker: string
  readonly key: string
  readonly event: string
  readonly delivery: string
  /** The ordering key, and how long the delivery may hold back others. Absent: it is in no order. */
  readonly order?: string
  readonly maxHoldMs?: number
}

/** After the inbox has answered. `failed`: it rejected, and nobody knows whether it was committed. */
export interface PutLine {
  readonly kind: 'put'
  readonly put: string
  readonly result: 'accepted' | 'duplicate' | 'failed'
  readonly code?: string
}

/** When an inbox has handed a delivery to a worker, before anything is done with it. */
export interface HandedLine {
  readonly kind: 'handed'
  readonly turn: string
  readonly worker: string
  readonly key: string
  readonly number: number
}

/** When it is decided what becomes of that delivery, before the inbox is told. */
export interface VerdictLine {
  readonly kind: 'verdict'
  readonly turn: string
  readonly state: 'completed' | 'retry' | 'dead' | 'postponed'
  readonly code?: string
}

/** Before and after a dead letter is replayed. */
export interface ReplayLine {
  readonly kind: 'replaying' | 'replayed'
  readonly key: string
}

/** What was done to a worker. `ended`: after its process was gone. */
export interface WorkerLine {
  readonly kind: 'born' | 'killed' | 'stopped' | 'continued' | 'ended'
  readonly worker: string
}

/** What was done between the workers and their database, or to that. */
export interface FaultLine {
  readonly kind: 'fault'
  readonly fault: string
  readonly slots: readonly number[]
  readonly ms: number
}

export interface PhaseLine {
  readonly kind: 'phase'
  readonly phase: 'drill' | 'chaos' | 'calm' | 'replay' | 'restart' | 'end'
}

export type Line =
  | AskedLine
  | AnsweredLine
  | StartedLine
  | EndedRunLine
  | AnsweringLine
  | PuttingLine
  | PutLine
  | HandedLine
  | VerdictLine
  | ReplayLine
  | WorkerLine
  | FaultLine
  | PhaseLine

/** A line as the database keeps it. */
export type StampedLine = Line & Stamp

export interface Stamp {
  /** Its place in the journal. */
  readonly seq: number
  /** In ms, by the store's clock. */
  readonly at: number
}

/** A line as it is printed. */
export function printLine({ seq, at, ...line }: StampedLine): string {
  return `${String(seq).padStart(6)}  ${at.toFixed(1)}  ${JSON.stringify(line)}`
}
