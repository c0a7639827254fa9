import type {
  Attempt,
  AttemptResult,
  EntryFilter,
  Failure,
  Inbox,
  InboxCounts,
  InboxState,
  Process,
  PutOptions,
  StoredDelivery,
  StoredEntry,
  WorkerOptions,
} from '../../src/inboxes/inbox.ts'

/** A delivery in the memory that inboxes share, as a row of a database would have it. */
export interface Row {
  readonly id: string
  readonly receivedAt: number
  readonly order: PutOptions['order'] | undefined
  stored: string
  state: InboxState
  attempts: number
  dueAt?: number | undefined
  failure?: Failure | undefined
  failedAt?: number | undefined
  /** Whose it is: changes with every claim. */
  holder?: object | undefined
}

/** What inboxes share that are one. Oldest first. */
export type Memory = Map<string, Row>

/** How often a worker looks for work, in ms. */
const pollMs = 3

/**
 * An inbox that keeps the contract in one process, for tests of the contract. What it does is in
 * small steps, so that each can be replaced by a mistake.
 */
export class MemoryInbox implements Inbox {
  readonly name: string = 'memoryInbox'
  readonly keepsOrder: boolean = true
  readonly memory: Memory
  readonly running = new Map<object, Row>()
  #worker: { process: Process; concurrency: number; timer: NodeJS.Timeout } | undefined

  constructor(memory: Memory = new Map()) {
    this.memory = memory
  }

  async migrate(): Promise<void> {}

  async put(delivery: StoredDelivery, options: PutOptions): Promise<'accepted' | 'duplicate'> {
    const { key, order } = options
    if (this.memory.has(key)) return 'duplicate'
    const stored = JSON.stringify(delivery)
    const { receivedAt } = delivery
    this.memory.set(key, { id: key, receivedAt, order, stored, state: 'waiting', attempts: 0 })
    return 'accepted'
  }

  async start(process: Process, { concurrency }: WorkerOptions): Promise<void> {
    this.#worker = { process, concurrency, timer: setInterval(() => this.#look(), pollMs) }
  }

