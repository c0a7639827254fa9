import { setTimeout as pause } from 'node:timers/promises'
import Database from 'better-sqlite3'
import type { Place } from './backends/backend.ts'
import { storeFile } from './backends/sqlite.ts'
import { leaseMs } from './endpoint.ts'
import type { Journal } from './journal.ts'
import { type FaultyProxy, type NetworkFault, networkFaults } from './proxy.ts'
import type { Rng } from './rng.ts'
import type { WorkerPool } from './worker-pool.ts'

/** What the faults need. */
export interface FaultStage {
  readonly workers: WorkerPool
  readonly journal: Journal
  readonly proxies: readonly FaultyProxy[]
  /** Aborts when there have been enough. */
  readonly signal: AbortSignal
}

/** How often workers are struck, and for how long they are halted: the least and the most. */
export interface Pace {
  readonly restMs: readonly [number, number]
  readonly haltMs: readonly [number, number]
}

/** Kills and stops workers at random until it is told to end. Nobody is left stopped. */
export async function strikeWorkers(
  { workers, signal }: FaultStage,
  rng: Rng,
  { restMs, haltMs }: Pace,
): Promise<void> {
  const halts: Promise<void>[] = []
  while (!signal.aborted) {
    await pause(rng.between(...restMs))
    const slot = rng.between(0, workers.slots - 1)
    if (rng.chance(0.65)) await workers.kill(slot)
    else halts.push(halt(workers, slot, rng.between(...haltMs)))
  }
  await Promise.all(halts)
}

async function halt(workers: WorkerPool, slot: number, ms: number): Promise<void> {
  await workers.stop(slot)
  await pause(ms)
  await workers.continue(slot)
}

/** Puts the connections to the store out of order by turns, one worker's or everybody's. */
export async function strikeNetwork(stage: FaultStage, rng: Rng): Promise<void> {
  const { journal, proxies, signal } = stage
  for (let turn = 0; !signal.aborted; turn++) {
    await pause(rng.between(150, 500))
    const fault = networkFaults[turn % networkFaults.length] ?? 'cut'
    // A worker that is cut off alone is taken over by the others; when all are, nobody is claimed.
    const alone = rng.between(0, proxies.length - 1)
    const slots = rng.chance(0.6) ? [alone] : [...proxies.keys()]
    const ms = rng.between(150, 2 * leaseMs)
    await journal.append({ kind: 'fault', fault, slots, ms })
    for (const slot of slots) proxies[slot]?.begin(fault, rng.between(30, 400))
    await pause(ms)
    for (const proxy of proxies) proxy.heal()
  }
}

/** What strikes in one round. */
export interface Round {
  /** The slot whose worker is halted, and for how long. */
  readonly halted: number
  readonly haltMs: number
  /** The slots whose workers are killed meanwhile, one after another. */
  readonly killed: readonly number[]
  /** What follows the faults of the network. */
  readonly last: () => Promise<void>
}

/**
 * Strikes with each fault once, in an order that is always the same. The network fails for one
 * worker, and then for all.
 */
export async function strikeOnce(
  stage: FaultStage,
  { halted, haltMs, killed, last }: Round,
): Promise<void> {
  const { workers, proxies } = stage
  const halting = halt(workers, halted, haltMs)
  for (const slot of killed) {
    await pause(300)
    await workers.kill(slot)
  }
  for (const fault of proxies.length === 0 ? [] : networkFaults) {
    for (const slots of [[0], [...proxies.keys()]]) await strikeNetworkOnce(stage, fault, slots)
  }
  await last()
  await halting
}

async function strikeNetworkOnce(
  { journal, proxies }: FaultStage,
  fault: NetworkFault,
  slots: readonly number[],
): Promise<void> {
  const ms = leaseMs / 2
  await journal.append({ kind: 'fault', fault, slots, ms })
  for (const slot of slots) proxies[slot]?.begin(fault, ms / 3)
  await pause(ms)
  for (const proxy of proxies) proxy.heal()
  // Time to connect again, for the next fault to strike something.
  await pause(400)
}

/** Locks the file against everybody's writes, for less than a lease and for more. */
export async function lockFileTwice(
  place: Place,
  stage: FaultStage,
  onLocked: () => void,
): Promise<void> {
  const database = new Database(storeFile(place), { timeout: 20 })
  for (const ms of [leaseMs / 2, 1.5 * leaseMs]) {
    while (!(await lockFor(ms, database, stage, onLocked))) await pause(20)
    await pause(300)
  }
  database.close()
}

/** Locks the file against everybody's writes, again and again. */
export async function lockFile(
  place: Place,
  stage: FaultStage,
  rng: Rng,
  onLocked: () => void,
): Promise<void> {
  const database = new Database(storeFile(place), { timeout: 20 })
  while (!stage.signal.aborted) {
    await pause(rng.between(200, 900))
    await lockFor(rng.between(50, 2 * leaseMs), database, stage, onLocked)
  }
  database.close()
}

/** Returns `false` if a worker is writing, or was stopped while it did. */
async function lockFor(
  ms: number,
  database: Database.Database,
  { journal }: FaultStage,
  onLocked: () => void,
): Promise<boolean> {
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch {
    return false
  }
  onLocked()
  await journal.append({ kind: 'fault', fault: 'lock', slots: [], ms })
  await pause(ms)
  database.exec('COMMIT')
  return true
}
