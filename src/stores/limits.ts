/**
 * How long a released key keeps its fence and attempt, and a running one after its lease: longer
 * than any provider waits before it retries.
 */
export const keptMs = 24 * 60 * 60_000

/**
 * When a claim that met a row in an open transaction is to come again. Nobody knows how long the
 * transaction lasts: long enough not to press, and at most the lease, as for any holder.
 */
export const lockedMs = 1_000

/** Some 300 years: the longest time that the clocks of all servers can add to theirs. */
export const longestMs = 1e13

/** The table of a store that was given no other name. */
export const presetTable = 'ringhook_events'
