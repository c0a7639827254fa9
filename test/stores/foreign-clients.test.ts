import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Redis } from 'ioredis'
import knex from 'knex'
import { Kysely, PostgresDialect } from 'kysely'
import { createPool as createCallbackPool } from 'mysql2'
import { createPool } from 'mysql2/promise'
import pg from 'pg'
import postgres from 'postgres'
import { createClient } from 'redis'
import { bullmqInbox } from 'ringhook/inboxes/bullmq'
import { pgBossInbox } from 'ringhook/inboxes/pg-boss'
import { sqliteInbox } from 'ringhook/inboxes/sqlite'
import { mysqlStore } from 'ringhook/stores/mysql'
import { postgresStore } from 'ringhook/stores/postgres'
import { redisStore } from 'ringhook/stores/redis'
import { sqliteStore } from 'ringhook/stores/sqlite'
import { describe, expect, it } from 'vitest'

// None of them connects before it is asked something.
const pool = new pg.Pool()
const real: Readonly<Record<string, unknown>> = {
  'Pool of pg': pool,
  'Client of pg': new pg.Client(),
  'postgres.js': postgres('postgres://127.0.0.1/none'),
  'Drizzle. Its own client is at db.$client': drizzle(pool),
  Kysely: new Kysely({ dialect: new PostgresDialect({ pool }) }),
  Knex: knex({ client: 'pg' }),
  'mysql2/promise': createPool({}),
  'client of mysql2': createCallbackPool({}),
  ioredis: new Redis({ lazyConnect: true }),
  'node-redis': createClient(),
  'better-sqlite3': new Database(':memory:'),
}

/** What clients that are not installed here have, as their packages had it in November 2026. */
const lookAlikes: Readonly<Record<string, unknown>> = {
  'client of mysql, which is another package than mysql2': having(
    ['getConnection', 'acquireConnection', 'releaseConnection', 'end', 'query', 'escape'],
    ['escapeId', 'on'],
  ),
  'client of mariadb': having(
    ['query', 'execute', 'batch', 'importFile', 'getConnection'],
    ['escape', 'escapeId', 'on'],
  ),
  '@upstash/redis, which speaks HTTP': having([
    'eval',
    'evalsha',
    'evalshaRo',
    'evalRo',
    'get',
    'set',
    'pipeline',
    'multi',
  ]),
  '3 or older, whose answers come by callbacks': having([
    'eval',
    'evalsha',
    'send_command',
    'internal_send_command',
    'on',
    'duplicate',
  ]),
  'DataSource of TypeORM': having([
    'query',
    'createQueryRunner',
    'getRepository',
    'transaction',
    'initialize',
  ]),
  'EntityManager of TypeORM': having(['query', 'getRepository', 'createQueryBuilder']),
  'QueryRunner of TypeORM': having(['query', 'startTransaction', 'getTable', 'release']),
  Sequelize: having(['query', 'define', 'authenticate', 'getQueryInterface', 'transaction']),
  'pg-promise. Its Pool of pg is at db.$pool': having([
    'query',
    'connect',
    'none',
    'one',
    'oneOrNone',
    'manyOrNone',
    'tx',
  ]),
  Slonik: having(['query', 'connect', 'any', 'anyFirst', 'one', 'oneFirst', 'transaction']),
  PrismaClient: having(['$connect', '$disconnect', '$queryRawUnsafe', '$transaction']),
  '@neondatabase/serverless': Object.assign(() => {}, having(['query', 'unsafe', 'transaction'])),
  'sqlite3, whose answers come by callbacks': having([
    'prepare',
    'exec',
    'run',
    'get',
    'all',
    'serialize',
    'parallelize',
    'on',
  ]),
  'sqlite, whose answers come by promises': having([
    'prepare',
    'exec',
    'run',
    'get',
    'all',
    'getDatabaseInstance',
  ]),
  'sql.js': having(['prepare', 'exec', 'run', 'getRowsModified', 'export']),
  D1: having(['prepare', 'exec', 'batch', 'dump']),
  '@libsql/client': having(['execute', 'executeMultiple', 'batch', 'transaction', 'close']),
  'store of ringhook': postgresStore(pool),
  'inbox of ringhook': having(['put', 'start', 'stop', 'replay', 'discard', 'entry', 'migrate']),
  'promise: wait for it first': Promise.resolve(pool),
}

