import type Database from 'better-sqlite3'
import knex from 'knex'
import { CompiledQuery, Kysely, SqliteDialect } from 'kysely'
import { RinghookError } from 'ringhook'
import { type SqliteDatabase, type SqliteValue, sqliteStore } from 'ringhook/stores/sqlite'
import { describe, expect, it, onTestFinished } from 'vitest'
import { byOwner, newStore, open, turns, won } from './sqlite-files.ts'

const retentionMs = 3_600_000

async function newBench() {
  const { database, file, store } = await newStore()
  database.exec('CREATE TABLE calls (id TEXT)')
  const claim = won(await store.claim('key', byOwner('a')))
  const stateOf = async (key: string) => (await store.claim(key, byOwner('b'))).state
  const calls = () => database.prepare('SELECT id FROM calls').pluck().all()
  return { calls, claim, database, file, stateOf, store }
}

describe('complete in a transaction of the user', () => {
  describe.each([
    ['on the connection of the store', (database: Database.Database) => database],
    ['on another connection', (_: unknown, file: string) => open(file)],
  ])('%s', (_, connectionFor) => {
    async function newConnection() {
      const bench = await newBench()
      return { ...bench, connection: connectionFor(bench.database, bench.file) }
    }

    it('has marked when it returns, and commits with the write', async () => {
      const { calls, claim, connection, stateOf, store } = await newConnection()

      const isMarked = connection.transaction(() => {
        connection.prepare('INSERT INTO calls VALUES (?)').run('call_1')
        return store.complete(claim, { retentionMs, transaction: connection })
      })()

      expect(isMarked).toBe(true)
      expect(calls()).toEqual(['call_1'])
      expect(await stateOf('key')).toBe('completed')
    })

    it('rolls back with the write', async () => {
      const { calls, claim, connection, stateOf, store } = await newConnection()

      const transaction = connection.transaction(() => {
        connection.prepare('INSERT INTO calls VALUES (?)').run('call_1')
        expect(store.complete(claim, { retentionMs, transaction: connection })).toBe(true)
        throw new Error('no')
      })

      expect(() => transaction()).toThrow('no')
      expect(calls()).toEqual([])
      expect(await stateOf('key')).toBe('in_flight')
      expect(await store.complete(claim, { retentionMs })).toBe(true)
    })

    it('gives false for a claim that was taken over, and changes nothing', async () => {
      const { claim, connection, store } = await newConnection()
      await store.release(claim)
      const next = won(await store.claim('key', byOwner('b')))

      connection.exec('BEGIN IMMEDIATE')
      expect(store.complete(claim, { retentionMs, transaction: connection })).toBe(false)
      connection.exec('COMMIT')

      expect(await store.extend(next, { leaseMs: 30_000 })).toBe(true)
    })

    it('is refused at once where no transaction is open', async () => {
      const { claim, connection, stateOf, store } = await newConnection()
      const complete = () => store.complete(claim, { retentionMs, transaction: connection })

      expect(complete).toThrow(RinghookError)
      expect(complete).toThrow('RINGHOOK_TRANSACTION_INVALID')
      expect(await stateOf('key')).toBe('in_flight')
    })

    it('tells by itself where the database does not say whether a transaction is open', async () => {
      const { claim, connection, stateOf, store } = await newConnection()
      const transaction = silent(connection)
      const complete = () => store.complete(claim, { retentionMs, transaction })

      expect(complete).toThrow('RINGHOOK_TRANSACTION_INVALID')
      expect(connection.inTransaction).toBe(false)
      connection.exec('BEGIN')
      expect(complete()).toBe(true)
      connection.exec('COMMIT')
      expect(await stateOf('key')).toBe('completed')
    })
  })

  it.each([
    ['nothing', null],
    ['text', 'BEGIN'],
    ['an object', {}],
    ['a function', () => {}],
    ['a query that gives no rows', { query: async () => ({ changes: 1 }) }],
    ['a query that gives nothing', { query: () => undefined }],
  ])('refuses %s', async (_, transaction) => {
    const { claim, stateOf, store } = await newBench()

    await expect(
      (async () => store.complete(claim, { retentionMs, transaction }))(),
    ).rejects.toMatchObject({ code: 'RINGHOOK_TRANSACTION_INVALID' })
    expect(await stateOf('key')).toBe('in_flight')
  })

  it('throws what is wrong with the database, and leaves the transaction to the user', async () => {
    const { claim, store } = await newBench()
    const stranger = open(':memory:')
    stranger.exec('CREATE TABLE calls (id TEXT); BEGIN')

    expect(() => store.complete(claim, { retentionMs, transaction: stranger })).toThrow(
      'RINGHOOK_STORE_NOT_MIGRATED',
    )
    expect(stranger.inTransaction).toBe(true)
  })

  it('throws RINGHOOK_STORE_BUSY where the transaction cannot become a writing one', async () => {
    const { claim, database, file, store } = await newBench()
    const connection = open(file, { timeout: 0 })
    connection.exec('BEGIN')
    connection.prepare('SELECT * FROM calls').all()
    database.exec("INSERT INTO calls VALUES ('of somebody else')")

    expect(() => store.complete(claim, { retentionMs, transaction: connection })).toThrow(
      'RINGHOOK_STORE_BUSY',
    )
  })

  describe('through an adapter', () => {
    it('commits and rolls back with Kysely', async () => {
      const { calls, claim, file, stateOf, store } = await newBench()
      const kysely = new Kysely<{ calls: { id: string } }>({
        dialect: new SqliteDialect({ database: open(file) }),
      })
      onTestFinished(() => kysely.destroy())
      const record = (id: string, mayCommit: boolean) =>
        kysely.transaction().execute(async (trx) => {
          await trx.insertInto('calls').values({ id }).execute()
          const transaction = {
            query: (text: string, values: SqliteValue[]) =>
              trx.executeQuery(CompiledQuery.raw(text, values)),
          }
          const isMarked = await store.complete(claim, { retentionMs, transaction })
          if (!mayCommit) throw new Error('no')
          return isMarked
        })

      await expect(record('call_1', false)).rejects.toThrow('no')
      expect([calls(), await stateOf('key')]).toEqual([[], 'in_flight'])
      expect(await record('call_2', true)).toBe(true)
      expect([calls(), await stateOf('key')]).toEqual([['call_2'], 'completed'])
    })

    it('commits and rolls back with Knex', async () => {
      const { calls, claim, file, stateOf, store } = await newBench()
      const db = knex({
        client: 'better-sqlite3',
        connection: { filename: file },
        useNullAsDefault: true,
      })
      onTestFinished(() => db.destroy())
      const record = (id: string, mayCommit: boolean) =>
        db.transaction(async (trx) => {
          await trx('calls').insert({ id })
          const transaction = {
            query: (text: string, values: SqliteValue[]) => trx.raw(text, values),
          }
          const isMarked = await store.complete(claim, { retentionMs, transaction })
          if (!mayCommit) throw new Error('no')
          return isMarked
        })

      await expect(record('call_1', false)).rejects.toThrow('no')
      expect([calls(), await stateOf('key')]).toEqual([[], 'in_flight'])
      expect(await record('call_2', true)).toBe(true)
      expect([calls(), await stateOf('key')]).toEqual([['call_2'], 'completed'])
    })

    it('has marked when it returns, if its query gives the rows at once', async () => {
      const { claim, database, stateOf, store } = await newBench()
      const transaction = {
        query: (text: string, values: SqliteValue[]) => database.prepare(text).all(...values),
      }

      const isMarked = database.transaction(() =>
        store.complete(claim, { retentionMs, transaction }),
      )()

      expect(isMarked).toBe(true)
      expect(await stateOf('key')).toBe('completed')
    })

    it('gives false for a claim that was taken over', async () => {
      const { claim, database, store } = await newBench()
      const query = async (text: string, values: SqliteValue[]) => ({
        rows: database.prepare(text).all(...values),
      })
      await store.release(claim)

      expect(await store.complete(claim, { retentionMs, transaction: { query } })).toBe(false)
    })

    it('passes on what the query fails with as a cause', async () => {
      const { claim, store } = await newBench()
      const cause = new Error('no')
      const complete = async (query: () => unknown) =>
        store.complete(claim, { retentionMs, transaction: { query } })
      const failure = { code: 'RINGHOOK_STORE_FAILED', cause }

      await expect(complete(() => Promise.reject(cause))).rejects.toMatchObject(failure)
      await expect(
        complete(() => {
          throw cause
        }),
      ).rejects.toMatchObject(failure)
    })
  })
})

