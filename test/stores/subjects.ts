import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { Redis } from 'ioredis'
import { createPool } from 'mysql2/promise'
import { Pool } from 'pg'
import { memoryStore } from 'ringhook'
import type { StoreContractOptions } from 'ringhook/conformance'
import { mysqlStore } from 'ringhook/stores/mysql'
import { postgresStore } from 'ringhook/stores/postgres'
import { redisStore } from 'ringhook/stores/redis'
import { sqliteStore } from 'ringhook/stores/sqlite'

/** A store, for tests that are the same for all of them. */
export interface Subject extends Pick<StoreContractOptions, 'create' | 'passTime'> {
  /** Ends its connections and removes its data. */
  close(): Promise<void>
}

export function memorySubject(): Subject {
  return { create: ({ clock }) => memoryStore({ clock }), close: async () => {} }
}

export function sqliteSubject(): Subject {
  const folder = mkdtempSync(join(tmpdir(), 'ringhook-subject-'))
  const database = new Database(join(folder, 'events.db'))
  return {
    create: async ({ clock }) => {
      const store = sqliteStore(database, { clock })
      await store.migrate()
      return store
    },
    close: async () => {
      database.close()
      rmSync(folder, { recursive: true })
    },
  }
}

export function redisSubject(url: string): Subject {
  const client = new Redis(url, { lazyConnect: true })
  const prefix = `${uniqueName()}:`
  const keys = () => client.keys(`${prefix}*`)
  return {
    create: () => redisStore(client, { prefix }),
    // A key's only time is its expiry.
    passTime: async (ms) => {
      for (const key of await keys()) await client.pexpire(key, (await client.pttl(key)) - ms)
    },
    close: async () => {
      const left = await keys()
      if (left.length > 0) await client.unlink(left)
      client.disconnect()
    },
  }
}

export function postgresSubject(url: string): Subject {
  const pool = new Pool({ connectionString: url })
  const table = uniqueName()
  return {
    create: async () => {
      const store = postgresStore(pool, { table })
      await store.migrate()
      return store
    },
    passTime: async (ms) => {
      await pool.query(`UPDATE "${table}" SET ends_at = ends_at - $1 * interval '1 ms'`, [ms])
    },
    close: async () => {
      await pool.query(`DROP TABLE IF EXISTS "${table}"`)
      await pool.end()
    },
  }
}

export function mysqlSubject(url: string): Subject {
  const pool = createPool({ uri: url })
  const table = uniqueName()
  return {
    create: async () => {
      const store = mysqlStore(pool, { table })
      await store.migrate()
      return store
    },
    passTime: async (ms) => {
      await pool.query(`UPDATE \`${table}\` SET ends_at = ends_at - ?`, [ms])
    },
    close: async () => {
      await pool.query(`DROP TABLE IF EXISTS \`${table}\``)
      await pool.end()
    },
  }
}

/** The name of a table or prefix that nobody else uses. */
function uniqueName(): string {
  return `test_${randomBytes(6).toString('hex')}`
}
