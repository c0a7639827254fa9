import Database from 'better-sqlite3'
import { createPool } from 'mysql2/promise'
import { Pool } from 'pg'
import { describeWriters } from './writers.ts'

describeWriters('pg, mysql2 and better-sqlite3', {
  postgres: ({ url }) => {
    const pool = new Pool({ connectionString: url })
    return {
      async write(eventId, complete, failure) {
        const client = await pool.connect()
        try {
          await client.query('begin')
          await client.query('insert into ledger (event_id) values ($1)', [eventId])
          await complete(client)
          if (failure !== undefined) throw failure
          await client.query('commit')
        } catch (error) {
          await client.query('rollback')
          throw error
        } finally {
          client.release()
        }
      },
      close: () => pool.end(),
    }
  },
  mysql: ({ url }) => {
    const pool = createPool(url)
    return {
      async write(eventId, complete, failure) {
        const connection = await pool.getConnection()
        try {
          await connection.beginTransaction()
          await connection.query('insert into ledger (event_id) values (?)', [eventId])
          await complete(connection)
          if (failure !== undefined) throw failure
          await connection.commit()
        } catch (error) {
          await connection.rollback()
          throw error
        } finally {
          connection.release()
        }
      },
      close: () => pool.end(),
    }
  },
  sqlite: ({ name }) => {
    const database = new Database(name)
    const insert = database.prepare('insert into ledger (event_id) values (?)')
    return {
      async write(eventId, complete, failure) {
        const transaction = database.transaction(() => {
          insert.run(eventId)
          void complete(database)
          if (failure !== undefined) throw failure
        })
        transaction.immediate()
      },
      close: async () => void database.close(),
    }
  },
})
