import { setTimeout } from 'node:timers'

// Kept when the kit is loaded: fake timers that a test puts in its place later do not hold it.
const timeout = setTimeout

/** Resolves after `ms` of real time, whatever a test has done to timers. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => timeout(resolve, ms))
}
