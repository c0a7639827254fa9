import Database from 'better-sqlite3'
import { Redis } from 'ioredis'
import { createPool as createCallbackPool } from 'mysql2'
import { createPool } from 'mysql2/promise'
import pg from 'pg'
import { type IdempotencyStore, memoryStore } from 'ringhook'
import { mysqlMigration, mysqlStore } from 'ringhook/stores/mysql'
import { postgresMigration, postgresStore } from 'ringhook/stores/postgres'
import { redisStore } from 'ringhook/stores/redis'
import { sqliteMigration, sqliteStore } from 'ringhook/stores/sqlite'
import { describe, expect, it } from 'vitest'

// None of them connects before it is asked something.
const pool = new pg.Pool()
const mysql = createPool({})
const redis = new Redis({ lazyConnect: true })
const factories: Readonly<Record<string, (options?: never) => unknown>> = {
  memoryStore: (options) => memoryStore(options),
  redisStore: (options) => redisStore(redis, options),
  postgresStore: (options) => postgresStore(pool, options),
  mysqlStore: (options) => mysqlStore(mysql, options),
  sqliteStore: (options) => sqliteStore(new Database(':memory:'), options),
  postgresMigration,
  mysqlMigration,
  sqliteMigration,
}
const invalid = { code: 'RINGHOOK_OPTION_INVALID' }

describe.each(Object.entries(factories))('%s', (name, make) => {
  it.each([
    { tabel: 'events' },
    { prefx: 'a' },
    { prepared: false },
    { maxEntrys: 1 },
    'events',
    null,
    7,
    ['events'],
  ])('refuses unknown and invalid options: %o', (options) => {
    expect(() => make(options as never)).toThrow(expect.objectContaining(invalid))
  })

  it('names the unknown option, and the known ones', () => {
    expect(() => make({ tabel: 'events' } as never)).toThrow(
      new RegExp(
        `^${name}\\(\\) has no option "tabel"\\.( Did you mean "table"\\?)? Options: [\\w, ]+\\.`,
      ),
    )
  })

  it('accepts empty options, and none', () => {
    expect(() => make()).not.toThrow()
    expect(() => make({} as never)).not.toThrow()
  })
})

describe.each(Object.entries(factories).filter(([name]) => name.endsWith('Store')))(
  'a %s',
  (_name, make) => {
    const store = make() as IdempotencyStore
    const asked = { owner: 'a', leaseMs: 1_000, fingerprint: 'f' }
    const held = { state: 'claimed', key: 'a', owner: 'a', fence: 1, attempt: 1 } as const
    const refused = (told: unknown) => expect(Promise.resolve(told)).rejects.toMatchObject(invalid)

    it.each([Number.NaN, Number.POSITIVE_INFINITY, -5, 1e14, 'x', '1', undefined, null])(
      'refuses an invalid time: %s',
      async (time) => {
        const ms = time as number
        await refused(store.claim('a', { ...asked, leaseMs: ms }))
        await refused(store.extend(held, { leaseMs: ms }))
        await refused(Promise.resolve(store.complete(held, { retentionMs: ms })))
      },
    )

    it.each([7, undefined, null, {}])(
      'refuses a key or an owner that is not a string: %s',
      async (odd) => {
        const text = odd as string
        await refused(store.claim(text, asked))
        await refused(store.claim('a', { ...asked, owner: text }))
        await refused(store.forget(text))
        for (const claim of [
          { ...held, key: text },
          { ...held, owner: text },
        ]) {
          await refused(store.extend(claim, { leaseMs: 1_000 }))
          await refused(Promise.resolve(store.complete(claim, { retentionMs: 1_000 })))
          await refused(store.release(claim))
        }
      },
    )

    it.each([7, undefined, null, '\n', 'é', 'x'.repeat(129)])(
      'refuses a fingerprint that is not short plain text: %s',
      async (odd) => {
        await refused(store.claim('a', { ...asked, fingerprint: odd as string }))
      },
    )
  },
)

describe('the client of another database', () => {
  const invalidClient = (name: string) =>
    expect.objectContaining({
      code: 'RINGHOOK_STORE_INVALID',
      message: expect.stringContaining(name),
    })

  it.each([
    ['a Pool', pool],
    ['a Client', new pg.Client()],
  ])('is refused by mysqlStore: %s of pg', (_name, client) => {
    expect(() => mysqlStore(client as never)).toThrow(invalidClient('mysql2'))
  })

  it.each([
    ['with promises', mysql],
    ['with callbacks', createCallbackPool({})],
  ])('is refused by postgresStore: a pool of mysql2 %s', (_name, client) => {
    expect(() => postgresStore(client as never)).toThrow(invalidClient('Pool of pg'))
  })
})
