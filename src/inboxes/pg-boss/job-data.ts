import { createHash } from 'node:crypto'
import { isRecord } from '../../core/checks.ts'
import type { Failure, PutOptions } from '../inbox.ts'
import type { PgBossAttempt, PgBossJob } from './pg-boss-types.ts'

/** What the inbox keeps in the data of a job. */
export interface Kept {
  /** The key that the delivery was put under. */
  readonly key: string
  readonly delivery: unknown
  readonly order?: PutOptions['order']
  /** To be added to what pg-boss counts, which is every claim since it was put. */
  readonly offset: number
  readonly failure?: Failure
  /** When it failed first, in ms since 1970: from then on it may hold back others for `maxHoldMs`. */
  readonly failedAt?: number
  /** How often it has let go of its place in the order. */
  readonly moves: number
}

/** The data of a job whose delivery has let go of its place, and goes on as the job `moves`. */
export interface Place {
  readonly key: string
  readonly movedTo: number
}

/** A delivery that this worker has claimed. */
export interface Claimed {
  readonly job: PgBossJob
  readonly kept: Kept
  /** Which attempt this is, from 1. */
  readonly number: number
  /** In ms since 1970, by this machine. */
  readonly claimedAt: number
  /** The length of its body in the form in which it is stored. */
  readonly bytes: number
  /** Whether its handler was called. */
  isBegun: boolean
  /** Whether its completion is being written with others. */
  isSettling: boolean
  /** Whether a transaction of the user's has, or had, its row. */
  isCompleting: boolean
}

/**
 * The id of a delivery's job. Whoever knows the key knows it, so that a repeat meets it whatever has
 * become of it. A delivery that lets go of its place in the order goes on as another job, with an
 * id of its own: pg-boss counts its claims from 0 again, and a worker that lost the first job must
 * not be taken for one that has the second.
 */
export function jobIdOf(key: string, moves = 0): string {
  // No key has a line end.
  const text = moves === 0 ? key : `${key}\n${moves}`
  const hex = createHash('sha256').update(text).digest('hex')
  // Version 8 of RFC 9562: a UUID that an application makes in its own way.
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(12, 15)}`,
    `a${hex.slice(15, 18)}`,
  ]
  return [...parts, hex.slice(18, 30)].join('-')
}

export function claimedOf(job: PgBossJob, claimedAt: number): Claimed {
  const kept = keptOf(job)
  const number = Math.max(1, job.retryCount + 1 + kept.offset)
  const flags = { isBegun: false, isSettling: false, isCompleting: false }
  return { job, kept, number, claimedAt, bytes: bytesOf(kept.delivery), ...flags }
}

/** The claim, as pg-boss takes it: what is decided under it has no effect once it is lost. */
export function attemptOf({ job }: Claimed): PgBossAttempt {
  return { id: job.id, retryCount: job.retryCount }
}

/** Whether a delivery is in no other job than the one that was claimed. */
export function isOneJob({ job, kept }: Claimed): boolean {
  return placeOf(job, kept) === undefined
}

/** The job that keeps the place of a delivery that has let go of it, and its repeats away. */
export function placeOf({ id, singletonKey }: JobIdentity, { key }: Kept): string | undefined {
  return singletonKey === id && jobIdOf(key) !== id ? jobIdOf(key) : undefined
}

/** Returns the data of a job, without what is at its default. */
export function dataOf(kept: Kept | Place): object {
  if ('movedTo' in kept) return kept
  const { offset, moves, ...rest } = kept
  return { ...rest, ...(offset !== 0 && { offset }), ...(moves !== 0 && { moves }) }
}

/** What is known of a job whatever is in its data. */
export interface JobIdentity {
  readonly id: string
  readonly singletonKey: string | null
}

/** Reads what is in a job, which somebody may have changed. */
export function keptOf(job: JobIdentity & { readonly data: unknown }): Kept {
  const data: Readonly<Record<string, unknown>> = isRecord(job.data) ? job.data : {}
  const { order, offset, failure, failedAt, moves } = data
  return {
    key: keyOf(data['key'], job),
    delivery: 'delivery' in data ? data['delivery'] : job.data,
    ...(isOrder(order) && { order }),
    offset: isWhole(offset) ? offset : 0,
    ...(isFailure(failure) && { failure }),
    ...(isWhole(failedAt) && { failedAt }),
    moves: isWhole(moves) && moves >= 0 ? moves : 0,
  }
}

/** Where a delivery has gone to that let go of its place: the number of its move. */
export function movedTo(data: unknown): number | undefined {
  const to = isRecord(data) ? data['movedTo'] : undefined
  return isWhole(to) && to > 0 ? to : undefined
}

/** A key that somebody changed in the data is known by the id, which is made from it. */
function keyOf(key: unknown, { id, singletonKey }: JobIdentity): string {
  if (typeof key === 'string' && (jobIdOf(key) === id || singletonKey === id)) return key
  return singletonKey !== null && jobIdOf(singletonKey) === id ? singletonKey : id
}

function bytesOf(delivery: unknown): number {
  const body = isRecord(delivery) ? delivery['body'] : undefined
  return typeof body === 'string' ? body.length : 0
}

function isOrder(value: unknown): value is NonNullable<PutOptions['order']> {
  return (
    isRecord(value) && typeof value['key'] === 'string' && typeof value['maxHoldMs'] === 'number'
  )
}

function isFailure(value: unknown): value is Failure {
  if (!isRecord(value)) return false
  const { code, reason, at } = value
  return typeof code === 'string' && typeof reason === 'string' && typeof at === 'number'
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value)
}
