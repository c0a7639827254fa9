import { readFileSync } from 'node:fs'
import Database from 'better-sqlite3'
import { RinghookError } from 'ringhook'
import { storeContract } from 'ringhook/conformance'
import { type SqliteDatabase, sqliteMigration, sqliteStore } from 'ringhook/stores/sqlite'
import { manualClock } from 'ringhook/testing'
import { describe, expect, it, onTestFinished, test, vi } from 'vitest'
import { statementsFor } from '../../src/stores/sqlite/table.ts'
import { byOwner, newFile, newStore, open, turns, won } from './sqlite-files.ts'

const hour = 3_600_000
const day = 24 * hour

describe('sqliteStore', () => {
  describe('on a file', () => {
    const files = new WeakMap<object, string>()
    storeContract({
      // Some start processes, which takes long on a busy machine.
      test: (name, run) => test(name, { timeout: 60_000 }, run),
      async create({ clock }) {
        const { file, store } = await newStore({ clock })
        files.set(store, file)
        return store
      },
      createNamed: async (table, { clock }) => (await newStore({ clock, table })).store,
      program: (store) => ({
        module: new URL('./sqlite-program.ts', import.meta.url),
        execArgv: ['--import', 'tsx'],
        data: files.get(store),
      }),
    })
  })

  describe('in memory', () => {
    storeContract({
      test,
      create: async ({ clock }) => (await newStore({ clock }, ':memory:')).store,
    })
  })

  describe('on a database that gives integers as BigInt', () => {
    storeContract({
      test,
      async create({ clock }) {
        const database = open(newFile()).defaultSafeIntegers(true)
        const store = sqliteStore(database, { clock })
        await store.migrate()
        return store
      },
    })
  })

  it('carries out what waits in one turn of the event loop as one transaction', async () => {
    const { file } = await newStore()
    const statements: string[] = []
    const store = sqliteStore(open(file, { verbose: (sql) => void statements.push(String(sql)) }))

    const claims = await Promise.all(
      Array.from({ length: 64 }, (_, index) => store.claim(`key-${index}`, byOwner('a'))),
    )
    await Promise.all(
      claims.map((claim, index) =>
        index % 2 === 0
          ? store.complete(won(claim), { retentionMs: hour })
          : store.release(won(claim)),
      ),
    )

    expect(statements.filter((sql) => sql.startsWith('BEGIN'))).toHaveLength(2)
    expect(statements.filter((sql) => sql === 'COMMIT')).toHaveLength(2)
    expect(statements.filter((sql) => sql.startsWith('INSERT'))).toHaveLength(64)
  })

  it('carries out a thousand claims of one turn in transactions of at most 500', async () => {
    const { database, store } = await newStore()

    const claims = await Promise.all(
      Array.from({ length: 1_001 }, (_, index) => store.claim(`key-${index}`, byOwner('a'))),
    )

    expect(claims.filter(({ state }) => state === 'claimed')).toHaveLength(1_001)
    expect(database.prepare('SELECT count(*) FROM ringhook_events').pluck().get()).toBe(1_001)
  })

  it('finds a key, and what to delete, by an index', async () => {
    const { database } = await newStore()
    const { prune, read } = statementsFor('ringhook_events')
    const planOf = (sql: string, values: number[]) =>
      database
        .prepare<number[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`)
        .all(...values)
        .map(({ detail }) => detail)

    expect(planOf(read, [0])).toEqual([
      'SEARCH ringhook_events USING INDEX sqlite_autoindex_ringhook_events_1 (key=?)',
    ])
    expect(planOf(prune, [0, 0, 0])).toEqual([
      'SEARCH ringhook_events USING INTEGER PRIMARY KEY (rowid=?)',
      'LIST SUBQUERY 1',
      'SEARCH ringhook_events USING COVERING INDEX ringhook_events_ends_at (ends_at<?)',
    ])
  })

  it('leaves the settings of the connection as they were', async () => {
    const { database, store } = await newStore()
    database.pragma('busy_timeout = 1234')
    database.pragma('synchronous = EXTRA')

    await store.complete(won(await store.claim('key', byOwner('a'))), { retentionMs: hour })

    expect(database.pragma('busy_timeout', { simple: true })).toBe(1_234)
    expect(database.pragma('synchronous', { simple: true })).toBe(3)
  })

  it('keeps a mark for three hundred years', async () => {
    const { store } = await newStore()
    const claim = won(await store.claim('key', byOwner('a')))

    expect(await store.complete(claim, { retentionMs: 1e13 })).toBe(true)
    expect((await store.claim('key', byOwner('b'))).state).toBe('completed')
  })

  it('takes databases only', () => {
    for (const wrong of [undefined, null, {}, 'events.db', { prepare() {} }, new Map()]) {
      expect(() => sqliteStore(wrong as unknown as SqliteDatabase)).toThrow(RinghookError)
      expect(() => sqliteStore(wrong as unknown as SqliteDatabase)).toThrow('STORE_INVALID')
    }
  })

  it('takes names for its table only', () => {
    const database = new Database(':memory:')
    for (const table of ['', 'a\0b', 'sqlite_events', '\ud800', 7 as unknown as string]) {
      expect(() => sqliteStore(database, { table })).toThrow('RINGHOOK_OPTION_INVALID')
      expect(() => sqliteMigration({ table })).toThrow('RINGHOOK_OPTION_INVALID')
    }
    database.close()
  })
})

describe('migrate', () => {
  it('makes a table that two stores can have beside each other', async () => {
    const { database, store } = await newStore()
    const other = sqliteStore(database, { table: 'other "events"; --' })
    await other.migrate()

    await store.claim('key', byOwner('a'))
    expect((await other.claim('key', byOwner('b'))).state).toBe('claimed')
  })

  it('can be called again and keeps what there is', async () => {
    const { store } = await newStore()
    await store.claim('key', byOwner('a'))
    await store.migrate()
    expect((await store.claim('key', byOwner('b'))).state).toBe('in_flight')
  })

  it('switches the file to WAL, whoever else starts at the same moment', async () => {
    const file = newFile()
    const databases = Array.from({ length: 10 }, () => open(file))
    const stores = databases.map((database) => sqliteStore(database))

    await Promise.all(stores.map((store) => store.migrate()))

    for (const database of databases) {
      expect(database.pragma('journal_mode', { simple: true })).toBe('wal')
    }
    const claims = await Promise.all(
      stores.map((store, index) => store.claim('key', byOwner(`owner-${index}`))),
    )
    expect(claims.filter(({ state }) => state === 'claimed')).toHaveLength(1)
  })

  it('waits for a transaction that is open on its connection', async () => {
    const database = open(newFile())
    const store = sqliteStore(database)
    database.exec('CREATE TABLE mine (id); BEGIN; INSERT INTO mine VALUES (1)')

    const migrated = store.migrate()
    await turns(50)
    database.exec('ROLLBACK')
    await migrated

    expect((await store.claim('key', byOwner('a'))).state).toBe('claimed')
  })

  it('is the SQL that sqliteMigration prints', async () => {
    const database = open(newFile())
    database.exec(sqliteMigration({ table: 'my events' }))
    const store = sqliteStore(database, { table: 'my events' })

    expect((await store.claim('key', byOwner('a'))).state).toBe('claimed')
    await store.migrate()
    expect((await store.claim('key', byOwner('b'))).state).toBe('in_flight')
  })

  it('is the SQL that its page shows', () => {
    const page = new URL('../../docs/stores/sqlite.md', import.meta.url)
    expect(readFileSync(page, 'utf8')).toContain(`\`\`\`sql\n${sqliteMigration()}\`\`\`\n`)
  })

  it.each([
    ['other columns', 'CREATE TABLE ringhook_events (id INTEGER PRIMARY KEY, body TEXT)'],
    ['a key that does not tell A from a', changed('key TEXT', 'key TEXT COLLATE NOCASE')],
    ['a key that is not unique', changed('PRIMARY KEY', '')],
    ['a column that has to be filled', changed('key TEXT', 'tenant TEXT NOT NULL, key TEXT')],
    ['a check of its own', changed('owner TEXT', "owner TEXT CHECK (owner LIKE 'me%')")],
    ['no rows of its own', 'CREATE VIEW ringhook_events AS SELECT 1 AS key'],
  ])('refuses a table with %s', async (_, sql) => {
    const database = open(newFile())
    database.exec(sql)

    await expect(sqliteStore(database).migrate()).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_NOT_MIGRATED',
    })
    expect(database.inTransaction).toBe(false)
  })

  function changed(from: string, to: string): string {
    return sqliteMigration().replace(from, to)
  }
})

