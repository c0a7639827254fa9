import { writeFileSync } from 'node:fs'
import { RinghookError } from 'ringhook'
import { sqliteStore } from 'ringhook/stores/sqlite'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { byOwner, newFile, newStore, open, turns, won } from './sqlite-files.ts'

const retentionMs = 3_600_000

describe('sqliteStore, when something is wrong', () => {
  afterEach(() => void vi.useRealTimers())

  it.each([
    ['the table is missing', 'DROP TABLE ringhook_events', 'RINGHOOK_STORE_NOT_MIGRATED'],
    [
      'a column is missing',
      'ALTER TABLE ringhook_events RENAME COLUMN ends_at TO ended_at',
      'RINGHOOK_STORE_NOT_MIGRATED',
    ],
    ['it may only read', 'PRAGMA query_only = ON', 'RINGHOOK_STORE_READ_ONLY'],
  ])('says so if %s, for every operation that it is in the way of', async (_, sql, code) => {
    const { database, store } = await newStore()
    const claim = won(await store.claim('key', byOwner('a')))
    database.exec(sql)

    for (const operation of [
      () => store.claim('other', byOwner('a')),
      () => store.extend(claim, { leaseMs: 1 }),
      async () => store.complete(claim, { retentionMs }),
      () => store.release(claim),
      () => store.forget('key'),
      () => store.prune(),
    ]) {
      await expect(operation()).rejects.toMatchObject({ code, cause: expect.any(Error) })
    }
    const status = store.status('key')
    if (code === 'RINGHOOK_STORE_READ_ONLY') expect(await status).toBe('in_flight')
    else await expect(status).rejects.toMatchObject({ code, cause: expect.any(Error) })
    expect(database.inTransaction).toBe(false)
  })

  it('says that a file is read-only', async () => {
    const { file } = await newStore()
    const store = sqliteStore(open(file, { readonly: true }))

    await expect(store.claim('key', byOwner('a'))).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_READ_ONLY',
    })
  })

  it('says that a database is closed', async () => {
    const { database, store } = await newStore()
    const claim = won(await store.claim('key', byOwner('a')))
    database.close()

    await expect(store.claim('key', byOwner('a'))).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_UNREACHABLE',
    })
    await expect(store.status('key')).rejects.toMatchObject({ code: 'RINGHOOK_STORE_UNREACHABLE' })
    await expect(store.migrate()).rejects.toMatchObject({ code: 'RINGHOOK_STORE_UNREACHABLE' })
    await expect((async () => store.complete(claim, { retentionMs }))()).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_UNREACHABLE',
    })
  })

  it('says that a file is no database', async () => {
    const file = newFile()
    writeFileSync(file, 'Dear diary, '.repeat(1_000))

    const { code, message } = await failureOf(sqliteStore(open(file)).migrate())

    expect(code).toBe('RINGHOOK_STORE_FAILED')
    expect(message).toContain('The driver says SQLITE_NOTADB.')
  })

  it('says that the disk is full, keeps what it has, and goes on when there is room', async () => {
    const { database, store } = await newStore()
    database.pragma('max_page_count = 20')
    const keys = Array.from({ length: 2_000 }, (_, index) => `key-${index}`)

    const first = await Promise.allSettled(keys.map((key) => store.claim(key, byOwner('a'))))
    const refused = first.filter(({ status }) => status === 'rejected')
    expect(refused.length).toBeGreaterThan(0)
    for (const one of refused) {
      expect(one).toMatchObject({ reason: { code: 'RINGHOOK_STORE_FULL' } })
    }
    expect(database.inTransaction).toBe(false)

    database.pragma('max_page_count = 10000')
    const second = await Promise.all(keys.map((key) => store.claim(key, byOwner('b'))))
    for (const [index, { state }] of second.entries()) {
      expect(state).toBe(first[index]?.status === 'fulfilled' ? 'in_flight' : 'claimed')
    }
  })

  it('refuses one claim, and carries out those that came with it', async () => {
    const { database, store } = await newStore()
    database.exec(`CREATE TRIGGER picky BEFORE INSERT ON ringhook_events WHEN new.key = 'key-3'
      BEGIN SELECT raise(ABORT, 'not this one'); END`)

    const claims = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) => store.claim(`key-${index}`, byOwner('a'))),
    )

    expect(claims.map(({ status }) => status === 'fulfilled')).toEqual(
      Array.from({ length: 8 }, (_, index) => index !== 3),
    )
    expect((await store.claim('key-4', byOwner('b'))).state).toBe('in_flight')
  })

  it('rejects all claims of a transaction that one of them ended, and none of them stands', async () => {
    const { database, store } = await newStore()
    database.exec(`CREATE TRIGGER rough BEFORE INSERT ON ringhook_events WHEN new.key = 'key-3'
      BEGIN SELECT raise(ROLLBACK, 'nothing of it'); END`)

    const claims = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) => store.claim(`key-${index}`, byOwner('a'))),
    )

    expect(claims.filter(({ status }) => status === 'fulfilled')).toEqual([])
    expect(database.prepare('SELECT count(*) FROM ringhook_events').pluck().get()).toBe(0)
  })

  it('rejects all claims of a transaction that cannot be committed, and none of them stands', async () => {
    const { database, store } = await newStore()
    database.exec(`CREATE TABLE parents (id INTEGER PRIMARY KEY);
      CREATE TABLE children (id REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
      CREATE TRIGGER orphan AFTER INSERT ON ringhook_events BEGIN INSERT INTO children VALUES (7); END`)

    const claims = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) => store.claim(`key-${index}`, byOwner('a'))),
    )
    expect(claims.filter(({ status }) => status === 'fulfilled')).toEqual([])
    expect(database.inTransaction).toBe(false)

    database.exec('DROP TRIGGER orphan')
    expect(won(await store.claim('key-0', byOwner('b'))).fence).toBe(1)
  })

  it('does not guess what a row means that it did not write', async () => {
    const { database, store } = await newStore()
    await store.claim('key', byOwner('a'))
    database.exec('UPDATE ringhook_events SET state = 7')

    for (const ask of [() => store.claim('key', byOwner('b')), () => store.status('key')]) {
      await expect(ask()).rejects.toMatchObject({ code: 'RINGHOOK_STORE_FAILED' })
    }
  })

  it('says how a key stands while somebody else writes, as it was before', async () => {
    const { file, store } = await newStore()
    await store.claim('key', byOwner('a'))
    const other = open(file)
    other.exec('BEGIN IMMEDIATE; UPDATE ringhook_events SET state = 1')
    expect(await store.status('key')).toBe('in_flight')
    other.exec('COMMIT')
    expect(await store.status('key')).toBe('completed')
  })

  it('waits for a lock of somebody else, and the event loop goes on', async () => {
    const { file, store } = await newStore()
    const other = open(file)
    other.exec('BEGIN IMMEDIATE')

    const answers: string[] = []
    const claims = ['key-1', 'key-2'].map((key) =>
      store.claim(key, byOwner('a')).then(({ state }) => void answers.push(state)),
    )
    await turns(200)
    claims.push(store.claim('key-1', byOwner('b')).then(({ state }) => void answers.push(state)))
    await turns(200)
    expect(answers).toEqual([])
    other.exec('COMMIT')
    await Promise.all(claims)

    expect(answers).toEqual(['claimed', 'claimed', 'in_flight'])
  })

  it('gives up after some seconds, and is there again once the lock is gone', async () => {
    const { file, store } = await newStore()
    const other = open(file)
    other.exec('BEGIN IMMEDIATE')
    vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] })

    const early = failureOf(store.claim('key', byOwner('a')))
    await vi.advanceTimersByTimeAsync(4_000)
    const late = store.claim('key', byOwner('b'))
    await vi.advanceTimersByTimeAsync(2_000)
    expect(await early).toMatchObject({
      code: 'RINGHOOK_STORE_BUSY',
      cause: { code: 'SQLITE_BUSY' },
    })
    other.exec('COMMIT')
    await vi.advanceTimersByTimeAsync(1_000)

    expect((await late).state).toBe('claimed')
  })

  it('says to use a connection of its own if a transaction on it does not end', async () => {
    const { database, store } = await newStore()
    database.exec('BEGIN')
    vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] })

    const claiming = failureOf(store.claim('key', byOwner('a')))
    const migrating = failureOf(store.migrate())
    const asking = failureOf(store.status('key'))
    await turns(5)
    await vi.advanceTimersByTimeAsync(6_000)

    for (const failure of [await claiming, await migrating, await asking]) {
      expect(failure.code).toBe('RINGHOOK_STORE_BUSY')
      expect(String(failure.cause)).toContain('Give it a connection of its own.')
    }
    expect(database.inTransaction).toBe(true)
  })
})

async function failureOf(operation: Promise<unknown>): Promise<RinghookError> {
  try {
    await operation
  } catch (error) {
    if (error instanceof RinghookError) return error
  }
  throw new Error('there was no failure of the store')
}
