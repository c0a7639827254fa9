import { systemClock } from '../core/clock.ts'

/** Waits. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    systemClock.setTimeout(resolve, ms)
  })
}
