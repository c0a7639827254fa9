import { RinghookError } from '../core/errors.ts'
import { nearest } from '../core/routing.ts'

/** Refuses options that do not exist: a misspelt one would make a test that tests nothing. */
export function refuseUnknown(options: object | undefined, names: readonly string[]): void {
  for (const name of Object.keys(options ?? {})) {
    if (names.includes(name)) continue
    throw new RinghookError(
      'RINGHOOK_OPTION_INVALID',
      `There is no option "${name}".${suggestionFor(name, names)} Options: ${names.join(', ')}.`,
    )
  }
}

/** Returns a question with the name that is probably meant, for the end of a message, or nothing. */
export function suggestionFor(name: string, names: readonly string[]): string {
  const near = nearest(name, names)
  return near === undefined ? '' : ` Did you mean "${near}"?`
}
