import { type Knex, knex } from 'knex'
import { knexPostgres, knexTransaction } from '../../examples/exactly-once/knex.ts'
import { describeWriters, type Writer } from './writers.ts'

describeWriters('Knex', {
  postgres: ({ url }) => writer({ client: 'pg', connection: url }, knexPostgres),
  mysql: ({ url }) => writer({ client: 'mysql2', connection: url }, knexTransaction),
  sqlite: ({ name }) => {
    const connection = { filename: name }
    return writer({ client: 'better-sqlite3', connection, useNullAsDefault: true }, knexTransaction)
  },
})

function writer(
  config: Knex.Config,
  adapter: typeof knexPostgres | typeof knexTransaction,
): Writer {
  const db = knex(config)
  return {
    write: (eventId, complete, failure) =>
      db.transaction(async (trx) => {
        await trx('ledger').insert({ event_id: eventId })
        await complete(adapter(trx))
        if (failure !== undefined) throw failure
      }),
    close: () => db.destroy(),
  }
}
