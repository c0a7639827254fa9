import { writeFileSync } from 'node:fs'
import { sqliteInbox } from 'ringhook/inboxes/sqlite'
import { manualClock } from 'ringhook/testing'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { newFile, open, turns } from '../stores/sqlite-files.ts'
import { done, newInbox, put, work } from './sqlite-files.ts'

describe('sqliteInbox, when something is wrong', () => {
  afterEach(() => void vi.useRealTimers())

  it.each([
    ['the table is missing', 'DROP TABLE ringhook_inbox', 'RINGHOOK_STORE_NOT_MIGRATED'],
    [
      'a column is missing',
      'ALTER TABLE ringhook_inbox RENAME COLUMN key TO event_key',
      'RINGHOOK_STORE_NOT_MIGRATED',
    ],
  ])('says so if %s, for every operation', async (_, sql, code) => {
    const { database, inbox } = await newInbox()
    database.exec(sql)

    for (const operation of [
      () => put(inbox, 'event'),
      () => inbox.replay('event'),
      () => inbox.discard('event'),
      () => inbox.entry('event'),
      () => first(inbox.entries({})),
    ]) {
      await expect(operation()).rejects.toMatchObject({ code, cause: expect.any(Error) })
    }
    expect(database.inTransaction).toBe(false)
  })

  it('says that a file is read-only, and still shows what is in it', async () => {
    const { file, inbox: writer } = await newInbox()
    await put(writer, 'event')
    const inbox = sqliteInbox(open(file, { readonly: true }))

    await expect(put(inbox, 'other')).rejects.toMatchObject({ code: 'RINGHOOK_STORE_READ_ONLY' })
    expect(await inbox.entry('event')).toMatchObject({ state: 'waiting' })
    expect(await inbox.stats()).toMatchObject({ waiting: 1 })
    expect(await first(inbox.entries({}))).toMatchObject({ id: 'event' })
  })

  it('says that a database is closed, and stops all the same', async () => {
    const { database, inbox } = await newInbox()
    const { end, errors } = await work(inbox)
    await put(inbox, 'event')
    await turns(20)
    database.close()

    const code = 'RINGHOOK_STORE_UNREACHABLE'
    await expect(put(inbox, 'other')).rejects.toMatchObject({ code })
    await expect(inbox.stats()).rejects.toMatchObject({ code })
    await expect(inbox.migrate()).rejects.toMatchObject({ code })
    await inbox.stop()
    expect(errors.at(-1)).toMatchObject({ code })
    end('event', done)
    await turns(20)
    expect(errors).toHaveLength(1)
  })

  it('goes on when a database was closed and is opened again', async () => {
    const { database, file, inbox: writer } = await newInbox()
    await put(writer, 'event')
    let current = database
    const inbox = sqliteInbox({
      prepare: (sql) => current.prepare(sql),
      exec: (sql) => current.exec(sql),
    })
    expect(await inbox.stats()).toMatchObject({ waiting: 1 })

    database.close()
    await expect(inbox.stats()).rejects.toMatchObject({ code: 'RINGHOOK_STORE_UNREACHABLE' })
    current = open(file)
    expect(await inbox.stats()).toMatchObject({ waiting: 1 })
    expect(await put(inbox, 'other')).toBe('accepted')
  })

  it('says that a file is no database', async () => {
    const file = newFile()
    writeFileSync(file, 'Dear diary, '.repeat(1_000))

    await expect(sqliteInbox(open(file)).migrate()).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_FAILED',
    })
  })

  it('accepts nothing that it cannot keep on a full disk, and goes on when there is room', async () => {
    const { database, file, inbox } = await newInbox()
    database.pragma('max_page_count = 40')
    const keys = Array.from({ length: 1_000 }, (_, index) => `event-${index}`)

    const answers = await Promise.allSettled(keys.map((key) => put(inbox, key)))
    const refused = answers.filter(({ status }) => status === 'rejected')
    expect(refused.length).toBeGreaterThan(0)
    for (const one of refused)
      expect(one).toMatchObject({ reason: { code: 'RINGHOOK_STORE_FULL' } })
    const accepted = keys.filter((_, index) => answers[index]?.status === 'fulfilled')
    const stored = open(file).prepare('SELECT key FROM ringhook_inbox ORDER BY seq').pluck().all()
    expect(stored).toEqual(accepted)

    database.pragma('max_page_count = 10000')
    const again = await Promise.all(keys.map((key) => put(inbox, key)))
    expect(keys.filter((_, index) => again[index] === 'duplicate')).toEqual(accepted)
  })

  it('does not start a worker on a table that is missing', async () => {
    const inbox = sqliteInbox(open(newFile()))
    const starting = inbox.start(async () => done, { concurrency: 1, onError: () => {} })
    await expect(starting).rejects.toMatchObject({ code: 'RINGHOOK_STORE_NOT_MIGRATED' })
  })

  it('refuses one delivery, and accepts those that came with it', async () => {
    const { database, inbox } = await newInbox()
    database.exec(`CREATE TRIGGER picky BEFORE INSERT ON ringhook_inbox WHEN new.key = 'event-3'
      BEGIN SELECT raise(ABORT, 'not this one'); END`)

    const answers = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) => put(inbox, `event-${index}`)),
    )

    expect(answers.map(({ status }) => status === 'fulfilled')).toEqual(
      Array.from({ length: 8 }, (_, index) => index !== 3),
    )
    expect((await inbox.stats()).waiting).toBe(7)
  })

  it('leaves nothing of work that failed half-way, and does what came together with it', async () => {
    const clock = manualClock()
    const { database, inbox } = await newInbox({ clock, leaseMs: 3_000 })
    const { end, errors, runs } = await work(inbox)
    const order = { key: 'call', maxHoldMs: 1_000 }
    for (const key of ['a', 'b']) await put(inbox, key, order)
    await turns(20)
    // As a disk that is full for a moment: 'a' is removed, and nobody looks at 'b' again.
    database.exec(`CREATE TRIGGER full BEFORE UPDATE OF due_at ON ringhook_inbox WHEN old.state = 3
      BEGIN SELECT raise(ABORT, 'full'); END`)
    end('a', done)
    const together = put(inbox, 'other')
    expect(await together).toBe('accepted')
    await turns(20)
    expect(errors).toHaveLength(1)
    expect(await inbox.entry('a')).toMatchObject({ state: 'running' })

    database.exec('DROP TRIGGER full')
    await clock.advance(3_200)
    end('a', done)
    await turns(20)
    expect(runs).toEqual(['a 1', 'other 1', 'a 2', 'b 1'])
  })

  it('waits for a lock of somebody else, while the event loop goes on and lists are read', async () => {
    const { file, inbox } = await newInbox()
    await put(inbox, 'event')
    const other = open(file)
    other.exec('BEGIN IMMEDIATE')

    let answer: string | undefined
    const putting = put(inbox, 'other').then((said) => {
      answer = said
    })
    await turns(200)
    expect(answer).toBeUndefined()
    expect(await inbox.entry('event')).toMatchObject({ state: 'waiting' })
    other.exec('COMMIT')
    await putting

    expect(answer).toBe('accepted')
  })

  it('gives up a put after some seconds', async () => {
    const { file, inbox } = await newInbox()
    open(file).exec('BEGIN IMMEDIATE')
    vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] })

    const refused = expect(put(inbox, 'event')).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_BUSY',
    })
    await turns(5)
    await vi.advanceTimersByTimeAsync(6_000)
    await refused
  })

  it('tells a worker what is wrong, which goes on by itself', async () => {
    const clock = manualClock()
    const { database, inbox } = await newInbox({ clock })
    const { errors, runs } = await work(inbox)
    database.exec('ALTER TABLE ringhook_inbox RENAME TO elsewhere')
    for (let look = 0; look < 10; look++) {
      await clock.advance(200)
      await turns(5)
    }
    expect(errors.length).toBeGreaterThan(1)
    for (const error of errors) {
      expect(error).toMatchObject({ code: 'RINGHOOK_STORE_NOT_MIGRATED' })
    }

    database.exec('ALTER TABLE elsewhere RENAME TO ringhook_inbox')
    await put(inbox, 'event')
    await clock.advance(20_000)
    await turns(5)
    expect(runs).toEqual(['event 1'])
  })
})

async function first<Item>(items: AsyncIterable<Item>): Promise<Item | undefined> {
  for await (const item of items) return item
  return undefined
}
