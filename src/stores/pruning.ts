import { detached } from '../core/async-context.ts'
import { wholeNumber } from '../core/checks.ts'
import { RinghookError } from '../core/errors.ts'
import { type Logger, safeLogger, whereThrown } from '../core/log.ts'
import type { PersistentStore } from './store.ts'

/** Options of every store with a table. */
export interface PruningOptions {
  /**
   * How often the store prunes by itself, in ms, give or take a tenth. The timer keeps no process
   * alive. From 1 000 to 604 800 000 (a week). Default: never.
   */
  readonly pruneEveryMs?: number
  /** Where the failures of such a prune go. Default: `console`. `false`: silence. */
  readonly logger?: Logger | false
}

/** The names of {@link PruningOptions}. */
export const pruningOptions = ['pruneEveryMs', 'logger'] as const

const weekMs = 7 * 24 * 60 * 60_000

/**
 * Has a store prune from time to time, if its options say so. From when it is made, and not from its
 * first use, and outside every request. A store that is dropped is not kept for its timer.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function pruneRegularly(
  name: string,
  store: PersistentStore,
  { pruneEveryMs, logger }: PruningOptions,
): void {
  if (pruneEveryMs === undefined) return
  wholeNumber('pruneEveryMs', pruneEveryMs, { min: 1_000, max: weekMs })
  const log = safeLogger(logger)
  const held = new WeakRef(store)

  function pruneLater(everyMs: number): void {
    // By chance: instances that were started together must not all prune at the same moment.
    const delayMs = everyMs * (0.9 + Math.random() / 5)
    detached(() => setTimeout(() => void pruneNow(everyMs), delayMs).unref())
  }

  async function pruneNow(everyMs: number): Promise<void> {
    try {
      const pruning = held.deref()?.prune()
      if (pruning === undefined) return
      await pruning
    } catch (error) {
      const reason = error instanceof RinghookError ? error.message : whereThrown(error)
      log.warn(`ringhook: ${name}() could not prune, and will try again (${reason})`)
    }
    pruneLater(everyMs)
  }

  pruneLater(pruneEveryMs)
}
