import { RinghookError } from '../core/errors.ts'

/**
 * Refuses what are no options, and options that do not exist: a misspelt one would be a setting
 * that is not made.
 *
 * @param factory - The function that was given them, as in `postgresStore`.
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkOptions(factory: string, options: unknown, names: readonly string[]): void {
  const known = `Its options are: ${names.join(', ')}.`
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalid(`The options of ${factory}() are no object. ${known}`)
  }
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) throw invalid(`${factory}() has no option "${name}". ${known}`)
  }
}

/**
 * Gives the error for the name of a table, or the like, that the database does not take.
 *
 * @param rule - What it takes, as in `1 to 63 bytes`.
 */
export function nameInvalid(option: string, rule: string, preset: string): RinghookError {
  return invalid(`The option ${option} is not valid: it takes ${rule}. The default is ${preset}.`)
}

function invalid(message: string): RinghookError {
  return new RinghookError('RINGHOOK_OPTION_INVALID', message)
}
