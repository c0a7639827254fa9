import { randomBytes } from 'node:crypto'
import type { IdempotencyStore, Inbox, StoredDelivery } from '../../src/index.ts'

/** An inbox with what it is measured against: a commit of the same by the engine alone. */
export interface Place {
  /** The engine's own call, as the tables name it. */
  readonly floor: string
  readonly inbox: Inbox
  readonly store: IdempotencyStore
  commit(delivery: StoredDelivery): Promise<unknown>
  /** Empties what the floor has written. */
  clear(): Promise<void>
  /** Removes everything. */
  close(): Promise<void>
}

/** Opens a place. `url`: of the server, or a folder for files. */
export type Open = (url: string) => Promise<Place>

/** A name that no other run has. */
export function placeName(): string {
  return `bench_${randomBytes(6).toString('hex')}`
}
