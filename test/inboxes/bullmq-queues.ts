import { randomUUID } from 'node:crypto'
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import type { Inbox } from 'ringhook'
import { type BullmqWorkerSettings, bullmqInbox } from 'ringhook/inboxes/bullmq'

/** Where a queue is. */
export interface Place {
  readonly url: string
  readonly name: string
  readonly prefix: string
}

/** An inbox, and what it is made of. */
export interface Opened {
  readonly place: Place
  readonly inbox: Inbox
  readonly queue: Queue
  /** What the names of its connections have in common. */
  readonly tag: string
}

/** Looks soon for deliveries of workers that died. */
export const quick: BullmqWorkerSettings = { stalledInterval: 50 }

/** Gives the place of a queue that nobody uses. */
export function newPlace(url: string): Place {
  return { url, name: `inbox-${randomUUID()}`, prefix: 'ringhook-test' }
}

/** Opens an inbox on a queue. */
export function openInbox(place: Place, worker: BullmqWorkerSettings = quick): Opened {
  const { url, name, prefix } = place
  const tag = randomUUID()
  const queue = new Queue(name, { connection: connectionTo(url, tag), prefix })
  queue.on('error', () => {
    // The inbox says what went wrong.
  })
  const inbox = bullmqInbox(queue, { Worker, worker: { name: tag, ...worker } })
  return { place, inbox, queue, tag }
}

/** The options of a connection, as the page tells people to set them. */
function connectionTo(url: string, connectionName: string) {
  return { url, connectionName, enableOfflineQueue: false, maxRetriesPerRequest: 1 }
}

/** Does something with a connection that shares nothing with what is tested. */
export async function withRaw<Result>(
  url: string,
  work: (raw: Redis) => Promise<Result>,
): Promise<Result> {
  const raw = new Redis(url)
  try {
    return await work(raw)
  } finally {
    raw.disconnect()
  }
}

/** The key of a delivery's job in Redis. */
export function jobKeyOf({ queue }: Opened, key: string): string {
  return queue.toKey(`ringhook-${key}`)
}

/** Removes all that queues have left. */
export async function removeQueue({ url, name, prefix }: Place): Promise<void> {
  await withRaw(url, async (raw) => {
    const keys = await raw.keys(`${prefix}:${name}:*`)
    if (keys.length > 0) await raw.unlink(...keys)
  })
}

/** Cuts the connections of an inbox. */
export async function cutConnections({ place, tag }: Opened): Promise<void> {
  await withRaw(place.url, async (raw) => {
    const list = String(await raw.client('LIST'))
    for (const line of list.split('\n').filter((each) => each.includes(tag))) {
      await raw.client('KILL', 'ID', /\bid=(\d+)/.exec(line)?.[1] ?? '')
    }
  })
}
