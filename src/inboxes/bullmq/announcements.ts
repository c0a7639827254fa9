import { detached } from '../../core/async-context.ts'
import type { BullmqQueue, Client } from './library.ts'
import { runScript } from './scripts.ts'

/** How many copies of a delivery are noted in its job's log. */
const longestLog = 20

interface Announcement {
  readonly jobId: string
  resolve(copies: number): void
  reject(error: unknown): void
}

/**
 * Says of jobs that are about to be added whether they are the first of their id, which BullMQ tells
 * nobody. Each copy leaves a line in the job's log; Redis says how many there are. The log may be
 * there before its job, and goes with it.
 *
 * What is announced at the same moment is sent as one: a command for each would make a put cost half
 * as much again as the job itself.
 */
export class Announcements {
  readonly #queue: BullmqQueue
  #waiting: Announcement[] = []

  constructor(queue: BullmqQueue) {
    this.#queue = queue
  }

  /** How many copies of a job were announced, with this one. Sent before what the caller adds next. */
  add(client: Client, jobId: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ jobId, resolve, reject })
      if (this.#waiting.length > 1) return
      // It announces for several requests, and in the async context of none of them.
      detached(() => queueMicrotask(() => this.#send(client)))
    })
  }

  #send(client: Client): void {
    const sent = this.#waiting
    this.#waiting = []
    const jobIds = sent.map(({ jobId }) => jobId)
    this.#announce(client, jobIds).then(
      (copies) => {
        for (const [index, { resolve }] of sent.entries()) resolve(Number(copies[index]))
      },
      (error: unknown) => {
        for (const { reject } of sent) reject(error)
      },
    )
  }

  async #announce(client: Client, jobIds: readonly string[]): Promise<readonly unknown[]> {
    const [jobId] = jobIds
    // A method of ioredis's own costs less than a script.
    if (jobIds.length === 1 && client.rpush !== undefined) {
      const log = this.#queue.toKey(`${jobId}:logs`)
      const copies = await client.rpush(log, 'received')
      if (copies > longestLog) await client.ltrim(log, 0, longestLog - 1)
      return [copies]
    }
    const copies = await runScript(client, 'announce', [
      this.#queue.toKey(''),
      longestLog,
      ...jobIds,
    ])
    return copies as readonly unknown[]
  }
}
