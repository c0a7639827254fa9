import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { createPool } from 'mysql2/promise'
import pg from 'pg'
import type { HeldClaim, PersistentStore } from 'ringhook'
import { mysqlStore } from 'ringhook/stores/mysql'
import { postgresStore } from 'ringhook/stores/postgres'
import { afterAll, expect, it, onTestFinished, vi } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { mysqlTables } from './mysql-tables.ts'
import { claimOptions, postgresSchema } from './postgres-schema.ts'

const limitMs = 10_000

describeOn('postgres', 'postgresStore with a Pool that was given nothing but a URL', (url) => {
  const { schema } = postgresSchema(url)

  it('gets over a network that went silent: no dead connection stays in the pool', async () => {
    const net = await silentNetwork(url)
    const pool = new pg.Pool({ connectionString: net.url })
    pool.on('error', () => {})
    onTestFinished(() => pool.end())
    const store = postgresStore(pool, { schema })
    await askEverything(store)
    expect(pool.idleCount).toBe(9)

    net.goSilent()
    await expectSilence(store, net)
    await until(() => pool.totalCount === 0)
    // Now on connections that cannot be made.
    await expectSilence(store, net)
    await until(() => pool.totalCount === 0 && pool.waitingCount === 0)
    await expectSilence(store, net, () => store.migrate())
    await until(() => pool.totalCount === 0)

    net.comeBack()
    expect(await askEverything(store)).toEqual([])
    expect(pool.totalCount).toBe(pool.idleCount)
    expect(pool.options.connectionTimeoutMillis).toBe(undefined)
  })

  it('gives every operation on a Client up, also those that wait for the first', async () => {
    const net = await silentNetwork(url)
    const client = new pg.Client({ connectionString: net.url })
    client.on('error', () => {})
    await client.connect()
    onTestFinished(() => client.end())
    const store = postgresStore(client, { schema })
    net.goSilent()
    await expectSilence(store, net)
  })
})

describeOn('mysql', 'mysqlStore with a pool that was given nothing but a URL', (url) => {
  const { admin, prefix } = mysqlTables(url)
  const table = `${prefix}_silence`
  afterAll(() => admin.query(`DROP TABLE IF EXISTS ${table}`))

  it('gets over a network that went silent', async () => {
    const net = await silentNetwork(url)
    await mysqlStore(admin, { table }).migrate()
    const pool = createPool({ uri: net.url })
    onTestFinished(() => pool.end())
    const store = mysqlStore(pool, { table })
    await askEverything(store)

    net.goSilent()
    await expectSilence(store, net)

    net.comeBack()
    expect(await askEverything(store)).toEqual([])
  })
})

const claim: HeldClaim = { state: 'claimed', key: 'b', owner: 'b', fence: 1, attempt: 1 }

/** Every operation, on nine connections at once: a pool has ten. Gives what was rejected. */
async function askEverything(store: PersistentStore): Promise<unknown[]> {
  const asked = [
    store.claim('a', claimOptions('a')),
    store.extend(claim, { leaseMs: 1_000 }),
    store.complete(claim, { retentionMs: 1_000 }),
    store.release(claim),
    store.prune(),
    ...Array.from({ length: 2 }, (_, index) => store.forget(`c${index}`)),
    ...Array.from({ length: 2 }, (_, index) => store.status(`c${index}`)),
  ]
  const told = await Promise.allSettled(asked)
  return told.flatMap((one) => (one.status === 'rejected' ? [one.reason.code] : []))
}

/** Asks while nothing is answered, and lets the store's limit pass once something was swallowed. */
async function expectSilence(
  store: PersistentStore,
  net: SilentNetwork,
  ask: () => Promise<unknown> = () => askEverything(store),
): Promise<void> {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  try {
    const swallowed = net.swallowed()
    const told = ask().catch((error: { readonly code?: unknown }) => [error.code])
    await until(() => net.swallowed() > swallowed)
    await vi.advanceTimersByTimeAsync(limitMs)
    const codes = await told
    expect(codes).not.toEqual([])
    for (const code of codes as unknown[]) {
      expect(['RINGHOOK_STORE_TIMEOUT', 'RINGHOOK_STORE_BUSY']).toContain(code)
    }
  } finally {
    vi.useRealTimers()
  }
}

interface SilentNetwork {
  /** The URL of the server, through the network. */
  readonly url: string
  /** How often bytes have got lost. */
  swallowed(): number
  /** From now on nothing arrives, and nobody is told. */
  goSilent(): void
  /** New connections work. Those that lost bytes stay dead, and nobody is told of that either. */
  comeBack(): void
}

/** A proxy before a server that can lose everything, as a firewall that forgets its connections. */
async function silentNetwork(target: string): Promise<SilentNetwork> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let isSilent = false
  let swallowed = 0
  const listener = createServer((client) => {
    const server = connect(Number(port), hostname)
    let isDead = false
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => {})
      from.on('close', () => to.destroy())
      from.on('data', (bytes) => {
        isDead ||= isSilent
        if (isDead) swallowed++
        else to.write(bytes)
      })
    }
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    listener.close()
  })
  const { port: own } = listener.address() as AddressInfo
  return {
    url: Object.assign(new URL(target), { hostname: '127.0.0.1', port: String(own) }).href,
    swallowed: () => swallowed,
    goSilent() {
      isSilent = true
    },
    comeBack() {
      isSilent = false
    },
  }
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve))
}
