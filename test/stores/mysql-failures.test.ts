import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { createConnection, createPool, type Pool, type PoolOptions } from 'mysql2/promise'
import { type MysqlClient, mysqlMigration, mysqlStore } from 'ringhook/stores/mysql'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { hold, mysqlTables, options } from './mysql-tables.ts'
import { type Answer, startWrongServer, type WrongServer } from './mysql-wrong-server.ts'

type Store = ReturnType<typeof mysqlStore>

const failed = (code: string) => ({ code: `RINGHOOK_STORE_${code}`, name: 'RinghookError' })
const held = { state: 'claimed', key: 'a', owner: 'a', fence: 1, attempt: 1 } as const

/** Every operation there is, which fails with one code, and says nothing that the server said. */
async function expectAllToFail(store: Store, code: string, secret = 'none'): Promise<void> {
  const results = await Promise.allSettled([
    store.claim('a', options('a')),
    store.extend(held, { leaseMs: 1 }),
    store.complete(held, { retentionMs: 1 }),
    store.release(held),
    store.forget('a'),
    store.status('a'),
    store.prune(),
    store.migrate(),
  ])
  for (const result of results) {
    if (result.status === 'fulfilled') throw new Error(`it gave ${String(result.value)}`)
    expect(result.reason).toMatchObject(failed(code))
    expect(result.reason.message).not.toContain(secret)
  }
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

describeOn('mysql', 'mysqlStore when its server refuses', (url) => {
  const { prefix, admin, pool, column } = mysqlTables(url)
  const table = `${prefix}_events`

  /** A user with some rights, that goes when the test has run. */
  async function user(grant: string, limit = ''): Promise<PoolOptions> {
    const name = `test_${randomBytes(6).toString('hex')}`
    await admin.query(`CREATE USER '${name}'@'%' IDENTIFIED BY 'right' ${limit}`)
    onTestFinished(async () => void (await admin.query(`DROP USER '${name}'@'%'`)))
    if (grant !== '') await admin.query(`GRANT ${grant} TO '${name}'@'%'`)
    return { user: name, password: 'right' }
  }

  /** A pool that ends before its user does. */
  function poolOf(more: PoolOptions): Pool {
    const made = createPool({ uri: url, ...more })
    onTestFinished(() => made.end())
    return made
  }

  it('says that nobody answers', async () => {
    const port = await freePort()
    await expectAllToFail(mysqlStore(poolOf({ port })), 'UNREACHABLE')
  })

  it('says that it is not let in: with a wrong password, to no such database, to no such table', async () => {
    await mysqlStore(admin, { table }).migrate()
    const known = await user('')
    for (const access of [{ ...known, password: 'wrong' }, known]) {
      const store = mysqlStore(poolOf(access), { table })
      await expectAllToFail(store, 'ACCESS_DENIED', String(known.user))
    }
    const nowhere = mysqlStore(poolOf({ database: `${prefix}_none` }), { table })
    await expectAllToFail(nowhere, 'ACCESS_DENIED', prefix)
    await mysqlStore(admin, { table: `${table}_other` }).migrate()
    const elsewhere = poolOf(await user(`SELECT ON test.${table}_other`))
    await expect(mysqlStore(elsewhere, { table }).migrate()).rejects.toMatchObject(
      failed('ACCESS_DENIED'),
    )
  })

  it('needs no right to create where the table is there already', async () => {
    await mysqlStore(admin, { table }).migrate()
    const access = await user(`SELECT, INSERT, UPDATE, DELETE ON test.${table}`)
    const store = mysqlStore(poolOf(access), { table })
    await store.migrate()
    const mine = await hold(store, `granted-${prefix}`)
    expect(await store.complete(mine, { retentionMs: 0 })).toBe(true)
    expect(await store.prune()).toBeGreaterThan(0)
    await expect(mysqlStore(poolOf(access)).migrate()).rejects.toMatchObject(
      failed('ACCESS_DENIED'),
    )
  })

  it('says that its table is missing, or is another one', async () => {
    const missing = mysqlStore(pool(), { table: `${prefix}_missing` })
    await expect(missing.claim('a', options('a'))).rejects.toMatchObject(failed('NOT_MIGRATED'))
    await expect(missing.release(held)).rejects.toMatchObject(failed('NOT_MIGRATED'))
    await expect(missing.prune()).rejects.toMatchObject(failed('NOT_MIGRATED'))
    const other = `${prefix}_other`
    await admin.query(`CREATE TABLE ${other} (id INT PRIMARY KEY)`)
    await expectAllToFail(mysqlStore(pool(), { table: other }), 'NOT_MIGRATED')
  })

  it('says so where the table cuts off what is written', async () => {
    const short = `${prefix}_short`
    await admin.query(mysqlMigration({ table: short }))
    await admin.query(`ALTER TABLE ${short} MODIFY owner VARBINARY(3) NOT NULL`)
    const store = mysqlStore(admin, { table: short })
    await expect(store.claim('a', options('long'))).rejects.toMatchObject(failed('NOT_MIGRATED'))
  })

  it('says that the server takes no writes', async () => {
    await mysqlStore(admin, { table }).migrate()
    const client = poolOf({})
    client.on('connection', (made) => void made.query('SET SESSION TRANSACTION READ ONLY'))
    const store = mysqlStore(client, { table })
    await expect(store.claim('read-only', options('a'))).rejects.toMatchObject(failed('READ_ONLY'))
    await expect(store.release(held)).rejects.toMatchObject(failed('READ_ONLY'))
    await expect(store.forget('a')).rejects.toMatchObject(failed('READ_ONLY'))
    // It may be another server by now: those connections are not used again.
    expect((client as unknown as InnerPool).pool._allConnections.length).toBe(0)
  })

  it('says that all connections are taken, of the server and of the pool', async () => {
    await mysqlStore(admin, { table }).migrate()
    const access = await user('ALL ON test.*', 'WITH MAX_USER_CONNECTIONS 1')
    const only = await createConnection({ uri: url, ...access })
    await expectAllToFail(mysqlStore(poolOf(access), { table }), 'BUSY', String(access.user))
    only.destroy()
    const small = poolOf({ connectionLimit: 1, queueLimit: 1 })
    const taken = await small.getConnection()
    const queued = small.getConnection()
    await expectAllToFail(mysqlStore(small, { table }), 'BUSY')
    taken.release()
    ;(await queued).release()
  })

  it('waits for a connection for 10 s, and does not claim when nobody waits any more', async () => {
    await mysqlStore(admin, { table }).migrate()
    const small = poolOf({ connectionLimit: 1 })
    const taken = await small.getConnection()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const claiming = mysqlStore(small, { table }).claim('too-late', options('a'))
    const told = expect(claiming).rejects.toMatchObject(failed('BUSY'))
    await vi.advanceTimersByTimeAsync(10_000)
    await told
    taken.release()
    const next = await small.getConnection()
    const [rows] = await next.query(`SELECT 1 FROM ${table} WHERE event_key = 'too-late'`)
    next.release()
    expect(rows).toEqual([])
  })

  it('refuses sessions that do not commit by themselves', async () => {
    await mysqlStore(admin, { table }).migrate()
    const invalid = { code: 'RINGHOOK_STORE_INVALID' }
    const client = poolOf({ connectionLimit: 1 })
    client.on('connection', (made) => void made.query('SET autocommit = 0'))
    const store = mysqlStore(client, { table })
    await expect(store.claim(`${prefix}-off`, options('a'))).rejects.toMatchObject(invalid)
    const connection = await createConnection(url)
    onTestFinished(() => connection.destroy())
    await connection.beginTransaction()
    const inside = mysqlStore(connection, { table })
    await expect(inside.claim(`${prefix}-open`, options('a'))).rejects.toMatchObject(invalid)
    await expect(inside.status(`${prefix}-open`)).rejects.toMatchObject(invalid)
    await connection.rollback()
    expect(await column(`SELECT 1 FROM ${table} WHERE event_key = '${prefix}-open'`)).toEqual([])
    expect((await hold(inside, `${prefix}-open`)).fence).toBe(1)
  })

  it('gives back every connection of its pool, whatever went wrong', async () => {
    const client = poolOf({ connectionLimit: 1 })
    await mysqlStore(client, { table }).migrate()
    const wrong = mysqlStore(client, { table: `${prefix}_missing` })
    for (let round = 0; round < 5; round++) {
      await expect(wrong.claim('a', options('a'))).rejects.toMatchObject(failed('NOT_MIGRATED'))
    }
    expect(await mysqlStore(client, { table }).forget('nothing')).toBe('unknown')
  })
})

interface InnerPool {
  readonly pool: { readonly _allConnections: { readonly length: number } }
}

describe('mysqlStore on a server that answers wrongly', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  async function storeOn(answer: Answer): Promise<{ store: Store; server: WrongServer }> {
    const server = await startWrongServer(answer)
    const client = createPool({ port: server.port, user: 'a', connectionLimit: 1 })
    onTestFinished(() => server.close())
    return { store: mysqlStore(client), server }
  }

  it.each([
    [1021, 'Disk full (/tmp/x); waiting for someone to free some space', 'FULL'],
    [1114, "The table 'ringhook_events' is full", 'FULL'],
    [1030, 'Got error 28 "No space left on device" from storage engine InnoDB', 'FULL'],
    [3, 'Error writing file \'/tmp/MYx\' (errno: 28 "No space left on device")', 'FULL'],
    [1290, 'The MySQL server is running with the --read-only option', 'READ_ONLY'],
    [1836, 'Running in read-only mode', 'READ_ONLY'],
    [1044, "Access denied for user 'x'@'%' to database 'y'", 'ACCESS_DENIED'],
    [1142, "SELECT command denied to user 'x'@'%' for table 'y'", 'ACCESS_DENIED'],
    [1698, "Access denied for user 'x'@'%'", 'ACCESS_DENIED'],
    [1040, 'Too many connections', 'BUSY'],
    [1205, 'Lock wait timeout exceeded; try restarting transaction', 'BUSY'],
    [1213, 'Deadlock found when trying to get lock; try restarting transaction', 'BUSY'],
    [1020, "Record has changed since last read in table 'x'", 'BUSY'],
    [1317, 'Query execution was interrupted', 'BUSY'],
    [1053, 'Server shutdown in progress', 'UNREACHABLE'],
    [1047, 'WSREP has not yet prepared node for application use', 'UNREACHABLE'],
    [1927, 'Connection was killed', 'UNREACHABLE'],
    [1064, 'You have an error in your SQL syntax', 'FAILED'],
    [1105, 'Unknown error', 'FAILED'],
  ])('takes error %i, "%s", for %s, and says no word of it', async (errno, message, code) => {
    const { store } = await storeOn({ errno, message })
    await expectAllToFail(store, code, message.slice(0, 20))
  })

  it('says that the server is gone when it hangs up', async () => {
    const { store } = await storeOn('hang up')
    for (let round = 0; round < 3; round++) {
      await expect(store.claim('a', options('a'))).rejects.toMatchObject(failed('UNREACHABLE'))
    }
  })

  it('gives up after 10 s of silence, and does not keep the connection that went silent', async () => {
    const { store, server } = await storeOn('silence')
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const claiming = store.claim('a', options('a'))
    const told = expect(claiming).rejects.toMatchObject(failed('TIMEOUT'))
    // The pool connects meanwhile, over a real socket.
    await vi.waitFor(() => expect(server.queries).toBe(1))
    await vi.advanceTimersByTimeAsync(10_000)
    await told
    vi.useRealTimers()
    server.answer = { errno: 1114, message: 'full' }
    await expect(store.claim('a', options('a'))).rejects.toMatchObject(failed('FULL'))
  })
})

describe('mysqlStore on a client that answers wrongly', () => {
  it.each([
    ['nothing', undefined],
    ['a result that is no list', { affectedRows: 1 }],
    ['no result', []],
    ['rows of another kind', [[{ id: 1 }]]],
    ['rows that are none', [[1, null, 'a']]],
    ['a count that is none', [{ affectedRows: 'many' }]],
    ['rows where a count belongs', [[]]],
  ])('refuses %s', async (_name, reply) => {
    const client = { query: async () => reply } as unknown as MysqlClient
    const store = mysqlStore(client)
    const results = await Promise.allSettled([
      store.claim('a', options('a')),
      store.extend(held, { leaseMs: 1 }),
      store.complete(held, { retentionMs: 1 }),
      store.complete(held, { retentionMs: 1, transaction: { ...client } }),
      store.release(held),
      store.forget('a'),
      store.status('a'),
    ])
    for (const result of results) {
      expect(result).toMatchObject({ status: 'rejected', reason: failed('FAILED') })
    }
  })

  it('refuses more changed rows than there are claims', async () => {
    const store = mysqlStore({ query: async () => [{ affectedRows: 2 }] })
    await expect(store.release(held)).rejects.toMatchObject(failed('FAILED'))
  })
})
