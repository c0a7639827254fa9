import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { Pool } from 'pg'
import { PgBoss } from 'pg-boss'
import type { InboxContractOptions } from 'ringhook/conformance'
import { pgBossInbox } from 'ringhook/inboxes/pg-boss'
import { sqliteInbox } from 'ringhook/inboxes/sqlite'
import {
  cutConnections,
  jobKeyOf,
  newPlace,
  type Opened,
  openInbox,
  type Place,
  removeQueue,
  withRaw,
} from './bullmq-queues.ts'

/** An inbox, for tests that are the same for all of them. */
export interface Subject extends Omit<InboxContractOptions, 'test'> {
  /** Ends what is left and removes its data, when the tests have run. */
  end(): Promise<void>
}

/** Looks for work this often, in ms: for tests, which wait for it often. */
const pollMs = 10

/** For programs in TypeScript. */
const execArgv = ['--import', 'tsx']

/** Remembers what an inbox was made from. */
class Origins<Origin> {
  readonly #origins = new WeakMap<object, Origin>()

  add<Inbox extends object>(inbox: Inbox, origin: Origin): Inbox {
    this.#origins.set(inbox, origin)
    return inbox
  }

  of(inbox: object): Origin {
    const origin = this.#origins.get(inbox)
    if (origin === undefined) throw new Error('this inbox was made elsewhere')
    return origin
  }
}

export function sqliteSubject(): Subject {
  const folder = mkdtempSync(join(tmpdir(), 'ringhook-inbox-'))
  const origins = new Origins<{ readonly file: string; readonly database: Database.Database }>()
  let files = 0
  const open = (file: string) => {
    const database = new Database(file)
    return origins.add(sqliteInbox(database, { pollMs }), { file, database })
  }
  /** Does something to the rows of an inbox, through a connection of its own. */
  const change = (inbox: object, sql: string, id: string) => {
    const database = new Database(origins.of(inbox).file)
    database.prepare(sql).run(id)
    database.close()
  }
  return {
    keepsOrder: true,
    create: async () => {
      const inbox = open(join(folder, `inbox-${files++}.db`))
      await inbox.migrate()
      return inbox
    },
    reopen: (inbox) => open(origins.of(inbox).file),
    close: (inbox) => void origins.of(inbox).database.close(),
    loseLease: (inbox, id) =>
      change(inbox, 'UPDATE ringhook_inbox SET due_at = 1 WHERE key = ? AND state = 1', id),
    corrupt: (inbox, id) =>
      change(inbox, `UPDATE ringhook_inbox SET delivery = '{"version' WHERE key = ?`, id),
    begin: (inbox) => {
      const database = new Database(origins.of(inbox).file)
      database.exec('BEGIN IMMEDIATE')
      const end = (sql: string) => {
        database.exec(sql)
        database.close()
      }
      return {
        transaction: database,
        commit: () => end('COMMIT'),
        rollback: () => end('ROLLBACK'),
      }
    },
    program: (inbox) => ({
      module: new URL('./sqlite-program.ts', import.meta.url),
      execArgv,
      data: origins.of(inbox).file,
    }),
    end: async () => rmSync(folder, { recursive: true }),
  }
}

export function bullmqSubject(url: string): Subject {
  const origins = new Origins<Opened>()
  const places = new Set<Place>()
  const open = (place: Place) => {
    const opened = openInbox(place)
    places.add(place)
    return origins.add(opened.inbox, opened)
  }
  return {
    create: async () => {
      const inbox = open(newPlace(url))
      await inbox.migrate()
      return inbox
    },
    reopen: (inbox) => open(origins.of(inbox).place),
    close: (inbox) => origins.of(inbox).queue.close(),
    loseLease: (inbox, id) =>
      withRaw(url, async (raw) => {
        await raw.del(`${jobKeyOf(origins.of(inbox), id)}:lock`)
      }),
    corrupt: (inbox, id) =>
      withRaw(url, async (raw) => {
        await raw.hset(jobKeyOf(origins.of(inbox), id), 'data', '{"version')
      }),
    breakConnection: (inbox) => cutConnections(origins.of(inbox)),
    program: (inbox) => ({
      module: new URL('./bullmq-program.ts', import.meta.url),
      execArgv,
      data: origins.of(inbox).place,
    }),
    end: async () => {
      for (const place of places) await removeQueue(place)
    },
  }
}

/** A pg-boss takes long to start: two of them serve all inboxes, with a queue for each. */
export function pgBossSubject(url: string): Subject {
  const schema = `test_${randomBytes(6).toString('hex')}`
  const admin = new Pool({ connectionString: url })
  const bosses = new Map<string, Promise<PgBoss>>()
  const origins = new Origins<{ readonly queue: string; readonly bossName: string }>()
  const first = `${schema} 1`
  const bossNamed = (name: string) => {
    const boss = bosses.get(name) ?? startBoss(url, schema, name)
    bosses.set(name, boss)
    return boss
  }
  const open = async (bossName: string, queue: string) => {
    const boss = await bossNamed(bossName)
    const inbox = pgBossInbox(boss, { queue, pollMs, transactional: true })
    return origins.add(inbox, { queue, bossName })
  }
  return {
    keepsOrder: true,
    create: async () => {
      const inbox = await open(first, randomBytes(6).toString('hex'))
      await inbox.migrate()
      return inbox
    },
    reopen: (inbox) => open(`${schema} 2`, origins.of(inbox).queue),
    loseLease: async (inbox, id) => {
      const { queue } = origins.of(inbox)
      await admin.query(
        `UPDATE ${schema}.job SET heartbeat_on = now() - interval '1 hour'
        WHERE name = $1 AND data ->> 'key' = $2 AND state = 'active'`,
        [queue, id],
      )
      // Else it looks once in a minute.
      await admin.query(`UPDATE ${schema}.queue SET monitor_claim_on = NULL, monitor_on = NULL`)
      await (await bossNamed(first)).supervise(queue)
    },
    corrupt: async (inbox, id) => {
      await admin.query(
        `UPDATE ${schema}.job SET data = '{"junk": true}' WHERE name = $1 AND data ->> 'key' = $2`,
        [origins.of(inbox).queue, id],
      )
    },
    begin: async () => {
      const client = await admin.connect()
      await client.query('BEGIN')
      const end = (sql: string) => client.query(sql).finally(() => client.release())
      return {
        transaction: client,
        commit: () => end('COMMIT'),
        rollback: () => end('ROLLBACK'),
      }
    },
    breakConnection: async (inbox) => {
      await admin.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1',
        [origins.of(inbox).bossName],
      )
    },
    program: (inbox) => ({
      module: new URL('./pg-boss-program.ts', import.meta.url),
      execArgv,
      data: { connectionString: url, schema, queue: origins.of(inbox).queue },
    }),
    end: async () => {
      for (const boss of bosses.values()) await (await boss).stop({ graceful: false })
      await admin.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
      await admin.end()
    },
  }
}

async function startBoss(url: string, schema: string, name: string): Promise<PgBoss> {
  const boss = new PgBoss({
    connectionString: url,
    schema,
    application_name: name,
    // It is asked to look for workers that died when a test wants it.
    supervise: false,
    schedule: false,
  })
  // The connections that are cut.
  boss.on('error', () => {})
  return await boss.start()
}