const factories: Readonly<Record<string, readonly string[]>> = {
  postgresStore: ['Pool of pg', 'Client of pg'],
  mysqlStore: ['mysql2/promise', 'client of mysql2'],
  redisStore: ['ioredis', 'node-redis'],
  sqliteStore: ['better-sqlite3'],
  sqliteInbox: ['better-sqlite3'],
  bullmqInbox: [],
  pgBossInbox: [],
}

const make: Readonly<Record<string, (client: never) => unknown>> = {
  postgresStore,
  mysqlStore,
  redisStore,
  sqliteStore,
  sqliteInbox,
  bullmqInbox: (queue) => bullmqInbox(queue, {} as never),
  pgBossInbox,
}

describe.each(Object.entries(factories))('%s', (name, own) => {
  const code = name.endsWith('Store') ? 'RINGHOOK_STORE_INVALID' : 'RINGHOOK_INBOX_INVALID'
  const build = (client: unknown) => make[name]?.(client as never)
  const clients = Object.entries({ ...real, ...lookAlikes })

  it.each(clients.filter(([given]) => own.includes(given)))('takes a %s', (_given, client) => {
    expect(() => build(client)).not.toThrow()
  })

  it.each(clients.filter(([given]) => !own.includes(given)))(
    'refuses what it cannot use, and says what it was: %s',
    (given, client) => {
      const message = expect.stringContaining(given)
      expect(() => build(client)).toThrow(expect.objectContaining({ code, message }))
      expect(() => build(client)).toThrow(new RegExp(`^${name}\\(\\) was given .*\\. Give it `))
    },
  )

  it.each([
    ['a string', 'postgres://app:secret@127.0.0.1/app', /was given a string, and not a client/],
    ['options', { host: '127.0.0.1', password: 'secret' }, /was given an object of another kind/],
    ['a class', pg.Pool, /was given a class|was given a function/],
    ['a factory', () => pool, /was given a function/],
    ['nothing', undefined, /was given undefined/],
    ['null', null, /was given null/],
    ['a number', 7, /was given a number/],
    ['a proxy that throws', throwing(), /was given/],
    ['a revoked proxy', revoked(), /was given/],
    ['an object without a prototype', Object.create(null), /was given/],
  ])('refuses %s, and quotes none of it', (_what, client, said) => {
    const message = expect.stringMatching(said)
    expect(() => build(client)).toThrow(expect.objectContaining({ code, message }))
    expect(() => build(client)).not.toThrow(/secret/)
  })
})

describe('an adapter that has nothing but what a store asks for', () => {
  it('is taken', () => {
    const adapter = { query: async () => ({ rows: [] }) }
    expect(() => postgresStore(adapter)).not.toThrow()
    expect(() => mysqlStore({ query: async () => [[]] })).not.toThrow()
    expect(() => postgresStore(new Proxy(pool, {}))).not.toThrow()
    expect(() => redisStore({ evalsha: async () => '', eval: async () => '' })).not.toThrow()
  })
})

describe('a client whose commands return no promise', () => {
  it('is named at once, and not waited for', async () => {
    const client = { evalsha: () => undefined, eval: () => undefined }
    const invalid = { code: 'RINGHOOK_STORE_INVALID', message: /return no promises/ }
    for (const ask of [
      () => redisStore(client as never).migrate(),
      () => redisStore(new Redis({ lazyConnect: true }).pipeline() as never).status('a'),
    ]) {
      await expect(ask()).rejects.toMatchObject({
        code: invalid.code,
        message: expect.stringMatching(invalid.message),
      })
    }
  })

  it('is named where it stands for SQLite', async () => {
    const later = { get: async () => [5_000], run: async () => ({}), all: async () => [] }
    for (const prepare of [() => later, async () => later, (): unknown => undefined]) {
      const database = { prepare, exec: async () => {} }
      await expect(sqliteStore(database as never).status('a')).rejects.toMatchObject({
        code: 'RINGHOOK_STORE_FAILED',
        message: expect.stringMatching(/neither by a callback nor by a promise/),
      })
    }
  })
})

function having(methods: readonly string[], more: readonly string[] = []): object {
  return Object.fromEntries([...methods, ...more].map((name) => [name, () => undefined]))
}

function throwing(): object {
  const refuse = () => {
    throw new Error('secret')
  }
  return new Proxy({}, { get: refuse, has: refuse, getPrototypeOf: refuse, ownKeys: refuse })
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}
