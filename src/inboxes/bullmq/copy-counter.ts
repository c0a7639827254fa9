import { detached } from '../../core/async-context.ts'
import type { BullmqQueue, Client } from './bullmq-types.ts'
import { runScript } from './scripts.ts'

/** How many lines the log of a job keeps. */
const maxLogLines = 20

interface Waiting {
  readonly jobId: string
  resolve(copies: number): void
  reject(error: unknown): void
}

/**
 * Counts the copies of a job, to tell the first from the others: BullMQ keeps one job of an id, and
 * reports the same for each `add`. Each copy leaves a line in the job's log, and Redis returns how
 * many there are. The log may be there before its job, and is removed with it.
 *
 * What is counted in the same turn is sent as one command: one for each would make a put cost half as
 * much again as the job itself.
 */
export class CopyCounter {
  readonly #queue: BullmqQueue
  #waiting: Waiting[] = []

  constructor(queue: BullmqQueue) {
    this.#queue = queue
  }

  /** Returns how many copies there are with this one. Sent before what the caller adds next. */
  add(client: Client, jobId: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ jobId, resolve, reject })
      if (this.#waiting.length > 1) return
      // It counts for several requests, and runs in the async context of none of them.
      detached(() => queueMicrotask(() => this.#send(client)))
    })
  }

  #send(client: Client): void {
    const sent = this.#waiting
    this.#waiting = []
    const jobIds = sent.map(({ jobId }) => jobId)
    this.#count(client, jobIds).then(
      (copies) => {
        for (const [index, { resolve }] of sent.entries()) resolve(Number(copies[index]))
      },
      (error: unknown) => {
        for (const { reject } of sent) reject(error)
      },
    )
  }

  async #count(client: Client, jobIds: readonly string[]): Promise<readonly unknown[]> {
    const [jobId] = jobIds
    // A method of ioredis's own costs less than a script.
    if (jobIds.length === 1 && client.rpush !== undefined) {
      const log = this.#queue.toKey(`${jobId}:logs`)
      const copies = await client.rpush(log, 'received')
      if (copies > maxLogLines) await client.ltrim(log, 0, maxLogLines - 1)
      return [copies]
    }
    const values = [this.#queue.toKey(''), maxLogLines, ...jobIds]
    return (await runScript(client, 'countCopies', values)) as readonly unknown[]
  }
}
