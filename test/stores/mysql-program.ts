import { createPool } from 'mysql2/promise'
import { storeProgram } from '../../src/conformance.ts'
import { mysqlStore } from '../../src/stores/mysql.ts'

storeProgram(({ data }) => {
  const { url, table } = data as { readonly url: string; readonly table: string }
  return mysqlStore(createPool(url), { table })
})
