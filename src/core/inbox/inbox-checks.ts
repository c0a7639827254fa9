import type { Inbox } from '../../inboxes/inbox.ts'
import { missingMethod, optionInvalid } from '../checks.ts'
import { RinghookError } from '../errors.ts'
import type { UncheckedOptions } from '../options/option-checks.ts'

/**
 * Refuses an inbox that lacks one of its functions, and what the inbox cannot do or what does
 * nothing without one.
 */
export function checkInbox(options: UncheckedOptions): Inbox | undefined {
  const { inbox, orderingKey, store } = options
  if (inbox === undefined) {
    for (const name of ['retry', 'orderingKey', 'maxHoldMs'] as const) {
      if (options[name] === undefined) continue
      throw optionInvalid(
        `${name} does nothing without an inbox.`,
        'Give an inbox, such as sqliteInbox(database), or leave it out.',
      )
    }
    return undefined
  }
  checkInboxMethods(inbox)
  if (store === undefined) {
    throw new RinghookError(
      'RINGHOOK_STORE_MISSING',
      'There is an inbox and no store, so that after a restart nobody would know which events have finished. Give a store that outlives the process, such as sqliteStore(database).',
    )
  }
  if (orderingKey !== undefined && orderingKey !== false && typeof orderingKey !== 'function') {
    throw optionInvalid('orderingKey is no function.', 'Give a function, false, or leave it out.')
  }
  if (orderingKey === false && options.maxHoldMs !== undefined) {
    throw optionInvalid(
      'maxHoldMs does nothing while orderingKey is false.',
      'Leave one of them out.',
    )
  }
  const asksForOrder = typeof orderingKey === 'function' || options.maxHoldMs !== undefined
  if (asksForOrder && !inbox.keepsOrder) {
    throw new RinghookError(
      'RINGHOOK_ORDER_NOT_KEPT',
      `${inbox.name}() does not keep the events of a call in order. Leave out orderingKey and maxHoldMs, or use sqliteInbox() or pgBossInbox(), which do.`,
    )
  }
  return inbox
}

/** @throws {RinghookError} RINGHOOK_INBOX_INVALID: it lacks a method of an inbox. */
export function checkInboxMethods(inbox: Inbox): void {
  const missing = missingMethod(inbox, inboxOperations)
  if (missing === undefined) return
  throw new RinghookError(
    'RINGHOOK_INBOX_INVALID',
    `inbox has no method "${missing}". Pass what sqliteInbox() or another inbox factory returned, not the client itself.`,
  )
}

const inboxOperations = [
  'migrate',
  'put',
  'start',
  'stop',
  'entries',
  'entry',
  'replay',
  'discard',
  'stats',
] as const

/** The error for what needs an inbox. `what`: as in `receiver.start()`. */
export function noInbox(what: string): RinghookError {
  return new RinghookError(
    'RINGHOOK_INBOX_MISSING',
    `${what} needs an inbox, and this receiver has none. Give createReceiver() the option inbox, such as sqliteInbox(database).`,
  )
}
