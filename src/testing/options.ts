import { RinghookError } from '../core/errors.ts'
import { nearest } from '../core/routing.ts'

/** Refuses options that do not exist: a misspelt one would make a test that tests nothing. */
export function refuseUnknown(options: object | undefined, names: readonly string[]): void {
  for (const name of Object.keys(options ?? {})) {
    if (names.includes(name)) continue
    const near = nearest(name, names)
    const hint = near === undefined ? '' : ` Did you mean "${near}"?`
    throw new RinghookError(
      'RINGHOOK_OPTION_INVALID',
      `There is no option "${name}".${hint} Options: ${names.join(', ')}.`,
    )
  }
}