  async stop({ drainMs = 0 }: { readonly drainMs?: number } = {}): Promise<void> {
    clearInterval(this.#worker?.timer)
    this.#worker = undefined
    const giveUpAt = Date.now() + drainMs
    while (this.running.size > 0 && Date.now() < giveUpAt) await turn()
    for (const [holder, row] of this.running) if (!this.isStale(row, holder)) this.giveBack(row)
    this.running.clear()
  }

  async *entries(filter: EntryFilter): AsyncIterable<StoredEntry> {
    for (const id of [...this.memory.keys()]) {
      const row = this.memory.get(id)
      const entry = row && entryOf(row)
      if (entry !== undefined && fits(entry, filter)) yield entry
    }
  }

  async entry(id: string): Promise<StoredEntry | undefined> {
    const row = this.memory.get(id)
    return row && entryOf(row)
  }

  async replay(id: string): Promise<boolean> {
    const row = this.memory.get(id)
    if (row?.state !== 'dead') return false
    const fresh = { attempts: 0, failure: undefined, failedAt: undefined, dueAt: undefined }
    Object.assign(row, { state: 'waiting', ...fresh })
    return true
  }

  async discard(id: string): Promise<boolean> {
    if (this.memory.get(id)?.state === 'running') return false
    return this.memory.delete(id)
  }

  async stats(): Promise<InboxCounts> {
    const counts = { waiting: 0, running: 0, delayed: 0, dead: 0 }
    for (const { state } of this.memory.values()) counts[state]++
    const live = [...this.memory.values()].filter(({ state }) => state !== 'dead')
    const oldest = Math.min(...live.map(({ receivedAt }) => receivedAt))
    return live.length === 0 ? counts : { ...counts, oldest }
  }

  claim(): Row | undefined {
    const rows = [...this.memory.values()]
    return rows.find((row) => this.isDue(row) && !this.isHeldBack(row, rows))
  }

  isDue({ state, dueAt = 0 }: Row): boolean {
    return state === 'waiting' || (state === 'delayed' && dueAt <= Date.now())
  }

  isHeldBack(row: Row, rows: readonly Row[]): boolean {
    if (row.order === undefined) return false
    const ofKey = rows.filter(({ order }) => order?.key === row.order?.key)
    return (
      ofKey.some(({ state }) => state === 'running') ||
      ofKey.slice(0, ofKey.indexOf(row)).some((before) => this.holds(before))
    )
  }

  holds({ state, failedAt = Number.POSITIVE_INFINITY, order }: Row): boolean {
    return state !== 'dead' && Date.now() < failedAt + (order?.maxHoldMs ?? 0)
  }

  giveBack(row: Row): void {
    row.state = 'waiting'
    row.attempts--
    row.holder = undefined
  }

  carryOut(row: Row, verdict: AttemptResult): void {
    if (verdict.state === 'completed') {
      this.memory.delete(row.id)
      return
    }
    row.holder = undefined
    row.state = verdict.state === 'dead' ? 'dead' : 'delayed'
    row.dueAt = 'delayMs' in verdict ? Date.now() + verdict.delayMs : undefined
    if (verdict.state === 'postponed') row.attempts--
    else this.#fail(row, verdict.failure)
  }

  isStale(row: Row, holder: object): boolean {
    return this.memory.get(row.id) !== row || row.holder !== holder
  }

  attemptAt(row: Row, holder: object): Attempt {
    const complete = (transaction: unknown): boolean | undefined => {
      if (!(transaction instanceof MemoryTransaction)) return undefined
      if (this.isStale(row, holder)) return false
      transaction.writes.push(() => this.memory.delete(row.id))
      return true
    }
    return { id: row.id, number: row.attempts, complete }
  }

  #fail(row: Row, failure: Failure): void {
    row.failure = failure
    row.failedAt ??= Date.now()
  }

  #look(): void {
    while (this.#worker !== undefined && this.running.size < this.#worker.concurrency) {
      const row = this.claim()
      if (row === undefined) return
      void this.#run(row, this.#worker.process)
    }
  }

  async #run(row: Row, process: Process): Promise<void> {
    const holder = {}
    Object.assign(row, { state: 'running', holder, dueAt: undefined, attempts: row.attempts + 1 })
    this.running.set(holder, row)
    const verdict = await process(deliveryIn(row), this.attemptAt(row, holder))
    if (!this.isStale(row, holder)) this.carryOut(row, verdict)
    this.running.delete(holder)
  }
}

/** What `begin` of the contract gives for memory inboxes. */
export class MemoryTransaction {
  readonly writes: (() => void)[] = []
  readonly transaction = this
  commit = (): void => {
    for (const write of this.writes) write()
  }
  rollback = (): void => {
    this.writes.length = 0
  }
}

/** What a lease that ran out comes to: the delivery waits, and its attempt counts. */
export function loseLease({ memory }: MemoryInbox, id: string): void {
  const row = memory.get(id)
  if (row?.state === 'running') Object.assign(row, { state: 'waiting', holder: undefined })
}

export function entryOf(row: Row): StoredEntry {
  const { id, state, attempts, dueAt, failure } = row
  return {
    id,
    state,
    attempts,
    ...(dueAt !== undefined && { dueAt }),
    ...(failure !== undefined && { failure }),
    delivery: deliveryIn(row),
  }
}

function deliveryIn({ stored }: Row): unknown {
  try {
    return JSON.parse(stored)
  } catch {
    return stored
  }
}

function fits({ state, delivery }: StoredEntry, filter: EntryFilter): boolean {
  const { type, receivedAt } = (delivery ?? {}) as Partial<StoredDelivery>
  return (
    (filter.state === undefined || filter.state === state) &&
    (filter.type === undefined || filter.type === type) &&
    (filter.since === undefined || Number(receivedAt) >= filter.since.getTime())
  )
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
