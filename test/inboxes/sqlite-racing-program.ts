import { once } from 'node:events'
import Database from 'better-sqlite3'
import { sqliteInbox } from '../../src/inboxes/sqlite.ts'

/** What a process was answered for each key, or the code of what its put failed with. */
export type RaceResult = Readonly<Record<string, string>>

const [, , file = ''] = process.argv
const inbox = sqliteInbox(new Database(file))
const tell = (message: unknown) => process.send?.(message)

tell('ready')
const [keys]: string[][] = await once(process, 'message')
// All processes are here by now: they migrate and put at the same moment.
await inbox.migrate()
const answers = (keys ?? []).map(async (key) => {
  const delivery = {
    ...{ version: 1 as const, key, provider: 'acme', namespace: '', type: 'a', sentAs: 'a' },
    ...{ eventId: key, receivedAt: Date.now(), headers: {}, body: '' },
  }
  return [key, await inbox.put(delivery, { key })]
})
const result: RaceResult = Object.fromEntries(await Promise.all(answers))
tell(result)
process.disconnect()
