import { Pool } from 'pg'
import { postgresStore } from '../../src/stores/postgres.ts'
import { storeProgram } from '../../src/testing.ts'

storeProgram(({ data }) => {
  const { url, schema } = data as { readonly url: string; readonly schema: string }
  return postgresStore(new Pool({ connectionString: url }), { schema })
})
