import type { BullmqQueue } from './bullmq-types.ts'

/** What the names of our workers are, or begin with: so others can tell them apart. */
const ours = 'ringhook'

/** The name of a worker of ours, with the one that the user gave it. */
export function workerName(name: string | undefined): string {
  return name === undefined ? ours : `${ours}:${name}`
}

/**
 * Counts the workers on a queue that are not ringhook's: they take deliveries and run them as they
 * see fit. By the names of their connections, as `CLIENT LIST` has them; where that is forbidden, or
 * names cannot be set, nothing is found.
 */
export async function countForeignWorkers(queue: BullmqQueue): Promise<number> {
  const workers = (await queue.getWorkers?.()) ?? []
  return workers.filter(({ rawname }) => rawname !== undefined && !isOurs(rawname)).length
}

/** BullMQ names a connection by prefix, queue and `:w:` with the name of the worker, if it has one. */
function isOurs(rawname: string): boolean {
  const name = /:w:(.*)$/s.exec(rawname)?.[1]
  return name === ours || name?.startsWith(`${ours}:`) === true
}
