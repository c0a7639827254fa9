import { createReceiver, type HandlerContext, krosai } from 'ringhook'
import { deliver, signedRequest } from 'ringhook/testing'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { endLeases, mysqlPlace, type Place, postgresPlace, sqlitePlace } from './place.ts'

/** What a user's code does with a library: a write and the mark, in one transaction. */
export interface Writer {
  /** Writes a line for the event, completes, and then throws the failure if there is one. */
  write(eventId: string, complete: HandlerContext['complete'], failure?: Error): Promise<void>
  close(): Promise<void>
}

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

type Open = (place: Place) => Promise<Writer> | Writer

/** Tests a library on the databases that the guide names for it. */
export function describeWriters(
  library: string,
  open: { readonly postgres?: Open; readonly mysql?: Open; readonly sqlite?: Open },
): void {
  const { postgres, mysql, sqlite } = open
  if (postgres !== undefined) {
    describeOn('postgres', `context.complete() through ${library} on Postgres`, (url) => {
      testWriter(() => postgresPlace(url), postgres, 'id serial primary key')
    })
  }
  if (mysql !== undefined) {
    describeOn('mysql', `context.complete() through ${library} on MySQL`, (url) => {
      testWriter(() => mysqlPlace(url), mysql, 'id integer auto_increment primary key')
    })
  }
  if (sqlite !== undefined) {
    describe(`context.complete() through ${library} on SQLite`, () => {
      testWriter(sqlitePlace, sqlite, 'id integer primary key')
    })
  }
}

const secret = 'a secret for tests'
const lost = new Error('the reply to the commit was lost')
const refused = new Error('the account is closed')

/** Tests one library on one database. */
export function testWriter(find: () => Promise<Place>, open: Open, idColumn: string): void {
  let place: Place
  let writer: Writer

  beforeAll(async () => {
    place = await find()
    await place.store.migrate()
    await place.query(`create table ledger (${idColumn}, event_id varchar(200) not null)`)
    writer = await open(place)
  })
  afterAll(async () => {
    await writer?.close()
    await place?.remove()
  })

  type Handler = (eventId: string, context: HandlerContext) => Promise<void>

  /** A provider that sends one event, again and again, to handlers that may differ. */
  function event() {
    const request = signedRequest(krosai, 'call.completed', { secret })
    const eventId: string = JSON.parse(request.body).id
    return {
      async deliverTo(handler: Handler) {
        const receiver = createReceiver(krosai, {
          secret,
          store: place.store,
          logger: false,
          // A machine with much to do is slow: that is no failure.
          ackDeadlineMs: 60_000,
          on: { 'call.completed': ({ id }, context) => handler(id, context) },
        })
        const { status, outcome, details } = await deliver(receiver, request)
        return { status, outcome, ...('error' in details ? { error: details.error } : {}) }
      },
      lines: () => place.query(`select id from ledger where event_id = '${eventId}'`),
    }
  }

  const write: Handler = (id, { complete }) => writer.write(id, complete)

  it('marks the event when the transaction commits, whatever the handler does after it', async () => {
    const { deliverTo, lines } = event()

    const first = await deliverTo(async (id, context) => {
      await write(id, context)
      throw lost
    })
    const retry = await deliverTo(write)

    expect(first).toMatchObject({ status: 500, outcome: 'failed', error: lost })
    expect(retry).toEqual({ status: 200, outcome: 'duplicate' })
    expect(await lines()).toHaveLength(1)
  })

  it('answers 200 to an event that its handler has written and completed', async () => {
    const { deliverTo, lines } = event()

    expect(await deliverTo(write)).toEqual({ status: 200, outcome: 'handled' })
    expect(await deliverTo(write)).toEqual({ status: 200, outcome: 'duplicate' })
    expect(await lines()).toHaveLength(1)
  })

  it('takes a mark that is repeated in the transaction', async () => {
    const { deliverTo, lines } = event()

    const first = await deliverTo((id, { complete }) =>
      writer.write(id, async (transaction) => {
        // Without an await between them: SQLite's transaction would be over.
        await Promise.all([complete(transaction), complete(transaction)])
      }),
    )

    expect(first).toEqual({ status: 200, outcome: 'handled' })
    expect(await lines()).toHaveLength(1)
  })

  it('marks nothing when the transaction is rolled back, and the retry writes', async () => {
    const { deliverTo, lines } = event()

    const first = await deliverTo((id, { complete }) => writer.write(id, complete, refused))
    const left = await lines()
    const retry = await deliverTo(write)

    expect(first).toMatchObject({ status: 500, outcome: 'failed', error: refused })
    expect(left).toEqual([])
    expect(retry).toEqual({ status: 200, outcome: 'handled' })
    expect(await lines()).toHaveLength(1)
  })

  it('takes back what a run wrote that had lost the event to another', async () => {
    const { deliverTo, lines } = event()
    const another = { owner: 'another delivery', leaseMs: 60_000, fingerprint: 'the same' }
    let key = ''
    let taken: unknown

    const first = await deliverTo(async (id, context) => {
      key = context.idempotencyKey
      await endLeases(place)
      taken = await place.store.claim(key, another)
      await write(id, context)
    })

    expect(taken).toMatchObject({ state: 'claimed', fence: 2 })
    expect(first).toMatchObject({ status: 500, error: { code: 'RINGHOOK_LEASE_LOST' } })
    expect(await lines()).toEqual([])
    expect(await place.store.claim(key, another)).toEqual(taken)
  })
}
