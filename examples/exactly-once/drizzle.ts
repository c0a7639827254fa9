import { type SQL, sql } from 'drizzle-orm'

/** A transaction of drizzle-orm/node-postgres, for context.complete(). */
export function drizzlePostgres(tx: { execute(query: SQL): PromiseLike<{ rows: unknown[] }> }) {
  return {
    query: (text: string, values: readonly unknown[]) => {
      // Between the parts of the text stand the numbers of the values.
      const chunks = text
        .split(/\$(\d+)/)
        .map((part, at) => (at % 2 === 0 ? sql.raw(part) : sql.param(values[Number(part) - 1])))
      return tx.execute(sql.join(chunks))
    },
  }
}

/** A transaction of drizzle-orm/mysql2, for context.complete(). */
export function drizzleMysql(tx: { execute(query: SQL): PromiseLike<unknown> }) {
  return {
    query: (text: string, values: readonly unknown[]) => {
      const [first = '', ...rest] = text.split('?')
      const chunks = rest.flatMap((part, at) => [sql.param(values[at]), sql.raw(part)])
      return tx.execute(sql.join([sql.raw(first), ...chunks]))
    },
  }
}
