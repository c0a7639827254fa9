import { createPool } from 'mysql2/promise'
import { createClient } from 'redis'
import { mysqlStore } from 'ringhook/stores/mysql'
import { redisStore } from 'ringhook/stores/redis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { claimOptions, postgresSchema } from './postgres-schema.ts'

describe('redisStore with a client of node-redis that was never connected', () => {
  it('says that it is to be connected', async () => {
    const store = redisStore(createClient())
    for (const ask of [() => store.migrate(), () => store.claim('a', claimOptions('a'))]) {
      await expect(ask()).rejects.toMatchObject({
        code: 'RINGHOOK_STORE_UNREACHABLE',
        message: expect.stringContaining('Call client.connect()'),
      })
    }
  })
})

describeOn('mysql', 'mysqlStore with a URL that names no database', (url) => {
  it('says that none is named', async () => {
    const pool = createPool({ uri: Object.assign(new URL(url), { pathname: '' }).href })
    onTestFinished(() => pool.end())
    const store = mysqlStore(pool)
    for (const ask of [() => store.migrate(), () => store.claim('a', claimOptions('a'))]) {
      await expect(ask()).rejects.toMatchObject({
        code: 'RINGHOOK_STORE_ACCESS_DENIED',
        message: expect.stringMatching(/names none\. Put one into the URL/),
      })
    }
  })
})

describeOn('postgres', 'postgresStore whose table is not there', (url) => {
  const { schema, admin, store } = postgresSchema(url)
  const notMigrated = (message: RegExp) => ({
    code: 'RINGHOOK_STORE_NOT_MIGRATED',
    message: expect.stringMatching(message),
  })

  it('names both options to an operation', async () => {
    await expect(store({ schema: 'none' }).forget('a')).rejects.toMatchObject(
      notMigrated(/Call migrate\(\).*options table and schema/),
    )
  })

  it('does not tell a migration that failed to call migrate()', async () => {
    await admin.query(`CREATE TABLE ${schema}.orders (id text PRIMARY KEY)`)
    await expect(store({ schema: 'none' }).migrate()).rejects.toMatchObject(
      notMigrated(/^(?!.*Call migrate).*CREATE SCHEMA.*option schema/),
    )
    await expect(store({ table: 'orders' }).migrate()).rejects.toMatchObject(
      notMigrated(/^(?!.*Call migrate).*other columns/),
    )
  })
})
