import { rmSync, symlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type Database from 'better-sqlite3'
import type { AttemptResult, Process } from 'ringhook'
import { type SqliteDatabase, sqliteInbox } from 'ringhook/inboxes/sqlite'
import { sqliteStore } from 'ringhook/stores/sqlite'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { byOwner, newFile, open, turns, won } from '../stores/sqlite-files.ts'
import { done, newInbox, put } from './sqlite-files.ts'

/** A database, and a user's table and a store beside the inbox in it. */
async function newBench(wrapped: (database: Database.Database) => SqliteDatabase) {
  const file = newFile()
  const database = open(file)
  database.exec('CREATE TABLE calls (id TEXT)')
  const given = wrapped(database)
  const inbox = sqliteInbox(given)
  const store = sqliteStore(given)
  onTestFinished(() => inbox.stop())
  await Promise.all([inbox.migrate(), store.migrate()])
  const calls = () => open(file).prepare('SELECT id FROM calls').pluck().all()
  return { calls, database, file, given, inbox, store }
}

/** Runs one delivery. Gives its attempt, and what ends it. */
async function runOne(inbox: ReturnType<typeof sqliteInbox>, key = 'event') {
  await put(inbox, key)
  let end = (_: AttemptResult) => {}
  let attempt: Parameters<Process>[1] | undefined
  await inbox.start(
    (_, given) => {
      attempt = given
      return new Promise((resolve) => {
        end = resolve
      })
    },
    { concurrency: 1, onError: expect.fail },
  )
  await vi.waitUntil(() => attempt !== undefined)
  const complete = (transaction: unknown) => attempt?.complete?.(transaction)
  return { complete, end }
}

describe.each([
  ['better-sqlite3', (database: Database.Database): SqliteDatabase => database],
  ['a database of the form of node:sqlite', formOfNode],
  ['one of the first of those, which does not say whether a transaction is open', silent],
])('complete of an attempt on %s', (_, wrapped) => {
  it.each([true, false])(
    'commits or rolls back with the write of the user and the mark of the store: %s',
    async (commits) => {
      const { calls, database, given, inbox, store } = await newBench(wrapped)
      const { complete, end } = await runOne(inbox)
      const claim = won(await store.claim('event', byOwner('a')))

      database.exec("BEGIN IMMEDIATE; INSERT INTO calls VALUES ('call_1')")
      const isMarked = store.complete(claim, { retentionMs: 60_000, transaction: given })
      const isCompleted = complete(given)
      expect([isMarked, isCompleted, database.inTransaction]).toEqual([true, true, true])
      database.exec(commits ? 'COMMIT' : 'ROLLBACK')

      expect(calls()).toEqual(commits ? ['call_1'] : [])
      const { state } = await store.claim('event', byOwner('b'))
      expect(state).toBe(commits ? 'completed' : 'in_flight')
      const entry = await inbox.entry('event')
      expect(entry?.state).toBe(commits ? undefined : 'running')
      end(done)
      await turns(20)
      expect(await inbox.entry('event')).toBeUndefined()
    },
  )

  it('does nothing where no transaction is open', async () => {
    const { given, inbox } = await newBench(wrapped)
    const { complete } = await runOne(inbox)

    expect(complete(given)).toBeUndefined()
    expect(await inbox.entry('event')).toMatchObject({ state: 'running' })
  })
})

describe('complete of an attempt', () => {
  it('takes another connection to the same file, by whatever path', async () => {
    const { file, inbox } = await newInbox()
    const { complete } = await runOne(inbox)
    symlinkSync(dirname(file), `${dirname(file)}-link`)
    onTestFinished(() => rmSync(`${dirname(file)}-link`))
    const other = open(join(`${dirname(file)}-link`, basename(file)))

    other.exec('BEGIN IMMEDIATE')
    expect(complete(other)).toBe(true)
    expect(complete(other)).toBe(false)
    other.exec('COMMIT')

    expect(await inbox.entry('event')).toBeUndefined()
  })

  it('does nothing on another file, although it has a table of the same name', async () => {
    const { inbox } = await newInbox()
    const { database: stranger, inbox: theirs } = await newInbox()
    await put(theirs, 'event')
    const { complete } = await runOne(inbox)
    stranger.exec('BEGIN IMMEDIATE; UPDATE ringhook_inbox SET state = 1, fence = 1')

    expect(complete(stranger)).toBeUndefined()
    stranger.exec('COMMIT')
    expect(await theirs.entry('event')).toBeDefined()
    expect(await inbox.entry('event')).toBeDefined()
  })

  it('is too late for what a worker that stopped has given back', async () => {
    const { database, inbox } = await newInbox()
    const { complete } = await runOne(inbox)
    await inbox.stop()

    database.exec('BEGIN IMMEDIATE')
    expect(complete(database)).toBe(false)
    database.exec('COMMIT')
    expect(await inbox.entry('event')).toMatchObject({ state: 'waiting', attempts: 0 })
  })

  it('keeps databases in memory apart', async () => {
    const { inbox } = await newInbox({}, ':memory:')
    const { complete } = await runOne(inbox)
    const stranger = open(':memory:')
    stranger.exec('BEGIN')

    expect(complete(stranger)).toBeUndefined()
  })

  it('never sends anything to the client of another database', async () => {
    const { inbox } = await newInbox()
    const { complete } = await runOne(inbox)
    const sent = vi.fn()

    for (const client of [
      { prepare: sent, exec: sent },
      { prepare: sent, exec: sent, query: sent, inTransaction: sent },
      { query: sent, execute: sent },
      { prepare: sent, execute: sent, beginTransaction: sent },
    ]) {
      expect(complete(client)).toBeUndefined()
    }
    expect(sent).not.toHaveBeenCalled()
  })

  it('frees what waited for it once the transaction is committed', async () => {
    const { database, inbox } = await newInbox()
    const order = { key: 'call', maxHoldMs: 60_000 }
    for (const key of ['a', 'b']) await put(inbox, key, order)
    const runs: string[] = []
    await inbox.start(
      async (_, attempt) => {
        runs.push(attempt.id)
        const transaction = database.transaction(() => attempt.complete?.(database))
        expect(transaction.immediate()).toBe(true)
        return done
      },
      { concurrency: 5, onError: expect.fail },
    )

    await vi.waitUntil(() => runs.length === 2)
    expect(runs).toEqual(['a', 'b'])
  })

  it('throws RINGHOOK_STORE_BUSY where the transaction cannot become a writing one', async () => {
    const { database, file, inbox } = await newInbox()
    const { complete } = await runOne(inbox)
    const other = open(file, { timeout: 0 })
    other.exec('BEGIN')
    other.prepare('SELECT * FROM ringhook_inbox').all()
    database.exec('UPDATE ringhook_inbox SET hold_ms = 1')

    expect(() => complete(other)).toThrow('RINGHOOK_STORE_BUSY')
    expect(other.inTransaction).toBe(true)
  })
})

describe('a transaction of the user on the connection of the inbox', () => {
  it('is joined by no put, which waits until it is over', async () => {
    const { database, file, inbox } = await newInbox()
    database.exec('CREATE TABLE calls (id TEXT); BEGIN; INSERT INTO calls VALUES (1)')

    const putting = put(inbox, 'event')
    await turns(100)
    expect(database.inTransaction).toBe(true)
    database.exec('ROLLBACK')

    expect(await putting).toBe('accepted')
    expect(await sqliteInbox(open(file)).entry('event')).toBeDefined()
  })

  it('is not read from by a worker', async () => {
    const { database, file, inbox } = await newInbox()
    await inbox.start(async () => done, { concurrency: 1, onError: expect.fail })
    await turns(10)
    const other = open(file)
    database.exec('BEGIN')
    const putting = put(inbox, 'event')
    await turns(100)
    // If something had been read, the transaction could not write after somebody else has.
    other.exec('CREATE TABLE calls (id TEXT)')
    database.exec("INSERT INTO calls VALUES ('call_1'); COMMIT")

    expect(await putting).toBe('accepted')
    await vi.waitUntil(async () => (await inbox.entry('event')) === undefined)
  })
})

/** A database as `node:sqlite` gives it: it tells by another name that a transaction is open. */
function formOfNode(database: Database.Database): SqliteDatabase {
  return {
    ...silent(database),
    get isTransaction() {
      return database.inTransaction
    },
  }
}

function silent(database: SqliteDatabase): SqliteDatabase {
  return { prepare: (sql) => database.prepare(sql), exec: (sql) => database.exec(sql) }
}
