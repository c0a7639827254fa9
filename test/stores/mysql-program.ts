import { createPool } from 'mysql2/promise'
import { mysqlStore } from '../../src/stores/mysql.ts'
import { storeProgram } from '../../src/testing.ts'

storeProgram(({ data }) => {
  const { url, table } = data as { readonly url: string; readonly table: string }
  return mysqlStore(createPool(url), { table })
})
