import { Pool } from 'pg'
import { storeProgram } from '../../src/conformance.ts'
import { postgresStore } from '../../src/stores/postgres.ts'

storeProgram(({ data }) => {
  const { url, schema } = data as { readonly url: string; readonly schema: string }
  return postgresStore(new Pool({ connectionString: url }), { schema })
})
