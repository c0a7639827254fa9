import { once } from 'node:events'
import Database from 'better-sqlite3'
import { sqliteStore } from '../../src/stores/sqlite.ts'

/** What a process was answered for each key: the fence of its claim, or the state of the key. */
export type RaceResult = Readonly<Record<string, number | string>>

const [, , file = '', owner = ''] = process.argv
const store = sqliteStore(new Database(file))
const tell = (message: unknown) => process.send?.(message)

tell('ready')
const [keys]: string[][] = await once(process, 'message')
// All processes are here by now: they migrate and claim at the same moment.
await store.migrate()
const answers = (keys ?? []).map(async (key) => {
  const claim = await store.claim(key, { owner, leaseMs: 30_000, fingerprint: 'f' })
  if (claim.state !== 'claimed') return [key, claim.state]
  const isMarked = await store.complete(claim, { retentionMs: 3_600_000 })
  return [key, isMarked ? claim.fence : 'lost']
})
const result: RaceResult = Object.fromEntries(await Promise.all(answers))
tell(result)
process.disconnect()
