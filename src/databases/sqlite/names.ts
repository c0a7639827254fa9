import { nameInvalid } from '../names.ts'

/**
 * Refuses what SQLite takes for no name of a table.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkTable(table: string, preset: string): void {
  const isName = typeof table === 'string' && table !== '' && table.isWellFormed()
  if (isName && !table.includes('\0') && !/^sqlite_/i.test(table)) return
  throw nameInvalid('table', "non-empty text without NUL that doesn't begin with sqlite_", preset)
}

/** A name as SQL has it, whatever characters are in it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
