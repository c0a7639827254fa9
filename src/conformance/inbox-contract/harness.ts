import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type {
  AttemptResult,
  Failure,
  Inbox,
  PutOptions,
  StoredDelivery,
} from '../../inboxes/inbox.ts'
import { pause } from '../../testing/pause.ts'
import { type Decide, RecordingWorker, sentinelType } from './recording-worker.ts'

/** One rule of the contract: a test on an empty inbox. */
export type Rule = (name: string, run: (harness: Harness) => Promise<void>) => void

/** How a harness gets its inboxes and how long it waits. */
export interface HarnessOptions {
  create(): Inbox | Promise<Inbox>
  reopen(inbox: Inbox): Inbox | Promise<Inbox>
  close(inbox: Inbox): unknown
  readonly patienceMs: number
}

/** A delay that outlasts every rule, in ms. */
export const hour = 60 * 60_000

export const completed: AttemptResult = { state: 'completed' }

let received = 0

/** Returns a unique delivery, received after all earlier ones. */
export function newDelivery(changes: Partial<StoredDelivery> = {}): StoredDelivery {
  const name = `event-${received}`
  return {
    version: 1,
    key: randomBytes(32).toString('hex'),
    provider: 'contract',
    namespace: '',
    type: 'call.completed',
    sentAs: 'call.completed',
    eventId: name,
    receivedAt: Date.now() - hour + received++,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify({ name })).toString('base64'),
    ...changes,
  }
}

/** Returns `count` unique deliveries, received one after another. */
export function newDeliveries(count: number, changes?: Partial<StoredDelivery>): StoredDelivery[] {
  return Array.from({ length: count }, () => newDelivery(changes))
}

/** Returns the ids of deliveries in an inbox. */
export function idsOf(deliveries: readonly StoredDelivery[]): string[] {
  return deliveries.map(({ key }) => key)
}

export function failureNow(reason = 'the handler failed'): Failure {
  return { code: 'RINGHOOK_HANDLER_FAILED', reason, at: Date.now() }
}

export function retry(delayMs: number, failure = failureNow()): AttemptResult {
  return { state: 'retry', delayMs, failure }
}

export function dead(failure = failureNow()): AttemptResult {
  return { state: 'dead', failure }
}

export function postponed(delayMs: number): AttemptResult {
  return { state: 'postponed', delayMs }
}

/** What a rule runs on: an inbox, others on the same data, and their workers. */
export class Harness {
  /** Empty, and without a worker. */
  readonly inbox: Inbox
  readonly #options: HarnessOptions
  readonly #inboxes: Inbox[]
  readonly #workers: RecordingWorker[] = []
  #allowErrors = false

  private constructor(inbox: Inbox, options: HarnessOptions) {
    this.inbox = inbox
    this.#inboxes = [inbox]
    this.#options = options
  }

  /** Runs a rule, then stops and closes what it used. */
  static async try(
    options: HarnessOptions,
    run: (harness: Harness) => Promise<void>,
  ): Promise<void> {
    const harness = new Harness(await options.create(), options)
    try {
      await run(harness)
      await harness.#stop()
      if (!harness.#allowErrors)
        assert.deepEqual(harness.#errors(), [], 'onError received these errors')
    } finally {
      await harness.#close()
    }
  }

  /** Returns another inbox on the same data, as another process would have. */
  async reopen(): Promise<Inbox> {
    const inbox = await this.#options.reopen(this.inbox)
    this.#inboxes.push(inbox)
    return inbox
  }

  /** Starts the worker of an inbox. Without `decide` it completes everything. */
  async startWorker(inbox: Inbox, decide?: Decide, concurrency = 10): Promise<RecordingWorker> {
    const worker = new RecordingWorker(decide)
    this.#workers.push(worker)
    await worker.start(inbox, concurrency)
    return worker
  }

  /** Puts new deliveries one after another. */
  async put(
    deliveries: StoredDelivery | readonly StoredDelivery[],
    order?: PutOptions['order'],
    inbox = this.inbox,
  ): Promise<void> {
    for (const delivery of [deliveries].flat() as StoredDelivery[]) {
      const options = { key: delivery.key, ...(order !== undefined && { order }) }
      assert.equal(await inbox.put(delivery, options), 'accepted')
    }
  }

  /** Polls until a condition holds, and fails the rule after `patienceMs`. */
  async until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const giveUpAt = performance.now() + this.#options.patienceMs
    while (!(await holds())) {
      if (performance.now() > giveUpAt) assert.fail(`timed out waiting until ${what}`)
      await pause(5)
    }
  }

  /** Waits until nothing in an inbox is left to run. */
  async untilIdle(inbox = this.inbox): Promise<void> {
    await this.until('all deliveries are completed or dead', async () => {
      const { waiting, running, delayed } = await inbox.stats()
      return waiting + running + delayed === 0
    })
  }

  /**
   * Puts deliveries behind all others and waits until a worker has completed them, so that anything
   * else could have run too. Used in place of a sleep where nothing should happen.
   */
  async runSentinels(): Promise<void> {
    for (let round = 0; round < 3; round++) {
      const sentinel = newDelivery({ type: sentinelType })
      await this.put(sentinel)
      await this.until('a sentinel has run', () =>
        this.#workers.some((worker) => worker.sentinels.has(sentinel.key)),
      )
      await this.until('a sentinel is completed', async () => {
        return (await this.inbox.entry(sentinel.key)) === undefined
      })
    }
  }

  /** Allows calls of onError, for rules in which workers lose deliveries or connections. */
  allowErrors(): void {
    this.#allowErrors = true
  }

  #errors(): unknown[] {
    return this.#workers.flatMap(({ errors }) => errors)
  }

  async #stop(): Promise<void> {
    for (const inbox of this.#inboxes) await inbox.stop({ drainMs: 0 })
  }

  async #close(): Promise<void> {
    // A failed rule may leave a worker that can't stop. Report the rule's error, not this one.
    await Promise.allSettled(this.#inboxes.map((inbox) => inbox.stop({ drainMs: 0 })))
    for (const inbox of this.#inboxes) await this.#options.close(inbox)
  }
}
