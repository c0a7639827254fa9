import { createPool, type Pool, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise'
import { mysqlStore } from '../../src/stores/mysql.ts'
import { fingerprint, leaseMs, type Place, placeName, type Subject } from './subject.ts'

export const mysql: Subject = {
  floor: 'prepared INSERT IGNORE',
  isRemote: true,
  async connect(url) {
    // As many connections as a pool has that was given no number.
    const pool = createPool(url)
    const opened: MysqlPlace[] = []
    return {
      async open() {
        const place = new MysqlPlace(pool, placeName())
        opened.push(place)
        await place.store.migrate()
        return place
      },
      async close() {
        for (const place of opened) await place.drop()
        await pool.end()
      },
    }
  },
}

class MysqlPlace implements Place {
  readonly store
  readonly #pool: Pool
  readonly #table: string
  readonly #insert: string

  constructor(pool: Pool, table: string) {
    this.#pool = pool
    this.#table = table
    this.store = mysqlStore(pool, { table })
    this.#insert = `INSERT IGNORE INTO ${table} (event_key, owner, fence, state, fingerprint, ends_at)
VALUES (?, ?, 1, 0, ?, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000 + ?)`
  }

  async insert(key: string, owner: string): Promise<boolean> {
    const values = [key, owner, fingerprint, leaseMs]
    const [{ affectedRows }] = await this.#pool.execute<ResultSetHeader>(this.#insert, values)
    return affectedRows === 1
  }

  async clear(): Promise<void> {
    await this.#pool.query(`TRUNCATE ${this.#table}`)
  }

  async bytes(): Promise<number> {
    await this.#pool.query(`ANALYZE TABLE ${this.#table}`)
    const [rows] = await this.#pool.query<RowDataPacket[]>(
      `SELECT data_length + index_length AS bytes FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name = '${this.#table}'`,
    )
    return Number(rows[0]?.['bytes'])
  }

  async drop(): Promise<void> {
    await this.#pool.query(`DROP TABLE IF EXISTS ${this.#table}`)
  }
}
