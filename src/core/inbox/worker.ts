import type { Inbox } from '../../inboxes/inbox.ts'
import { checkOptions, isObject, optionInvalid, wholeNumber } from '../checks.ts'
import type { CloseReport } from '../closing.ts'
import { RinghookError } from '../errors.ts'
import type { Receiver } from '../receiver.ts'
import { internalsOf } from '../receiver-internals.ts'
import type { Consumer } from './dispatcher.ts'
import { checkInboxMethods, noInbox } from './inbox-checks.ts'
import { concurrencyBounds, InboxWorker, type WorkerCloseOptions } from './inbox-worker.ts'

/** Options of {@link createWorker}. */
export interface WorkerOptions {
  readonly inbox: Inbox
  /** All receivers of this process that have this inbox. */
  readonly receivers: readonly Receiver[]
  /** How many deliveries are processed at a time. Default: 10. From 1 to 1 000. */
  readonly concurrency?: number
}

/** Runs what is in an inbox. */
export interface Worker {
  /**
   * Starts to process deliveries. Handlers run in the async context of this call.
   *
   * @throws {RinghookError} RINGHOOK_INBOX_SHARED: the inbox has another worker in this process, or a
   * receiver that this worker lacks; RINGHOOK_SHUTTING_DOWN: the worker was closed; if the inbox's
   * database fails, as RINGHOOK_STORE_UNREACHABLE.
   */
  start(): Promise<void>
  /**
   * Claims no more deliveries, and lets running handlers finish. After `drainMs` their `signal`
   * aborts, and the inbox takes back what isn't done: another worker may run it at once. Receivers go
   * on accepting deliveries; `close()` of one of them closes its worker too.
   *
   * A second call returns the same report. Its `drainMs` can only shorten the first.
   *
   * @throws {RinghookError} RINGHOOK_OPTION_INVALID
   */
  close(options?: WorkerCloseOptions): Promise<CloseReport>
}

/**
 * Creates a worker: it runs the deliveries of an inbox with the handlers of its receivers, in this
 * process. For an inbox with one receiver there is `receiver.start()`.
 *
 * Deliveries of any other receiver become dead letters: RINGHOOK_RECEIVER_MISSING.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID, RINGHOOK_INBOX_INVALID, RINGHOOK_RECEIVER_INVALID
 * @example
 * ```ts
 * import Database from 'better-sqlite3'
 * import { createReceiver, createWorker, krosai, odis } from 'ringhook'
 * import { sqliteInbox } from 'ringhook/inboxes/sqlite'
 * import { sqliteStore } from 'ringhook/stores/sqlite'
 *
 * const database = new Database(':memory:')
 * const inbox = sqliteInbox(database)
 * const store = sqliteStore(database)
 * await inbox.migrate()
 * await store.migrate()
 * const on = { '*': (event: { type: string }) => console.log(event.type) }
 * const calls = createReceiver(krosai, { secret: process.env.KROSAI_WEBHOOK_SECRET, inbox, store, on })
 * const visits = createReceiver(odis, { secret: process.env.ODIS_WEBHOOK_SECRET, inbox, store, on })
 *
 * export const worker = createWorker({ inbox, receivers: [calls, visits], concurrency: 20 })
 * await worker.start()
 * ```
 */
export function createWorker(options: WorkerOptions): Worker {
  checkOptions('createWorker()', options, ['inbox', 'receivers', 'concurrency'])
  const { inbox, receivers } = options
  checkInboxMethods(inbox)
  const concurrency = wholeNumber('concurrency', options.concurrency, concurrencyBounds)
  return new InboxWorker(inbox, consumersOf(receivers, inbox), concurrency)
}

function consumersOf(
  receivers: readonly Receiver[],
  inbox: Inbox,
): readonly [Consumer, ...Consumer[]] {
  const given: readonly Receiver[] = Array.isArray(receivers) ? receivers : []
  const [first, ...others] = given.map((receiver) => consumerOf(receiver, inbox))
  if (first === undefined || new Set(given).size < given.length) {
    throw optionInvalid(
      'receivers must be an array with each receiver of the inbox once.',
      'Pass what createReceiver() returned.',
    )
  }
  return [first, ...others]
}

function consumerOf(receiver: Receiver, inbox: Inbox): Consumer {
  const internals = isObject(receiver) ? internalsOf(receiver) : undefined
  if (internals === undefined) {
    throw new RinghookError(
      'RINGHOOK_RECEIVER_INVALID',
      'createWorker() takes receivers, as createReceiver() of the same version of ringhook returns them.',
    )
  }
  const { provider } = receiver
  if (internals.settings.inbox === undefined) throw noInbox(`createWorker() for ${provider.name}`)
  if (internals.settings.inbox !== inbox) {
    throw optionInvalid(
      `The receiver of ${provider.name} has another inbox than the worker.`,
      'Create one worker for each inbox.',
    )
  }
  return internals.consumer()
}
