import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { createPool } from 'mysql2/promise'
import { Pool } from 'pg'
import type { PersistentStore } from 'ringhook'
import { mysqlStore } from 'ringhook/stores/mysql'
import { postgresStore } from 'ringhook/stores/postgres'
import { sqliteStore } from 'ringhook/stores/sqlite'

/** A schema, database or file of its own, with the store in it. */
export interface Place {
  /** Leads there, for the drivers. */
  readonly url: string
  /** The schema or database. */
  readonly name: string
  readonly store: PersistentStore
  /** A time that is over, as the store's table has it. */
  readonly past: string
  /** Runs a statement without values, and gives its rows. */
  query(text: string): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** Takes everything away again. */
  remove(): Promise<void>
}

export async function postgresPlace(server: string): Promise<Place> {
  const name = randomName()
  const url = new URL(server)
  url.searchParams.set('options', `-c search_path=${name}`)
  const pool = new Pool({ connectionString: url.href, max: 4 })
  await pool.query(`create schema ${name}`)
  return {
    url: url.href,
    name,
    store: postgresStore(pool),
    past: "'epoch'",
    query: async (text) => (await pool.query<Record<string, unknown>>(text)).rows,
    async remove() {
      await pool.query(`drop schema ${name} cascade`)
      await pool.end()
    },
  }
}

export async function mysqlPlace(server: string): Promise<Place> {
  const name = randomName()
  const url = new URL(server)
  url.pathname = `/${name}`
  const creator = createPool(server)
  await creator.query(`create database ${name}`)
  await creator.end()
  const pool = createPool({ uri: url.href, connectionLimit: 4 })
  return {
    url: url.href,
    name,
    store: mysqlStore(pool),
    past: '0',
    query: async (text) => {
      const [rows] = await pool.query(text)
      return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : []
    },
    async remove() {
      await pool.query(`drop database ${name}`)
      await pool.end()
    },
  }
}

export async function sqlitePlace(): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'ringhook-'))
  const file = join(folder, 'ledger.db')
  const database = new Database(file, { timeout: 60_000 })
  return {
    url: `sqlite:${file}`,
    name: file,
    store: sqliteStore(database),
    past: '0',
    async query(text) {
      const statement = database.prepare<[], Record<string, unknown>>(text)
      if (statement.reader) return statement.all()
      statement.run()
      return []
    },
    async remove() {
      database.close()
      rmSync(folder, { recursive: true })
    },
  }
}

/** Lets every lease run out, by moving its end into the past. */
export async function endLeases({ query, past }: Place): Promise<void> {
  for (;;) {
    try {
      await query(`update ringhook_events set ends_at = ${past} where state = 0`)
      return
    } catch (error) {
      // It locks what others lock too, in an order of its own.
      const { code } = error as { readonly code?: unknown }
      if (code !== '40P01' && code !== 'ER_LOCK_DEADLOCK') throw error
    }
  }
}

function randomName(): string {
  return `ringhook_${randomBytes(8).toString('hex')}`
}
