import type { TransactionSql } from 'postgres'

/** A transaction of postgres.js, for context.complete(). */
export function postgresJs(tx: TransactionSql) {
  return {
    query: async (text: string, values: string[]) => ({ rows: await tx.unsafe(text, values) }),
  }
}
