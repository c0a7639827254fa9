import { setTimeout as pause } from 'node:timers/promises'
import Database from 'better-sqlite3'
import type { Place } from './backends/backend.ts'
import { storeFile } from './backends/sqlite.ts'
import type { Crew } from './crew.ts'
import { leaseMs } from './endpoint.ts'
import type { Journal } from './journal.ts'
import { type FaultyProxy, networkFaults } from './proxy.ts'
import type { Dice } from './random.ts'

/** What the faults need. */
export interface FaultStage {
  readonly crew: Crew
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
  { crew, signal }: FaultStage,
  dice: Dice,
  { restMs, haltMs }: Pace,
): Promise<void> {
  const halts: Promise<void>[] = []
  while (!signal.aborted) {
    await pause(dice.between(...restMs))
    const slot = dice.between(0, crew.slots - 1)
    if (dice.chance(0.65)) await crew.kill(slot)
    else halts.push(halt(crew, slot, dice.between(...haltMs)))
  }
  await Promise.all(halts)
}

async function halt(crew: Crew, slot: number, ms: number): Promise<void> {
  await crew.stop(slot)
  await pause(ms)
  await crew.continue(slot)
}

/** Puts the connections to the store out of order by turns, one worker's or everybody's. */
export async function strikeNetwork(stage: FaultStage, dice: Dice): Promise<void> {
  const { journal, proxies, signal } = stage
  for (let turn = 0; !signal.aborted; turn++) {
    await pause(dice.between(150, 500))
    const fault = networkFaults[turn % networkFaults.length] ?? 'cut'
    // A worker that is cut off alone is taken over by the others; when all are, nobody is claimed.
    const alone = dice.between(0, proxies.length - 1)
    const slots = dice.chance(0.6) ? [alone] : [...proxies.keys()]
    const ms = dice.between(150, 2 * leaseMs)
    await journal.append({ kind: 'fault', fault, slots, ms })
    for (const slot of slots) proxies[slot]?.begin(fault, dice.between(30, 400))
    await pause(ms)
    for (const proxy of proxies) proxy.heal()
  }
}

/** Locks the file against everybody's writes, again and again. */
export async function lockFile(
  place: Place,
  { journal, signal }: FaultStage,
  dice: Dice,
  onLocked: () => void,
): Promise<void> {
  const database = new Database(storeFile(place), { timeout: 20 })
  while (!signal.aborted) {
    await pause(dice.between(200, 900))
    const ms = dice.between(50, 2 * leaseMs)
    try {
      database.exec('BEGIN EXCLUSIVE')
    } catch {
      // Somebody is writing, or was stopped while it did. Another time.
      continue
    }
    onLocked()
    await journal.append({ kind: 'fault', fault: 'lock', slots: [], ms })
    await pause(ms)
    database.exec('COMMIT')
  }
  database.close()
}
