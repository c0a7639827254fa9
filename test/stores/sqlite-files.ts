import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { Claim, HeldClaim } from 'ringhook'
import { type SqliteStoreOptions, sqliteStore } from 'ringhook/stores/sqlite'
import { onTestFinished } from 'vitest'

/** The path of a file that is not there yet, in a folder that goes when the test ends. */
export function newFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ringhook-sqlite-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return join(folder, 'events.db')
}

/** A connection of its own, closed when the test ends. */
export function open(file: string, options?: Database.Options): Database.Database {
  const database = new Database(file, options)
  onTestFinished(() => void database.close())
  return database
}

/** A store on a file of its own, and the connection that it has. */
export async function newStore(options: SqliteStoreOptions = {}, file = newFile()) {
  const database = open(file)
  const store = sqliteStore(database, options)
  await store.migrate()
  return { database, file, store }
}

export const byOwner = (owner: string) => ({ owner, leaseMs: 30_000, fingerprint: 'f' })

/** A claim that must have been won. */
export function won(claim: Claim): HeldClaim {
  if (claim.state === 'claimed') return claim
  throw new Error(`the claim was not won: ${claim.state}`)
}

/** Lets the event loop turn. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) {
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
}
