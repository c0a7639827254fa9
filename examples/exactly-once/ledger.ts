import type { HandlerContext, PersistentStore } from 'ringhook'

/** A line of the ledger: what a call is billed for. */
export interface Minutes {
  readonly eventId: string
  readonly callId: string
  readonly seconds: number
}

/**
 * The ledger of a phone company, in a database, beside ringhook's own table. Nothing in it keeps a
 * call from being billed twice: that is left to the mark in the same transaction.
 */
export interface Ledger {
  readonly store: PersistentStore
  /** Writes the line and completes its event: both or neither. */
  record(minutes: Minutes, context: Pick<HandlerContext, 'transaction'>): Promise<void>
  lines(): Promise<readonly Minutes[]>
  close(): Promise<void>
}

export const ledgerTable = `
  create table if not exists ledger (
    event_id varchar(200) not null,
    call_id varchar(200) not null,
    seconds integer not null
  )`

export const ledgerLines =
  'select event_id as "eventId", call_id as "callId", seconds from ledger order by event_id'
