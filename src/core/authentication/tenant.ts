import { optionInvalid } from '../checks.ts'

/** The longest name of a tenant, in UTF-16 code units. */
const longestTenant = 128

/**
 * Whether a value can name a tenant: text that every database and log can hold. Control characters
 * and lone surrogates can't be stored everywhere, and surrounding white space is a mistake.
 */
export function isTenant(value: unknown): value is string {
  if (typeof value !== 'string' || value === '' || value.length > longestTenant) return false
  return value.trim() === value && !/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(value)
}

/**
 * Refuses a `tenant` argument that can't be a tenant's name: the lookup would find nothing.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkTenant(tenant: unknown): asserts tenant is string | undefined {
  if (tenant === undefined || isTenant(tenant)) return
  throw optionInvalid(
    `tenant must be 1 to ${longestTenant} characters, without control characters or surrounding white space.`,
    'Give the tenant that the secret function names, or leave it out.',
  )
}
