import { RinghookError } from '../../core/errors.ts'
import { isMethod, whatWasGiven } from '../../databases/clients.ts'
import type { BullmqQueue, BullmqWorkerSettings } from './bullmq-types.ts'

/** The settings of a worker that do not change what becomes of a job. */
export const workerSettings: readonly (keyof BullmqWorkerSettings)[] = [
  'connection',
  'lockDuration',
  'stalledInterval',
  'drainDelay',
  'runRetryDelay',
  'name',
  'limiter',
  'metrics',
  'telemetry',
]

/** What a queue has, and a worker, a client or the queue of another library has not. */
const queueMethods = [
  'toKey',
  'on',
  'add',
  'remove',
  'getJob',
  'getJobState',
  'getJobCounts',
] as const

/** @throws {RinghookError} RINGHOOK_INBOX_INVALID */
export function checkQueue(queue: BullmqQueue): void {
  const isQueue =
    queueMethods.every((name) => isMethod(queue, name)) &&
    typeof queue.name === 'string' &&
    typeof queue.opts === 'object'
  if (isQueue) return
  throw new RinghookError(
    'RINGHOOK_INBOX_INVALID',
    `bullmqInbox() was given ${whatWasGiven(queue)} Give it a Queue of BullMQ, as in bullmqInbox(queue, { Worker }), and not its name or its connection.`,
  )
}

/** @throws {RinghookError} RINGHOOK_INBOX_INVALID */
export function checkWorker(Worker: unknown): void {
  const { prototype } = (Worker ?? {}) as { readonly prototype?: Partial<Record<string, unknown>> }
  if (typeof Worker === 'function' && typeof prototype?.['getNextJob'] === 'function') return
  throw new RinghookError(
    'RINGHOOK_INBOX_INVALID',
    'bullmqInbox() was given no class Worker of BullMQ. Import it, and pass the class itself: bullmqInbox(queue, { Worker }).',
  )
}
