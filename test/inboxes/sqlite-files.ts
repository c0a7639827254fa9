import type { AttemptResult, Failure, Inbox, PutOptions, StoredDelivery } from 'ringhook'
import { type SqliteInboxOptions, sqliteInbox } from 'ringhook/inboxes/sqlite'
import { onTestFinished } from 'vitest'
import { newFile, open } from '../stores/sqlite-files.ts'

/** An inbox on a file of its own, and the connection that it has. Stopped when the test ends. */
export async function newInbox(options: SqliteInboxOptions = {}, file = newFile()) {
  const database = open(file)
  const inbox = sqliteInbox(database, options)
  onTestFinished(() => inbox.stop())
  await inbox.migrate()
  return { database, file, inbox }
}

/** A delivery whose key is its name. */
export function delivery(key: string, changes: Partial<StoredDelivery> = {}): StoredDelivery {
  return {
    version: 1,
    key,
    provider: 'acme',
    namespace: '',
    type: 'call.completed',
    sentAs: 'call.completed',
    eventId: key,
    receivedAt: 1_000,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from('{}').toString('base64'),
    ...changes,
  }
}

/** Puts a delivery under its name. */
export function put(inbox: Inbox, key: string, order?: PutOptions['order']) {
  return inbox.put(delivery(key), { key, ...(order !== undefined && { order }) })
}

export const done: AttemptResult = { state: 'completed' }

export const failure: Failure = { code: 'RINGHOOK_HANDLER_FAILED', reason: 'it failed', at: 7 }

/** Begins to work: all that runs waits until `end` is called with its verdict. */
export async function work(inbox: Inbox, concurrency = 10) {
  const runs: string[] = []
  const errors: unknown[] = []
  const running = new Map<string, (verdict: AttemptResult) => void>()
  await inbox.start(
    (_, { id, number }) => {
      runs.push(`${id} ${number}`)
      return new Promise((resolve) => {
        running.set(id, resolve)
      })
    },
    { concurrency, onError: (error) => void errors.push(error) },
  )
  const end = (id: string, verdict: AttemptResult) => {
    const resolve = running.get(id)
    running.delete(id)
    if (resolve === undefined) throw new Error(`${id} does not run`)
    resolve(verdict)
  }
  return { end, errors, running, runs }
}
