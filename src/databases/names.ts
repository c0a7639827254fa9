import { optionInvalid } from '../core/checks.ts'
import type { RinghookError } from '../core/errors.ts'

/**
 * Creates the error for the name of a table, or the like, that the database doesn't take.
 *
 * @param rule - What it takes, as in `1 to 63 bytes`.
 */
export function nameInvalid(option: string, rule: string, preset: string): RinghookError {
  return optionInvalid(`${option} must be ${rule}.`, `The default is ${preset}.`)
}
