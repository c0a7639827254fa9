import { PGlite } from '@electric-sql/pglite'
import { postgresStore } from 'ringhook/stores/postgres'
import { beforeAll, describe } from 'vitest'
import { testWriter } from './writers.ts'

describe('context.complete() through PGlite', () => {
  let db: PGlite
  beforeAll(async () => {
    db = await PGlite.create()
  })

  testWriter(
    async () => ({
      url: '',
      name: '',
      store: postgresStore(db),
      past: "'epoch'",
      query: async (text) => (await db.query<Record<string, unknown>>(text)).rows,
      remove: () => db.close(),
    }),
    () => ({
      async write(eventId, complete, failure) {
        await db.transaction(async (tx) => {
          await tx.query('insert into ledger (event_id) values ($1)', [eventId])
          await complete(tx)
          if (failure !== undefined) throw failure
        })
      },
      close: async () => {},
    }),
    'id serial primary key',
  )
})
