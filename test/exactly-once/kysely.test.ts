import Database from 'better-sqlite3'
import { Kysely, MysqlDialect, PostgresDialect, SqliteDialect } from 'kysely'
import { createPool } from 'mysql2'
import { Pool } from 'pg'
import { kyselyMysql, kyselyTransaction } from '../../examples/exactly-once/kysely.ts'
import { describeWriters, type Writer } from './writers.ts'

interface Tables {
  ledger: { event_id: string }
}

describeWriters('Kysely', {
  postgres: ({ url }) => {
    const pool = new Pool({ connectionString: url })
    return writer(new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) }), kyselyTransaction)
  },
  mysql: ({ url }) => {
    const pool = createPool(url)
    return writer(new Kysely<Tables>({ dialect: new MysqlDialect({ pool }) }), kyselyMysql)
  },
  sqlite: ({ name }) => {
    const database = new Database(name)
    return writer(
      new Kysely<Tables>({ dialect: new SqliteDialect({ database }) }),
      kyselyTransaction,
    )
  },
})

function writer(
  db: Kysely<Tables>,
  adapter: typeof kyselyTransaction | typeof kyselyMysql,
): Writer {
  return {
    write: (eventId, complete, failure) =>
      db.transaction().execute(async (trx) => {
        await trx.insertInto('ledger').values({ event_id: eventId }).execute()
        await complete(adapter(trx))
        if (failure !== undefined) throw failure
      }),
    close: () => db.destroy(),
  }
}
