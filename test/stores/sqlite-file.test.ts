import { copyFileSync, mkdirSync, renameSync, rmSync, symlinkSync, truncateSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import Database from 'better-sqlite3'
import { sqliteInbox } from 'ringhook/inboxes/sqlite'
import { type SqliteDatabase, sqliteStore } from 'ringhook/stores/sqlite'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { openEndpoint, signed } from '../inboxes/receiver-endpoint.ts'
import { put, work } from '../inboxes/sqlite-files.ts'
import { byOwner, newFile, newStore, open } from './sqlite-files.ts'

/** What people and programs do to the files of a database that a process has open. */
const accidents: Readonly<Record<string, (file: string) => unknown>> = {
  'its file is deleted': (file) => rmSync(file),
  'its files are deleted': removeAll,
  'its file is moved': (file) => renameSync(file, `${file}.old`),
  'its files are deleted, and another process makes new ones': async (file) => {
    removeAll(file)
    await migrated(file)
  },
  'a backup is moved over its file': async (file) => {
    await backUp(file)
    renameSync(`${file}.backup`, file)
  },
  'a backup is put in the place of its files': async (file) => {
    await backUp(file)
    removeAll(file)
    renameSync(`${file}.backup`, file)
  },
  'its file is emptied': (file) => truncateSync(file),
  'its file is moved, and a link leads to it': (file) => {
    renameSync(file, `${file}.moved`)
    symlinkSync(`${file}.moved`, file)
  },
  'its folder is deleted': (file) => rmSync(dirname(file), { recursive: true }),
  'its folder is moved': (file) => renameSync(dirname(file), `${dirname(file)}.old`),
  'another folder is put in the place of its own': async (file) => {
    renameSync(dirname(file), `${dirname(file)}.old`)
    mkdirSync(dirname(file))
    await migrated(file)
  },
  'its -wal file is deleted': (file) => rmSync(`${file}-wal`),
  'its -shm file is deleted': (file) => rmSync(`${file}-shm`),
  'its -wal and -shm files are moved': (file) => {
    for (const suffix of ['-wal', '-shm']) renameSync(file + suffix, `${file}.old${suffix}`)
  },
}

describe.each(Object.entries(accidents))('when %s under a running process', (_, happens) => {
  it('a receiver with sqliteStore answers 503, says why, and runs no handler', async () => {
    const file = fileInFolder()
    const store = await migrated(file)
    const { deliver, outcomes, runs } = await openEndpoint({ store })
    expect(await deliver(signed('evt_1'))).toBe('200 handled')

    await happens(file)
    const answers = [await deliver(signed('evt_2')), await deliver(signed('evt_2'))]

    expect(answers).toEqual(new Array(2).fill('503 unavailable RINGHOOK_STORE_UNAVAILABLE'))
    expect(outcomes.slice(1).map(({ error }) => error)).toMatchObject(
      new Array(2).fill({
        code: 'RINGHOOK_STORE_FILE_REPLACED',
        message: expect.stringMatching(/^sqliteStore\(\) has a file open .* Restart the process/),
      }),
    )
    expect(runs).toHaveLength(1)
    for (const operation of [
      () => store.status('key'),
      () => store.prune(),
      () => store.migrate(),
    ]) {
      await expect(operation()).rejects.toMatchObject({ code: 'RINGHOOK_STORE_FILE_REPLACED' })
    }
  })

  it('a receiver with sqliteInbox answers 503, and says why', async () => {
    const file = fileInFolder()
    const database = open(file)
    const inbox = sqliteInbox(database)
    await inbox.migrate()
    const { deliver, outcomes } = await openEndpoint({ inbox, store: await migrated(file) })
    expect(await deliver(signed('evt_1'))).toBe('200 accepted')

    await happens(file)
    const answers = [await deliver(signed('evt_2')), await deliver(signed('evt_2'))]

    expect(answers).toEqual(new Array(2).fill('503 unavailable RINGHOOK_INBOX_UNAVAILABLE'))
    expect(outcomes.slice(1).map(({ error }) => error)).toMatchObject(
      new Array(2).fill({ code: 'RINGHOOK_STORE_FILE_REPLACED' }),
    )
    await expect(inbox.stats()).rejects.toMatchObject({ code: 'RINGHOOK_STORE_FILE_REPLACED' })
  })

  it('a worker of sqliteInbox claims nothing more, and reports it', async () => {
    const file = fileInFolder()
    const inbox = sqliteInbox(open(file), { pollMs: 1 })
    await inbox.migrate()
    const { errors, runs } = await work(inbox)
    onTestFinished(() => inbox.stop())

    await happens(file)
    await vi.waitFor(() => expect(errors.length).toBeGreaterThan(0))
    await expect(put(inbox, 'key')).rejects.toMatchObject({ code: 'RINGHOOK_STORE_FILE_REPLACED' })

    expect(errors[0]).toMatchObject({ code: 'RINGHOOK_STORE_FILE_REPLACED' })
    expect(runs).toEqual([])
  })
})

describe('the file of sqliteStore', () => {
  it('is missed if it was deleted before the store was made', async () => {
    const file = newFile()
    const database = open(file)
    rmSync(file)

    await expect(sqliteStore(database).migrate()).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_FILE_REPLACED',
    })
  })

  it('is missed in a rollback journal too', async () => {
    const { database, file, store } = await newStore()
    database.pragma('journal_mode = DELETE')
    await store.claim('key', byOwner('a'))
    renameSync(file, `${file}.old`)

    await expect(store.claim('other', byOwner('a'))).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_FILE_REPLACED',
    })
  })

  it('is missed where the link to it leads elsewhere', async () => {
    const file = newFile()
    const link = join(dirname(file), 'current.db')
    const other = newFile()
    await migrated(file)
    await migrated(other)
    symlinkSync(file, link)
    const store = await migrated(link)
    await store.claim('key', byOwner('a'))
    rmSync(link)
    symlinkSync(other, link)

    await expect(store.claim('other', byOwner('a'))).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_FILE_REPLACED',
    })
  })

  it('is missed when it goes while a handler runs: what is claimed later is refused', async () => {
    const { file, store } = await newStore()
    const { deliver } = await openEndpoint({
      store,
      ackDeadlineMs: 300,
      handle: () => rmSync(file),
    })

    await deliver(signed('evt_1'))

    expect(await deliver(signed('evt_2'))).toBe('503 unavailable RINGHOOK_STORE_UNAVAILABLE')
  })

  it('is accepted again once it is back in its place', async () => {
    const { file, store } = await newStore()
    const { deliver } = await openEndpoint({ store })
    renameSync(file, `${file}.old`)
    const away = await deliver(signed('evt_1'))
    renameSync(`${file}.old`, file)

    expect(away).toBe('503 unavailable RINGHOOK_STORE_UNAVAILABLE')
    expect(await deliver(signed('evt_2'))).toBe('200 handled')
  })

  it('is found after the process has changed its folder', async () => {
    const file = newFile()
    const store = await migrated(relative(process.cwd(), file))
    vi.spyOn(process, 'cwd').mockReturnValue('/')
    onTestFinished(() => void vi.restoreAllMocks())

    expect(await store.claim('key', byOwner('a'))).toMatchObject({ state: 'claimed' })
  })

  it.each([':memory:', ''])('is not looked for where there is none: %j', async (name) => {
    const store = await migrated(name)

    expect(await store.claim('key', byOwner('a'))).toMatchObject({ state: 'claimed' })
  })

  it('may be vacuumed, checkpointed and closed by others, and change its journal', async () => {
    const { database, file, store } = await newStore()
    const other = new Database(file)
    for (const sql of [
      'VACUUM',
      'PRAGMA wal_checkpoint(TRUNCATE)',
      'CREATE TABLE other (x)',
      'PRAGMA journal_mode = DELETE',
    ]) {
      ;(sql.includes('journal') ? database : other).exec(sql)
      if (sql.startsWith('CREATE')) other.close()
      expect(await store.claim(sql, byOwner('a'))).toMatchObject({ state: 'claimed' })
    }
    await store.migrate()

    expect(await store.claim('key', byOwner('a'))).toMatchObject({ state: 'claimed' })
  })

  it('may be another one after the connection was closed and opened again', async () => {
    const file = newFile()
    const reopened = reopenable(file)
    const store = sqliteStore(reopened)
    await store.migrate()
    removeAll(file)
    reopened.reopen()
    await store.migrate().catch(() => {
      // Statements of the closed connection.
    })
    await store.migrate()

    expect(await store.claim('key', byOwner('a'))).toMatchObject({ state: 'claimed' })
    removeAll(file)
    await expect(store.claim('other', byOwner('a'))).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_FILE_REPLACED',
    })
  })

  it('keeps what is written after another one was copied over it', async () => {
    const { database, file, store } = await newStore()
    await store.claim('first', byOwner('a'))
    await backUp(file)
    for (let index = 0; index < 500; index++) await store.claim(`key-${index}`, byOwner('a'))
    database.pragma('wal_checkpoint(TRUNCATE)')
    copyFileSync(`${file}.backup`, file)

    const { state } = await store.claim('last', byOwner('a'))

    const keys = open(file).prepare('SELECT key FROM ringhook_events ORDER BY key').pluck().all()
    expect([state, keys]).toEqual(['claimed', ['first', 'last']])
  })
})

/** A file in a folder of its own, that may be moved away with it. */
function fileInFolder(): string {
  const folder = join(dirname(newFile()), 'data')
  mkdirSync(folder)
  return join(folder, 'events.db')
}

/** A store on a connection of its own, as another process would have it. */
async function migrated(file: string) {
  const store = sqliteStore(open(file))
  await store.migrate()
  return store
}

function removeAll(file: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true })
}

async function backUp(file: string): Promise<void> {
  await open(file).backup(`${file}.backup`)
}

/** A database that can be closed and opened again, as those of node:sqlite can. */
function reopenable(file: string): SqliteDatabase & { reopen(): void } {
  let database = open(file)
  return {
    prepare: (sql) => database.prepare(sql),
    exec: (sql) => database.exec(sql),
    get inTransaction() {
      return database.inTransaction
    },
    reopen() {
      database.close()
      database = open(file)
    },
  }
}
