import type { Attempt, AttemptResult, Inbox, StoredDelivery } from '../../inboxes/inbox.ts'

/** One run of a delivery by a worker. */
export interface Run {
  readonly id: string
  readonly number: number
  readonly delivery: unknown
  readonly attempt: Attempt
  /** In ms, by the clock of {@link performance}. */
  readonly startedAt: number
  endedAt?: number
}

/** Decides the result of a run. */
export type Decide = (run: Run) => AttemptResult | Promise<AttemptResult>

/** The type of the deliveries that show how far a worker has got. */
export const sentinelType = 'contract.sentinel'

/** A worker of an inbox that records everything it runs. */
export class RecordingWorker {
  /** In the order in which they started, without sentinels. */
  readonly runs: Run[] = []
  readonly errors: unknown[] = []
  /** The ids of the sentinels that ran. */
  readonly sentinels = new Set<string>()
  /** The highest number of simultaneous runs. */
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

  /** Replaces `decide`, even for runs that are still waiting. */
  change(decide: Decide): void {
    this.#decide = decide
  }

  /** Makes every run wait before it decides. */
  wait(until: Promise<void>): void {
    this.#until = until
  }

  /** The runs that haven't ended. */
  get running(): Run[] {
    return this.runs.filter(({ endedAt }) => endedAt === undefined)
  }

  /** The ids of all runs, in order. */
  get ids(): string[] {
    return this.runs.map(({ id }) => id)
  }

  /** The attempt numbers of a delivery, in order. */
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
