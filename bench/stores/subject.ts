import { randomBytes, randomUUID } from 'node:crypto'
import type { HeldClaim, IdempotencyStore } from '../../src/stores/store.ts'

/** A store with what it is measured against. */
export interface Subject {
  /** The cheapest honest statement that claims a key, as the tables call it. */
  readonly floor: string
  /** Whether there is a server, which operations make round trips to. */
  readonly isRemote: boolean
  /** `url`: of the server, or a folder for files. */
  connect(url: string): Promise<Connection>
}

/** A client, or a pool: the store and its floor share it. */
export interface Connection {
  /** Makes a place that is empty. */
  open(): Promise<Place>
  /** Removes every place. */
  close(): Promise<void>
}

/** A table, a prefix or a file: made by the store's own migration, whoever writes to it. */
export interface Place {
  readonly store: IdempotencyStore
  /** Claims a key with the floor's statement. `false`: somebody has it. */
  insert(key: string, owner: string): Promise<boolean>
  /** Empties it. */
  clear(): Promise<void>
  /** How much room its events take, indexes included. */
  bytes(): Promise<number>
}

export const leaseMs = 30_000
const retentionMs = 3 * 24 * 60 * 60_000
/** As the core writes one: a CRC in base 36. */
export const fingerprint = '1gk0z5h'

const ownerPrefix = `${randomUUID()}.`
let owners = 0

/** An owner as the core makes them: a number of this process. */
function nextOwner(): string {
  return `${ownerPrefix}${owners++}`
}

const keys: string[] = []

/** Makes keys that nobody has had before, ahead of what is measured. */
export function prepareKeys(count: number): void {
  while (keys.length < count) keys.push(newKey())
}

/** Forgets the keys that were made ahead. */
export function dropKeys(): void {
  keys.length = 0
}

/** A key of the form that the core makes: 64 hex digits. */
export function nextKey(): string {
  return keys.pop() ?? newKey()
}

function newKey(): string {
  return randomBytes(32).toString('hex')
}

/** A name for a place that no other run has. */
export function placeName(): string {
  return `ringhook_bench_${randomBytes(6).toString('hex')}`
}

export async function claim(store: IdempotencyStore, key: string): Promise<HeldClaim> {
  const claimed = await store.claim(key, { owner: nextOwner(), leaseMs, fingerprint })
  if (claimed.state !== 'claimed') throw new Error(`a new key is ${claimed.state}`)
  return claimed
}

/** What the store does for a delivery that runs once: a claim, and the mark. */
export async function claimAndComplete(store: IdempotencyStore, key: string): Promise<void> {
  const held = await claim(store, key)
  if (!(await store.complete(held, { retentionMs }))) throw new Error('a claim was lost')
}

export async function insert(place: Place, key: string): Promise<void> {
  if (!(await place.insert(key, nextOwner()))) throw new Error('a new key is there already')
}
