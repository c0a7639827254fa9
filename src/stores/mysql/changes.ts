import type { Ask } from './client.ts'
import { committed, rowsOf } from './replies.ts'
import { type Change, completed, type Row, running, type Statements } from './sql.ts'

/** Whether a claim was changed. `false`: it is no longer held. `locked`: it is, but it was not changed. */
export type Changed = boolean | 'locked'

/**
 * Gives claims of different keys another state, or another end of their lease. One statement; where
 * it did not change them all a second one tells which.
 */
export async function changeAll(
  ask: Ask,
  sql: Statements,
  state: number,
  changes: readonly Change[],
): Promise<Changed[]> {
  const startedAt = performance.now()
  const count = committed(await ask(sql.change(changes, state)))
  if (count === changes.length) return changes.map(() => true)
  const rows = rowsOf(await ask(sql.read(changes.map(({ key }) => key))))
  const tookMs = performance.now() - startedAt
  return changes.map((change) => {
    const row = rows.get(change.key)
    if (row?.owner !== change.owner || row.fence !== change.fence) return false
    // Its time was set after the statement began: by it, or by what came to the same.
    const isSet = row.leftMs >= change.ms - tookMs - 1
    return outcomeOf(row, state, isSet, count > 0)
  })
}

function outcomeOf(row: Row, state: number, isSet: boolean, hasChanged: boolean): Changed {
  // Not counted although its lease was renewed: to the same millisecond, where the driver has the
  // server count only rows that are different now.
  if (row.state === running) return state === running && isSet ? true : 'locked'
  if (row.state !== state) return false
  // A completion may be repeated while it is remembered, a release may not.
  return state === completed ? row.leftMs > 0 : hasChanged && isSet
}
