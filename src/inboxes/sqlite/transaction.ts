import {
  columnsOf,
  hasOpenTransaction,
  isDatabase,
  isInTransaction,
  type SqliteDatabase,
} from '../../databases/sqlite/database.ts'

/**
 * Whether something is a database with an open transaction on the inbox's own file. Only what says
 * of itself that a transaction is open is asked for its file: the client of another database, which
 * may have methods of the same names, is never sent anything.
 */
export function isTransactionOn(own: SqliteDatabase, given: unknown): given is SqliteDatabase {
  if (!isDatabase(given)) return false
  if (given === own) return hasOpenTransaction(own)
  if (isInTransaction(given) !== true) return false
  const file = fileOf(given)
  return file !== '' && file === fileOf(own)
}

/** The path of a database's file, with links followed. Empty for a database in memory. */
function fileOf(database: SqliteDatabase): string {
  const [main] = database
    .prepare('PRAGMA database_list')
    .all()
    .map(columnsOf)
    .filter(([, schema]) => schema === 'main')
  return String(main?.[2] ?? '')
}
