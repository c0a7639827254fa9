import Database from 'better-sqlite3'
import { drizzle as drizzleOnSqlite } from 'drizzle-orm/better-sqlite3'
import { mysqlTable, varchar as mysqlVarchar } from 'drizzle-orm/mysql-core'
import { drizzle as drizzleOnMysql } from 'drizzle-orm/mysql2'
import { drizzle as drizzleOnPostgres } from 'drizzle-orm/node-postgres'
import { pgTable, varchar } from 'drizzle-orm/pg-core'
import { sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { createPool } from 'mysql2/promise'
import { Pool } from 'pg'
import { drizzleMysql, drizzlePostgres } from '../../examples/exactly-once/drizzle.ts'
import { describeWriters } from './writers.ts'

describeWriters('Drizzle', {
  postgres: ({ url }) => {
    const pool = new Pool({ connectionString: url })
    const db = drizzleOnPostgres(pool)
    const ledger = pgTable('ledger', { eventId: varchar('event_id') })
    return {
      write: (eventId, complete, failure) =>
        db.transaction(async (tx) => {
          await tx.insert(ledger).values({ eventId })
          await complete(drizzlePostgres(tx))
          if (failure !== undefined) throw failure
        }),
      close: () => pool.end(),
    }
  },
  mysql: ({ url }) => {
    const pool = createPool(url)
    const db = drizzleOnMysql({ client: pool })
    const ledger = mysqlTable('ledger', { eventId: mysqlVarchar('event_id', { length: 200 }) })
    return {
      write: (eventId, complete, failure) =>
        db.transaction(async (tx) => {
          await tx.insert(ledger).values({ eventId })
          await complete(drizzleMysql(tx))
          if (failure !== undefined) throw failure
        }),
      close: () => pool.end(),
    }
  },
  sqlite: ({ name }) => {
    const database = new Database(name)
    const db = drizzleOnSqlite(database)
    const ledger = sqliteTable('ledger', { eventId: text('event_id') })
    return {
      async write(eventId, complete, failure) {
        db.transaction(
          (tx) => {
            tx.insert(ledger).values({ eventId }).run()
            void complete(database)
            if (failure !== undefined) throw failure
          },
          { behavior: 'immediate' },
        )
      },
      close: async () => void database.close(),
    }
  },
})
