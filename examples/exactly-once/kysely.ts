import { CompiledQuery, type Transaction } from 'kysely'

/** A transaction of Kysely on Postgres or SQLite, for context.complete(). */
export function kyselyTransaction<Tables>(trx: Transaction<Tables>) {
  return {
    query: (text: string, values: readonly unknown[]) =>
      trx.executeQuery(CompiledQuery.raw(text, [...values])),
  }
}

/** A transaction of Kysely on MySQL, for context.complete(). */
export function kyselyMysql<Tables>(trx: Transaction<Tables>) {
  return {
    query: async (text: string, values: readonly unknown[]) => {
      const { rows, numAffectedRows } = await trx.executeQuery(CompiledQuery.raw(text, [...values]))
      return [numAffectedRows === undefined ? rows : { affectedRows: Number(numAffectedRows) }]
    },
  }
}
