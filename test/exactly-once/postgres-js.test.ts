import postgres from 'postgres'
import { postgresJs } from '../../examples/exactly-once/postgres-js.ts'
import { describeWriters } from './writers.ts'

describeWriters('postgres.js', {
  postgres: ({ url }) => {
    const db = postgres(url)
    return {
      async write(eventId, complete, failure) {
        await db.begin(async (tx) => {
          await tx`insert into ledger (event_id) values (${eventId})`
          await complete(postgresJs(tx))
          if (failure !== undefined) throw failure
        })
      },
      close: () => db.end(),
    }
  },
})
