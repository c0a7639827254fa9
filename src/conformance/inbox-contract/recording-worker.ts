import type { Attempt, AttemptResult, Inbox, StoredDelivery } from '../../inboxes/inbox.ts'

/** What a worker ran. */
export interface Run {
  readonly id: string
  readonly number: number
  readonly delivery: unknown
  readonly attempt: Attempt
  /** In ms, by the clock of {@link performance}. */
  readonly startedAt: number
  endedAt?: number
}

/** What a rule has to say to a run. */
export type Decide = (run: Run) => AttemptResult | Promise<AttemptResult>

/** The type of deliveries that are put to see that a worker has come so far. */
export const sentinelType = 'contract.sentinel'

/** A worker of an inbox, with a book of all that it ran. */
export class RecordingWorker {
  /** In the order in which they began, without the sentinels. */
  readonly runs: Run[] = []
  readonly errors: unknown[] = []
  /** The ids of sentinels that were run. */
  readonly sentinels = new Set<string>()
  /** How many ran at one time at most. */
  most = 0
  #decide: Decide
  #until: Promise<void> | undefined

  constructor(decide: Decide = () => ({ state: 'completed' })) {
    this.#decide = decide
  }

  async start(inbox: Inbox, concurrency: number): Promise<void> {
    await inbox.start((delivery, attempt) => this.#process(delivery, attempt), {
      concurrency,
      onError: (error) => void this.errors.push(error),
    })
  }

  /** Has it decide otherwise, also about what runs and still waits. */
  change(decide: Decide): void {
    this.#decide = decide
  }

  /** Has it wait with all that it decides. */
  wait(until: Promise<void>): void {
    this.#until = until
  }

  /** What it runs at present. */
  get running(): Run[] {
    return this.runs.filter(({ endedAt }) => endedAt === undefined)
  }

  /** The ids of what it ran. */
  get ids(): string[] {
    return this.runs.map(({ id }) => id)
  }

  /** The numbers of the attempts at a delivery. */
  numbersOf({ key }: StoredDelivery): number[] {
    return this.runs.filter(({ id }) => id === key).map(({ number }) => number)
  }

  async #process(delivery: unknown, attempt: Attempt): Promise<AttemptResult> {
    if (isSentinel(delivery)) {
      this.sentinels.add(attempt.id)
      return { state: 'completed' }
    }
    const { id, number } = attempt
    const run: Run = { id, number, delivery, attempt, startedAt: performance.now() }
    this.runs.push(run)
    this.most = Math.max(this.most, this.running.length)
    try {
      await this.#until
      return await this.#decide(run)
    } finally {
      run.endedAt = performance.now()
    }
  }
}

function isSentinel(delivery: unknown): boolean {
  return (delivery as StoredDelivery | null | undefined)?.type === sentinelType
}
