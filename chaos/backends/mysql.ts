import { createConnection, createPool, type RowDataPacket } from 'mysql2/promise'
import { mysqlStore } from '../../src/stores/mysql.ts'
import type { Line } from '../journal.ts'
import type { Backend } from './backend.ts'

export const mysql: Backend = {
  async openStore({ url, name }) {
    const pool = createPool({ uri: url, connectionLimit: 5, connectTimeout: 1_000 })
    return { store: mysqlStore(pool, { table: name }), close: () => pool.end() }
  },

  async openJournal({ url, name }) {
    const connection = await createConnection(url)
    await connection.query(
      `CREATE TABLE IF NOT EXISTS \`${name}_journal\` (seq BIGINT AUTO_INCREMENT PRIMARY KEY, at DOUBLE NOT NULL, line TEXT NOT NULL)`,
    )
    const append = `INSERT INTO \`${name}_journal\` (at, line) VALUES (UNIX_TIMESTAMP(SYSDATE(6)) * 1000, ?)`
    return {
      async append(line) {
        await connection.execute(append, [JSON.stringify(line)])
      },
      async read() {
        const [rows] = await connection.query<RowDataPacket[]>(
          `SELECT seq, at, line FROM \`${name}_journal\` ORDER BY seq`,
        )
        return rows.map((row) => {
          const parsed: Line = JSON.parse(String(row['line']))
          return { ...parsed, seq: Number(row['seq']), at: Number(row['at']) }
        })
      },
      close: () => connection.end(),
    }
  },

  async erase({ url, name }) {
    const connection = await createConnection(url)
    await connection.query(`DROP TABLE IF EXISTS \`${name}\`, \`${name}_journal\``)
    await connection.end()
  },
}
