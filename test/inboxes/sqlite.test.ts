import { readFileSync } from 'node:fs'
import Database from 'better-sqlite3'
import { type Inbox, RinghookError } from 'ringhook'
import { inboxContract } from 'ringhook/conformance'
import {
  type SqliteDatabase,
  type SqliteInboxOptions,
  sqliteInbox,
  sqliteInboxMigration,
} from 'ringhook/inboxes/sqlite'
import { manualClock } from 'ringhook/testing'
import { describe, expect, it, onTestFinished, test, vi } from 'vitest'
import { newFile, open, turns } from '../stores/sqlite-files.ts'
import { delivery, newInbox, put, work } from './sqlite-files.ts'

describe('sqliteInbox', () => {
  // Beside the plain form, which inbox-contract.test.ts holds to it.
  describe('on a database that gives integers as BigInt', () => {
    const files = new WeakMap<object, string>()
    const fileOf = (inbox: Inbox) => files.get(inbox) ?? ''
    const openOn = (file: string) => {
      const inbox = sqliteInbox(open(file).defaultSafeIntegers(true), { pollMs: 5 })
      files.set(inbox, file)
      return inbox
    }
    inboxContract({
      // Some start processes, which takes long on a busy machine.
      test: (name, run) => test(name, { timeout: 60_000 }, run),
      keepsOrder: true,
      async create() {
        const inbox = openOn(newFile())
        await inbox.migrate()
        return inbox
      },
      reopen: (inbox) => openOn(fileOf(inbox)),
      loseLease: (inbox, id) => change(fileOf(inbox), 'due_at = 0', id),
      corrupt: (inbox, id) => change(fileOf(inbox), "delivery = '{' || delivery", id),
      begin(inbox) {
        const transaction = open(fileOf(inbox))
        transaction.exec('BEGIN IMMEDIATE')
        return {
          transaction,
          commit: () => transaction.exec('COMMIT'),
          rollback: () => transaction.exec('ROLLBACK'),
        }
      },
    })
  })
  it('commits what is put in one turn of the event loop as one transaction', async () => {
    const { inbox, statements } = await newWatched()

    const keys = Array.from({ length: 64 }, (_, index) => `event-${index}`)
    const answers = await Promise.all(keys.map((key) => put(inbox, key)))

    expect(new Set(answers)).toEqual(new Set(['accepted']))
    expect(statements.filter((sql) => sql.startsWith('BEGIN'))).toHaveLength(1)
    expect(statements.filter((sql) => sql === 'COMMIT')).toHaveLength(1)
    expect(statements.filter((sql) => sql.startsWith('INSERT'))).toHaveLength(64)
  })

  it('commits what is put alone without waiting for others', async () => {
    const { inbox } = await newInbox()
    vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval'] })
    onTestFinished(() => void vi.useRealTimers())

    expect(await put(inbox, 'event')).toBe('accepted')
  })

  it.each([
    ['OFF', 2],
    ['NORMAL', 2],
    ['FULL', 2],
    ['EXTRA', 3],
  ])(
    'puts what it accepts on the disk, on a connection with synchronous = %s',
    async (level, is) => {
      const { database, inbox, statements } = await newWatched()
      database.pragma(`synchronous = ${level}`)
      statements.length = 0

      await put(inbox, 'event')

      expect(database.pragma('synchronous', { simple: true })).toBe(is)
      const raised = statements.indexOf('PRAGMA synchronous = FULL')
      const begun = statements.findIndex((sql) => sql.startsWith('BEGIN'))
      expect(raised === -1 ? is : raised).toBeLessThan(raised === -1 ? 4 : begun)
    },
  )

  it('keeps one of the copies that two connections put at once', async () => {
    const { file, inbox } = await newInbox()
    const other = sqliteInbox(open(file))
    const keys = Array.from({ length: 100 }, (_, index) => `event-${index}`)

    const answers = await Promise.all(
      keys.flatMap((key) => [inbox, other, inbox].map((one) => put(one, key))),
    )

    expect(answers.filter((answer) => answer === 'accepted')).toHaveLength(100)
    expect((await other.stats()).waiting).toBe(100)
  })

  it('takes no lock while there is nothing to do', async () => {
    const clock = manualClock()
    const { inbox, statements } = await newWatched({ clock })
    const { runs } = await work(inbox)
    await put(inbox, 'event')
    await turns(20)
    expect(runs).toEqual(['event 1'])
    statements.length = 0

    await clock.advance(5_000)

    expect(statements.filter((sql) => sql.startsWith('SELECT 1')).length).toBeGreaterThan(40)
    expect(statements.filter((sql) => sql.startsWith('BEGIN'))).toEqual([])
  })

  it('shows what somebody made of a delivery as text, and what they made of a failure not at all', async () => {
    const { database, inbox } = await newInbox()
    await put(inbox, 'event')
    database.exec("UPDATE ringhook_inbox SET delivery = 'Dear diary', failure = '[7', state = 2")

    const entry = { id: 'event', state: 'dead', attempts: 0, delivery: 'Dear diary' }
    expect(await inbox.entry('event')).toEqual(entry)
    for (const text of ['7', 'null', '{"code":1}', '[]']) {
      database.prepare('UPDATE ringhook_inbox SET failure = ?').run(text)
      for await (const listed of inbox.entries({})) expect(listed).toEqual(entry)
    }
  })

  it('lists what fits, and reads the rest of a long table in turns of the event loop', async () => {
    const { inbox } = await newInbox()
    const keys = Array.from({ length: 1_000 }, (_, index) => `event-${index}`)
    await Promise.all(keys.map((key) => put(inbox, key)))
    await inbox.put(delivery('last', { type: 'call.failed' }), { key: 'last' })
    let turnsTaken = 0
    const count = () => {
      turnsTaken++
      immediate = setImmediate(count)
    }
    let immediate = setImmediate(count)

    const found: string[] = []
    for await (const { id } of inbox.entries({ type: 'call.failed' })) found.push(id)
    clearImmediate(immediate)

    expect(found).toEqual(['last'])
    expect(turnsTaken).toBeGreaterThanOrEqual(5)
  })

  it('takes databases only', () => {
    for (const wrong of [undefined, null, {}, 'inbox.db', { prepare() {} }, new Map()]) {
      expect(() => sqliteInbox(wrong as unknown as SqliteDatabase)).toThrow(RinghookError)
      expect(() => sqliteInbox(wrong as unknown as SqliteDatabase)).toThrow('INBOX_INVALID')
    }
  })

  it.each([
    { leaseMs: 999 },
    { leaseMs: 3_600_001 },
    { leaseMs: 1_500.5 },
    { pollMs: 0 },
    { pollMs: 60_001 },
    { pollMs: Number.NaN },
    { pollMs: '5' },
    { leaseMS: 1_000 },
    { table: '' },
    { table: 'a\0b' },
    { table: 'sqlite_inbox' },
    { table: 7 },
    null,
  ])('refuses the options %j', (options) => {
    const database = new Database(':memory:')
    expect(() => sqliteInbox(database, options as SqliteInboxOptions)).toThrow(
      'RINGHOOK_OPTION_INVALID',
    )
    database.close()
  })
})