describe('a transaction of the user on the connection of the store', () => {
  it.each([
    ['a database that says so', (database: SqliteDatabase) => database],
    ['a database that does not say so', silent],
  ])('is not joined by claims, which wait until it is over, on %s', async (_, wrapped) => {
    const { calls, database, file } = await newBench()
    const store = sqliteStore(wrapped(database))

    database.exec("BEGIN; INSERT INTO calls VALUES ('call_1')")
    const claiming = store.claim('other', byOwner('a'))
    await turns(100)
    expect(database.inTransaction).toBe(true)
    database.exec('ROLLBACK')

    expect((await claiming).state).toBe('claimed')
    expect(calls()).toEqual([])
    const another = sqliteStore(open(file))
    expect((await another.claim('other', byOwner('b'))).state).toBe('in_flight')
  })

  it('is waited for also while a query of the user gives its rows one by one', async () => {
    const { database, store } = await newBench()
    const rows = database.prepare('SELECT key FROM ringhook_events').iterate()
    rows.next()

    const claiming = store.claim('other', byOwner('a'))
    await turns(100)
    rows.return?.()

    expect((await claiming).state).toBe('claimed')
  })
})

/** A database that does not say whether a transaction is open, as those of the first node:sqlite. */
function silent(database: SqliteDatabase): SqliteDatabase {
  return { prepare: (sql) => database.prepare(sql), exec: (sql) => database.exec(sql) }
}
