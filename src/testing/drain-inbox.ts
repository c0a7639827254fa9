import { optionInvalid } from '../core/checks.ts'
import type { InboxStats } from '../core/inbox/inbox-admin.ts'
import type { Receiver } from '../core/receiver.ts'
import { internalsOf } from '../core/receiver-internals.ts'
import type { Provider } from '../providers/provider.ts'
import { pause } from './pause.ts'

/** How long to leave the inbox alone while its worker has not begun, in ms. */
const pauseMs = 5

/**
 * Waits until the worker of a receiver's inbox has nothing left to run: what was delivered before, by
 * `deliver` or over HTTP, has been processed, and what became of it is in the inbox. Deliveries that
 * are delayed, to be tried again later, are not waited for; those behind them in the order of a call are.
 *
 * Returns the inbox's counts: `dead` and `delayed` show what failed. Works with every inbox, by real
 * time, whatever a test has done to timers.
 *
 * @throws {RinghookError} RINGHOOK_INBOX_MISSING; RINGHOOK_OPTION_INVALID: no worker runs here.
 * @example
 * ```ts
 * import Database from 'better-sqlite3'
 * import { createReceiver, krosai } from 'ringhook'
 * import { sqliteInbox } from 'ringhook/inboxes/sqlite'
 * import { sqliteStore } from 'ringhook/stores/sqlite'
 * import { deliver, drainInbox } from 'ringhook/testing'
 *
 * const database = new Database(':memory:')
 * const store = sqliteStore(database)
 * const inbox = sqliteInbox(database)
 * await store.migrate()
 * await inbox.migrate()
 * const receiver = createReceiver(krosai, {
 *   secret: 'a secret for tests',
 *   store,
 *   inbox,
 *   on: { 'call.completed': (event) => console.log(event.data.duration) },
 * })
 * await receiver.start()
 * await deliver(receiver, 'call.completed')
 * console.log((await drainInbox(receiver)).dead) // 0
 * await receiver.close()
 * ```
 */
export async function drainInbox<P extends Provider>(receiver: Receiver<P>): Promise<InboxStats> {
  const { inbox } = receiver
  if (internalsOf(receiver)?.hasWorker === false) {
    throw optionInvalid(
      'No worker runs the deliveries of this inbox here, and drainInbox() would wait for ever.',
      'Start one first: await receiver.start(), or await worker.start().',
    )
  }
  for (;;) {
    await receiver.idle()
    const stats = await inbox.stats()
    if (stats.waiting === 0 && stats.running === 0) return stats
    await pause(pauseMs)
  }
}