describe('migrate', () => {
  it('makes a table that two inboxes can have beside each other', async () => {
    const { database, inbox } = await newInbox()
    const other = sqliteInbox(database, { table: 'other "inbox"; --' })
    await other.migrate()

    expect(await put(inbox, 'event')).toBe('accepted')
    expect(await put(other, 'event')).toBe('accepted')
    expect(await put(other, 'event')).toBe('duplicate')
  })

  it('can be called again, also while a worker runs, and keeps what there is', async () => {
    const { inbox } = await newInbox()
    await put(inbox, 'event')
    const { runs } = await work(inbox)
    await vi.waitUntil(() => runs.length === 1)
    const before = await inbox.entry('event')

    await inbox.migrate()

    expect(await inbox.entry('event')).toEqual(before)
    expect(await inbox.stats()).toMatchObject({ waiting: 0, running: 1 })
  })

  it('switches the file to WAL, whoever else starts at the same moment', async () => {
    const file = newFile()
    const databases = Array.from({ length: 10 }, () => open(file))
    const inboxes = databases.map((database) => sqliteInbox(database))

    await Promise.all(inboxes.map((inbox) => inbox.migrate()))

    for (const database of databases) {
      expect(database.pragma('journal_mode', { simple: true })).toBe('wal')
    }
  })

  it('is the SQL that sqliteInboxMigration prints', async () => {
    const database = open(newFile())
    database.exec(sqliteInboxMigration({ table: 'my inbox' }))
    const inbox = sqliteInbox(database, { table: 'my inbox' })

    expect(await put(inbox, 'event')).toBe('accepted')
    await inbox.migrate()
    expect(await put(inbox, 'event')).toBe('duplicate')
  })

  it('is the SQL that its page shows', () => {
    const page = new URL('../../docs/inboxes/sqlite.md', import.meta.url)
    expect(readFileSync(page, 'utf8')).toContain(`\`\`\`sql\n${sqliteInboxMigration()}\`\`\`\n`)
  })

  it.each([
    ['other columns', 'CREATE TABLE ringhook_inbox (id INTEGER PRIMARY KEY, body TEXT)'],
    ['a key that does not tell A from a', changed('key TEXT', 'key TEXT COLLATE NOCASE')],
    ['a key that is not unique', changed(' UNIQUE', '')],
    ['a column that has to be filled', changed('seq INTEGER', 'tenant TEXT NOT NULL, seq INTEGER')],
    ['a check of its own', changed('state INTEGER NOT NULL', 'state INTEGER CHECK (state = 0)')],
    ['no rows of its own', 'CREATE VIEW ringhook_inbox AS SELECT 1 AS key'],
  ])('refuses a table with %s', async (_, sql) => {
    const database = open(newFile())
    database.exec(sql)

    await expect(sqliteInbox(database).migrate()).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_NOT_MIGRATED',
    })
    expect(database.inTransaction).toBe(false)
  })

  function changed(from: string, to: string): string {
    return sqliteInboxMigration().replace(from, to)
  }
})

/** An inbox, and the statements that its connection carries out from now on. */
async function newWatched(options: SqliteInboxOptions = {}) {
  const { file } = await newInbox()
  const statements: string[] = []
  const database = open(file, { verbose: (sql) => void statements.push(String(sql)) })
  const inbox = sqliteInbox(database, options)
  onTestFinished(() => inbox.stop())
  return { database, inbox, statements }
}

function change(file: string, what: string, id: string): void {
  const database = new Database(file)
  database.prepare(`UPDATE ringhook_inbox SET ${what} WHERE key = ?`).run(id)
  database.close()
}
