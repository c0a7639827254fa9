import { serverTimeoutMs } from '../../databases/server-timeout.ts'
import type { BullmqQueue, Client, Job } from './bullmq-types.ts'
import { findJob, stateOf } from './entries.ts'
import { runScript } from './scripts.ts'

/** Makes a dead letter wait again, with all its attempts. `false`: there is none with this id. */
export async function replayJob(queue: BullmqQueue, client: Client, id: string): Promise<boolean> {
  const found = await findJob(queue, id)
  if (found?.state !== 'dead') return false
  const job = await readableJob(queue, client, found.jobId)
  if (job === undefined) return false
  const keys = [queue.toKey('failed'), queue.toKey(found.jobId)]
  await runScript(client, 'resetAttempts', [...keys, found.jobId])
  try {
    await job.retry('failed')
    return true
  } catch (error) {
    // Another replay was faster.
    if ((await stateOf(queue, found.jobId)) !== 'dead') return false
    throw error
  }
}

/** Removes a job that isn't running. `false`: there is none with this id. */
export async function discardJob(queue: BullmqQueue, client: Client, id: string): Promise<boolean> {
  const found = await findJob(queue, id)
  if (found === undefined || found.state === 'running') return false
  const jobKey = queue.toKey(found.jobId)
  const mark = `${jobKey}:withdrawn`
  if ((await runScript(client, 'withdraw', [jobKey, mark, serverTimeoutMs])) !== 1) return false
  // Not if a worker was faster and has its lock.
  const removed = await queue.remove(found.jobId)
  await client.del(mark)
  return removed === 1
}

/** Returns a job, after repairing data that isn't JSON, for which BullMQ would throw. */
async function readableJob(
  queue: BullmqQueue,
  client: Client,
  jobId: string,
): Promise<Job | undefined> {
  try {
    return (await queue.getJob(jobId)) as Job | undefined
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    const key = queue.toKey(jobId)
    const [data] = await client.hmget(key, 'data')
    await client.hset(key, { data: JSON.stringify(data) })
    return (await queue.getJob(jobId)) as Job | undefined
  }
}
