import { nameInvalid } from '../options.ts'

/**
 * Refuses what SQLite takes for no name of a table.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkTable(table: string, preset: string): void {
  const isName = typeof table === 'string' && table !== '' && table.isWellFormed()
  if (isName && !table.includes('\0') && !/^sqlite_/i.test(table)) return
  throw nameInvalid(
    'table',
    'text that is not empty, has no NUL and does not begin with sqlite_',
    preset,
  )
}

/** A name as SQL has it, whatever characters are in it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
