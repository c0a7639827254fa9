import type Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { pageOf } from '../../src/inboxes/sqlite/listing.ts'
import { statementsFor } from '../../src/inboxes/sqlite/table.ts'
import { newInbox } from './sqlite-files.ts'

const { put: _, ...statements } = statementsFor('ringhook_inbox')

describe('the statements of sqliteInbox', () => {
  it.each(Object.entries(statements))(
    'read no more of the table than they must: %s',
    async (name, sql) => {
      const { database } = await newInbox()
      expect(planOf(database, sql)).toEqual(plans[name as keyof typeof statements])
    },
  )

  it.each([
    [{}, 'SEARCH ringhook_inbox USING INTEGER PRIMARY KEY (rowid>?)'],
    [{ state: 'waiting' }, 'SEARCH ringhook_inbox USING INTEGER PRIMARY KEY (rowid>?)'],
    [
      { state: 'running' },
      'SEARCH ringhook_inbox USING INDEX ringhook_inbox_state (state=? AND seq>?)',
    ],
    [
      { state: 'dead', type: 'a', since: new Date() },
      'SEARCH ringhook_inbox USING INDEX ringhook_inbox_state (state=? AND seq>?)',
    ],
  ] as const)('read a page of what fits %j from where the last one ended', async (filter, plan) => {
    const { database } = await newInbox()
    expect(planOf(database, pageOf('ringhook_inbox', filter, 0).sql)).toEqual([plan])
  })
})

const byPlace = 'SEARCH ringhook_inbox USING INTEGER PRIMARY KEY (rowid=?)'
const byKey = 'SEARCH ringhook_inbox USING INDEX sqlite_autoindex_ringhook_inbox_1 (key=?)'
const byOrder = 'ringhook_inbox_order (ordering_key=? AND state=?'

/** None sorts, and none goes through rows that it does not need. */
const plans: Readonly<Record<keyof typeof statements, readonly string[]>> = {
  due: ['SEARCH ringhook_inbox USING COVERING INDEX ringhook_inbox_due (due_at<?)'],
  candidates: ['SEARCH ringhook_inbox USING INDEX ringhook_inbox_due (due_at<?)'],
  holder: [
    'COMPOUND QUERY',
    'LEFT-MOST SUBQUERY',
    `SEARCH ringhook_inbox USING INDEX ${byOrder})`,
    'UNION ALL',
    `SEARCH ringhook_inbox USING INDEX ${byOrder} AND rowid<?)`,
  ],
  park: [byPlace],
  claim: [byPlace],
  lookAgain: [
    byPlace,
    'SCALAR SUBQUERY 1',
    `SEARCH ringhook_inbox USING COVERING INDEX ${byOrder})`,
  ],
  renew: [byPlace],
  done: [byPlace],
  retry: [byPlace],
  dead: [byPlace],
  later: [byPlace],
  replay: [byKey],
  discard: [byKey],
  entry: [byKey],
  counts: [
    'SCAN ringhook_inbox USING COVERING INDEX ringhook_inbox_state',
    'SCALAR SUBQUERY 1',
    'SEARCH ringhook_inbox USING COVERING INDEX ringhook_inbox_due (due_at>?)',
  ],
}

function planOf(database: Database.Database, sql: string): string[] {
  const values = sql.match(/\?/g)?.map(() => 0) ?? []
  return database
    .prepare<number[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`)
    .all(...values)
    .map(({ detail }) => detail)
}
