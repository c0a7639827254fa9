import type { PgBossJobOptions } from './pg-boss-types.ts'

/** More than any delivery reaches, in seconds or in attempts, with room to add in a 32-bit column. */
const plenty = 2_000_000_000
const maxDelayMs = 365 * 24 * 60 * 60_000

/** How long pg-boss keeps a completed job by default. Until then repeats of it are duplicates. */
export const completedSeconds = 7 * 24 * 60 * 60

/** The options of every job, so that it doesn't matter how the queue was set up. */
export function jobOptions(heartbeatSeconds: number): PgBossJobOptions {
  return {
    // The core decides which attempt is the last, and when the next one is due.
    retryLimit: plenty,
    retryDelay: 0,
    retryBackoff: false,
    // The most that pg-boss takes.
    expireInSeconds: 24 * 60 * 60,
    // pg-boss deletes what waits for longer. Its default is two weeks.
    retentionSeconds: plenty,
    heartbeatSeconds,
  }
}

/** Returns a delay as pg-boss takes it, and PostgreSQL as an interval. */
export function secondsOf(delayMs: number): string {
  const ms = delayMs > 0 ? Math.min(delayMs, maxDelayMs) : 0
  return (ms / 1_000).toFixed(3)
}