describe('prune', () => {
  it('deletes what is past its retention, and nothing else', async () => {
    const clock = manualClock()
    const { store } = await newStore({ clock })
    const finish = async (key: string, retentionMs: number) =>
      store.complete(won(await store.claim(key, byOwner('a'))), { retentionMs })
    await finish('short', hour)
    await finish('long', 2 * day)
    await store.release(won(await store.claim('released', byOwner('a'))))
    await store.claim('running', byOwner('a'))

    expect(await store.prune()).toBe(0)
    await clock.advance(hour)
    expect(await store.prune()).toBe(1)
    expect(won(await store.claim('short', byOwner('b'))).fence).toBe(1)
    expect((await store.claim('long', byOwner('b'))).state).toBe('completed')
    expect(won(await store.claim('released', byOwner('b'))).fence).toBe(2)
    expect(won(await store.claim('running', byOwner('b'))).fence).toBe(2)
  })

  it('keeps a lease that ran out for a day, for its fence', async () => {
    const clock = manualClock()
    const { store } = await newStore({ clock })
    await store.claim('running', byOwner('a'))

    await clock.advance(30_000 + day - 1)
    expect(await store.prune()).toBe(0)
    await clock.advance(1)
    expect(await store.prune()).toBe(1)
  })

  it('deletes at most as many as it is told to, those that ended first', async () => {
    const clock = manualClock()
    const { store } = await newStore({ clock })
    for (let index = 1; index <= 5; index++) {
      const claim = won(await store.claim(`key-${index}`, byOwner('a')))
      await store.complete(claim, { retentionMs: index })
    }
    await clock.advance(hour)

    expect(await store.prune({ limit: 2 })).toBe(2)
    expect(won(await store.claim('key-2', byOwner('b'))).fence).toBe(1)
    expect(won(await store.claim('key-3', byOwner('b'))).fence).toBe(2)
    expect(await store.prune()).toBe(2)
  })

  it('deletes 500 at a time, with a pause in which other processes write', async () => {
    const clock = manualClock()
    const { database, store } = await newStore({ clock })
    const many = Array.from({ length: 1_200 }, (_, index) => `key-${index}`)
    const claims = await Promise.all(many.map((key) => store.claim(key, byOwner('a'))))
    await Promise.all(claims.map((claim) => store.complete(won(claim), { retentionMs: 1 })))
    await clock.advance(hour)
    const rows = () => database.prepare('SELECT count(*) FROM ringhook_events').pluck().get()

    vi.useFakeTimers({ toFake: ['setTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const pruned = store.prune()
    await turns(100)
    expect(rows()).toBe(700)
    expect((await store.claim('another', byOwner('b'))).state).toBe('claimed')
    await vi.advanceTimersByTimeAsync(1_000)
    await turns(100)
    await vi.advanceTimersByTimeAsync(1_000)

    expect(await pruned).toBe(1_200)
    expect(rows()).toBe(1)
  })

  it('refuses a limit that is no whole number from 1', async () => {
    const { store } = await newStore()
    for (const limit of [0, -1, 1.5, Number.NaN]) {
      await expect(store.prune({ limit })).rejects.toMatchObject({
        code: 'RINGHOOK_OPTION_INVALID',
      })
    }
  })
})
