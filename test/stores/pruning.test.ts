import Database from 'better-sqlite3'
import { createPool } from 'mysql2/promise'
import pg from 'pg'
import { mysqlStore } from 'ringhook/stores/mysql'
import { postgresStore } from 'ringhook/stores/postgres'
import { sqliteStore } from 'ringhook/stores/sqlite'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { mysqlTables, quoted } from './mysql-tables.ts'
import { claimOptions, postgresSchema } from './postgres-schema.ts'

afterEach(() => void vi.useRealTimers())

/** More than one look of any store finds. */
const many = 10_700
const minute = 60_000

/** Fills a table with events that finished, and whose retention is over. */
function fill(database: Database.Database, rows: number): void {
  database.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
    INSERT INTO ringhook_events SELECT 'key' || i, 'a', 1, 1, 'f', 1 FROM n`)
}

function left(database: Database.Database): unknown {
  return database.prepare('SELECT count(*) FROM ringhook_events').pluck().get()
}

describe('prune', () => {
  it('deletes in SQLite until nothing is left, or as many as it is told', async () => {
    const database = new Database(':memory:')
    const store = sqliteStore(database)
    await store.migrate()
    fill(database, many)
    await store.claim('running', claimOptions('a'))
    expect(await store.prune({ limit: 600 })).toBe(600)
    expect(await store.prune()).toBe(many - 600)
    expect(await store.prune()).toBe(0)
    expect(left(database)).toBe(1)
  })

  describeOn('postgres', 'in PostgreSQL', (url) => {
    const { schema, admin, store } = postgresSchema(url)

    it('deletes until nothing is left, or as many as it is told', async () => {
      await admin.query(`INSERT INTO ${schema}.ringhook_events
        SELECT 'key' || n, 'a', 1, 1, 'f', now() - interval '1 s' FROM generate_series(1, ${many}) n`)
      const its = store()
      expect(await its.prune({ limit: 600 })).toBe(600)
      const [one, other] = await Promise.all([its.prune(), store().prune()])
      expect(one + other).toBe(many - 600)
      expect(await its.prune()).toBe(0)
    })
  })

  describeOn('mysql', 'in MySQL', (url) => {
    const { admin, prefix } = mysqlTables(url)

    it('deletes until nothing is left, or as many as it is told', async () => {
      const table = `${prefix}_pruned`
      const store = mysqlStore(admin, { table })
      await store.migrate()
      await admin.query(`INSERT INTO ${quoted(table)} (event_key, owner, fence, state, fingerprint, ends_at)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999),
        m(j) AS (SELECT 0 UNION ALL SELECT j + 1 FROM m WHERE j < 11)
        SELECT CONCAT('key', i, '.', j), 'a', 1, 1, 'f', 1 FROM n, m`)
      expect(await store.prune({ limit: 600 })).toBe(600)
      expect(await store.prune()).toBe(999 * 12 - 600)
      expect(await store.prune()).toBe(0)
    })
  })
})

describe('pruneEveryMs', () => {
  const database = () => new Database(':memory:')

  it.each([
    ['sqliteStore', (options: object) => sqliteStore(database(), options)],
    ['postgresStore', (options: object) => postgresStore(new pg.Pool(), options)],
    ['mysqlStore', (options: object) => mysqlStore(createPool({}), options)],
  ])('of %s is refused where it is no time that makes sense', (_name, make) => {
    for (const pruneEveryMs of [0, -1, 999, 1_000.5, 1e12, Number.NaN, '3600000', null]) {
      expect(() => make({ pruneEveryMs })).toThrow(
        expect.objectContaining({
          code: 'RINGHOOK_OPTION_INVALID',
          message: expect.stringMatching(/^pruneEveryMs must be a whole number/),
        }),
      )
    }
    expect(() => make({ pruneEveryMs: 1_000, logger: false })).not.toThrow()
  })

  it('prunes again and again, and by itself', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const file = database()
    const store = sqliteStore(file, { pruneEveryMs: minute })
    await store.migrate()
    for (let round = 0; round < 3; round++) {
      fill(file, 1_200)
      await vi.advanceTimersByTimeAsync(0.8 * minute)
      expect(left(file)).toBe(1_200)
      while (left(file) !== 0) {
        await vi.advanceTimersToNextTimerAsync()
        await turn()
      }
      // The next one is set when this one is over.
      while (vi.getTimerCount() === 0) await turn()
    }
  })

  it('goes on after a failure, and logs it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const file = database()
    const lines: string[] = []
    const write = (line: string) => void lines.push(line)
    const store = sqliteStore(file, {
      pruneEveryMs: minute,
      logger: { debug: write, info: write, warn: write, error: write },
    })
    await vi.advanceTimersByTimeAsync(1.1 * minute)
    while (lines.length === 0) await turn()
    expect(lines).toEqual([
      expect.stringMatching(/^ringhook: sqliteStore\(\) could not prune.*Call migrate\(\)/),
    ])
    await store.migrate()
    fill(file, 3)
    await vi.advanceTimersByTimeAsync(1.1 * minute)
    while (left(file) !== 0) await turn()
    expect(lines).toHaveLength(1)
  })

  it('is set when the store is made, and not by a request, and keeps no process alive', async () => {
    const timers = vi.spyOn(globalThis, 'setTimeout')
    onTestFinished(() => timers.mockRestore())
    const store = sqliteStore(database(), { pruneEveryMs: minute })
    expect(timers.mock.results.map(({ value }) => value.hasRef())).toEqual([false])
    await store.migrate()
    await store.claim('a', claimOptions('a'))
    expect(timers).toHaveBeenCalledTimes(1)
  })
})

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
