import type { Knex } from 'knex'

/** A transaction of Knex on Postgres, for context.complete(). */
export function knexPostgres(trx: Knex.Transaction) {
  return {
    query: (text: string, values: readonly unknown[]) => {
      // Knex has `?` for values, one after the other, and `\?` for a question mark.
      const inOrder = [...text.matchAll(/\$(\d+)/g)].map(([, number]) => values[Number(number) - 1])
      return trx.raw(text.replaceAll('?', '\\?').replaceAll(/\$\d+/g, '?'), inOrder as Knex.Value[])
    },
  }
}

/** A transaction of Knex on MySQL or SQLite, for context.complete(). */
export function knexTransaction(trx: Knex.Transaction) {
  return {
    query: (text: string, values: readonly unknown[]) => trx.raw(text, values as Knex.Value[]),
  }
}
