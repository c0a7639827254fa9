import { findJob, jobBy, type KnownJob } from './entries.ts'
import { type Kept, keptOf, placeOf } from './job-data.ts'
import type { Queue } from './queue.ts'

/** Makes a dead letter wait again as if it was new, at its place in the order. `jobs`: in a transaction. */
export async function replayIn(jobs: Queue, id: string): Promise<boolean> {
  const job = await findJob(jobs, id)
  if (job?.state !== 'dead' || !(await jobs.resume(job.id))) return false
  const { key, delivery, order, moves } = keptOf(job)
  const fresh = { key, delivery, ...(order !== undefined && { order }), moves }
  const place = await placeIn(jobs, job)
  if (place === undefined) return await restart(jobs, job, fresh)
  await jobs.remove(job.id)
  return await restart(jobs, place, fresh)
}

/** Removes a delivery that does not run. `jobs`: in a transaction. */
export async function discardIn(jobs: Queue, id: string): Promise<boolean> {
  const job = await findJob(jobs, id)
  if (job === undefined || job.state === 'running') return false
  // Locks the job, if nobody has claimed it meanwhile: pg-boss would delete it under its worker.
  const isIdle =
    job.state === 'dead' ? await jobs.resume(job.id) : await jobs.change(job.id, undefined)
  if (!isIdle) return false
  await jobs.remove(job.id)
  const place = placeOf(job, keptOf(job))
  if (place !== undefined) await jobs.remove(place)
  return true
}

async function placeIn(jobs: Queue, job: KnownJob): Promise<KnownJob | undefined> {
  const id = placeOf(job, keptOf(job))
  const place = id === undefined ? undefined : await jobBy(jobs, id)
  return place !== undefined && (await jobs.resume(place.id)) ? place : undefined
}

function restart(jobs: Queue, { id, claims }: KnownJob, fresh: Omit<Kept, 'offset'>) {
  return jobs.change(id, { ...fresh, offset: -claims }, { delayMs: 0, isKept: false })
}
