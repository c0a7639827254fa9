import { randomUUID } from 'node:crypto'
import type Database from 'better-sqlite3'
import { Redis } from 'ioredis'
import type { HandlerContext, Inbox, PersistentStore } from 'ringhook'
import { sqliteInbox } from 'ringhook/inboxes/sqlite'
import { postgresStore } from 'ringhook/stores/postgres'
import { redisStore } from 'ringhook/stores/redis'
import { sqliteStore } from 'ringhook/stores/sqlite'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { type BrokerProxy, proxyTo } from '../examples/broker-proxy.ts'
import { newFile, open } from '../stores/sqlite-files.ts'
import { jobKeyOf, newPlace, openInbox, removeQueue, withRaw } from './bullmq-queues.ts'
import { pgBossSchema } from './pg-boss-queues.ts'

/** What the processes of a user have in common: an inbox, and the store beside it. */
export interface Place {
  readonly inbox: Inbox
  readonly store: PersistentStore
  /** The same inbox, as another process opens it. */
  again(): Promise<Inbox>
  /** Makes the engine think that the worker which has a delivery is dead. */
  loseLease(id: string): Promise<void>
}

/** A place where handlers write in transactions of their own. */
export interface WritingPlace extends Place {
  /** Writes a line, and marks the event with it, as `docs/inboxes` tells people to. */
  write(line: string, context: HandlerContext, end?: 'commit' | 'rollback'): Promise<void>
  /** The lines that were committed. */
  lines(): Promise<readonly string[]>
}

/** An inbox whose server the test can take away. */
export interface FarPlace {
  readonly inbox: Inbox
  readonly store: PersistentStore
  /** The server is not there, until `restore`. */
  cut(): Promise<void>
  restore(): Promise<void>
  /** The server takes what is sent and says nothing, until what this gives is called. */
  silence(): Promise<() => Promise<void>>
}

const pollMs = 10

/** Opens a file that nobody else has. */
export async function sqlitePlace(): Promise<WritingPlace & { database: Database.Database }> {
  const file = newFile()
  const database = open(file)
  const other = open(file)
  const inbox = sqliteInbox(database, { pollMs })
  const store = sqliteStore(database)
  await inbox.migrate()
  await store.migrate()
  database.exec('CREATE TABLE lines (line TEXT)')
  const insert = database.prepare('INSERT INTO lines VALUES (?)')
  return {
    database,
    inbox,
    store,
    again: async () => sqliteInbox(open(file), { pollMs }),
    loseLease: async (id) => {
      other.prepare('UPDATE ringhook_inbox SET due_at = 1 WHERE key = ? AND state = 1').run(id)
    },
    write: async (line, context, end = 'commit') => {
      const transaction = database.transaction(() => {
        insert.run(line)
        void context.complete(database)
        if (end === 'rollback') throw new Error('rolled back')
      })
      transaction.immediate()
    },
    lines: async () => other.prepare<[], string>('SELECT line FROM lines').pluck().all(),
  }
}

/** Gives what opens queues of BullMQ, and stores in the same Redis. */
export function bullmqPlaces(url: string) {
  const prefix = `ringhook-test:${randomUUID()}:`
  const client = new Redis(url, { lazyConnect: true })
  afterAll(async () => {
    const keys = await client.keys(`${prefix}*`)
    if (keys.length > 0) await client.unlink(...keys)
    client.disconnect()
  })

  async function openAt(through: string) {
    const place = newPlace(through)
    const opened = openInbox(place)
    onTestFinished(async () => {
      await opened.queue.close()
      await removeQueue({ ...place, url })
    })
    await opened.inbox.migrate()
    const store = redisStore(client, { prefix: `${prefix}${place.name}:` })
    return { place, opened, inbox: opened.inbox, store }
  }
  return {
    open: async (): Promise<Place> => {
      const { place, opened, ...parts } = await openAt(url)
      return {
        ...parts,
        again: async () => {
          const other = openInbox(place)
          onTestFinished(() => other.queue.close())
          return other.inbox
        },
        loseLease: (id) =>
          withRaw(url, async (raw) => void (await raw.del(`${jobKeyOf(opened, id)}:lock`))),
      }
    },
    openFar: async (): Promise<FarPlace> => {
      const proxy = await proxyTo(url)
      const { inbox, store } = await openAt(proxy.url)
      return { inbox, store, ...taking(proxy) }
    },
  }
}

/** Gives what opens queues of pg-boss, and the store in the same schema. */
export function pgBossPlaces(url: string) {
  const { schema, admin, boss, inbox: openQueue, change, supervise } = pgBossSchema(url)
  const openStore = async (queue: string) => {
    const store = postgresStore(admin, { schema, table: `events_${queue.replace('-', '_')}` })
    await store.migrate()
    return store
  }
  beforeAll(async () => {
    await admin.query(`CREATE TABLE ${schema}.lines (queue text, line text)`)
  })
  return {
    open: async (): Promise<WritingPlace> => {
      const { inbox, queue } = await openQueue({ transactional: true })
      return {
        inbox,
        store: await openStore(queue),
        again: async () => (await openQueue({ transactional: true, queue })).inbox,
        loseLease: async () => {
          await change(queue, "heartbeat_on = now() - interval '1 hour'")
          await supervise(queue)
        },
        write: async (line, context, end = 'commit') => {
          const client = await admin.connect()
          try {
            await client.query('BEGIN')
            await client.query(`INSERT INTO ${schema}.lines VALUES ($1, $2)`, [queue, line])
            await context.complete(client)
            if (end === 'rollback') throw new Error('rolled back')
            await client.query('COMMIT')
          } catch (error) {
            await client.query('ROLLBACK')
            throw error
          } finally {
            client.release()
          }
        },
        lines: async () => {
          const sql = `SELECT line FROM ${schema}.lines WHERE queue = $1`
          return (await admin.query(sql, [queue])).rows.map(({ line }) => line)
        },
      }
    },
    openFar: async (): Promise<FarPlace> => {
      const proxy = await proxyTo(url)
      const { inbox, queue } = await openQueue({}, await boss({ connectionString: proxy.url }))
      const silence = async () => {
        // Its pool would open other connections.
        const client = await admin.connect()
        await client.query(`BEGIN; LOCK TABLE ${schema}.job IN ACCESS EXCLUSIVE MODE`)
        return async () => {
          await client.query('COMMIT')
          client.release()
        }
      }
      return { inbox, store: await openStore(queue), ...taking(proxy), silence }
    },
  }
}

function taking({ cut, restore, hold, release }: BrokerProxy) {
  const silence = async () => {
    hold()
    return async () => release()
  }
  return { cut, restore, silence }
}
