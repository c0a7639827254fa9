import type { KeyObject } from 'node:crypto'
import { RinghookError } from '../errors.ts'
import type { TenantSecret } from '../options/options.ts'
import { isTenant } from './tenant.ts'

/** The keys that a delivery may be signed with. */
export interface Keyring {
  readonly keys: readonly KeyObject[]
  /** The tenant of each key. Absent: none of them belongs to a tenant. */
  readonly tenants?: readonly (string | undefined)[]
}

export const noKeys: Keyring = { keys: [] }

/** Compiles the answer of a `secret` function: texts, and secrets of tenants, in any mixture. */
export function keyringOf(answer: unknown, keyOf: (value: unknown) => KeyObject): Keyring {
  const keys: KeyObject[] = []
  const tenants: (string | undefined)[] = []
  for (const entry of listOf(answer)) {
    if (typeof entry !== 'object' || entry === null) {
      keys.push(keyOf(entry))
      tenants.push(undefined)
      continue
    }
    const { secret, tenant } = entry as Partial<TenantSecret>
    const secrets = listOf(secret)
    // A name from the URL for which there is no secret may be anything: that is a 401.
    const isNamed = secrets.length === 0 || isTenant(tenant)
    if (!('secret' in entry && isNamed)) throw tenantInvalid()
    for (const value of secrets) {
      keys.push(keyOf(value))
      tenants.push(tenant)
    }
  }
  return tenants.some((tenant) => tenant !== undefined) ? { keys, tenants } : { keys }
}

function listOf(given: unknown): readonly unknown[] {
  if (given === undefined || given === null) return []
  return Array.isArray(given) ? given : [given]
}

/**
 * Whether another tenant has the key that verified a delivery. The signature can't tell them apart,
 * and a guess would hand one tenant's events to another.
 */
export function isShared({ keys, tenants = [] }: Keyring, index: number): boolean {
  const key = keys[index]
  return keys.some((other, at) => tenants[at] !== tenants[index] && key?.equals(other) === true)
}

/** The error for a signature that does not tell whose delivery it is. */
export function secretShared(): RinghookError {
  return new RinghookError(
    'RINGHOOK_SECRET_INVALID',
    'The secret function returned one secret for two tenants, so the signature does not tell whose delivery it is. Give every tenant a secret of its own, or return only the secret of the tenant that the URL names.',
  )
}

function tenantInvalid(): RinghookError {
  return new RinghookError(
    'RINGHOOK_SECRET_INVALID',
    'The secret function returned something that is not { secret, tenant }, or whose tenant is not a name: it must be 1 to 128 characters, without control characters or surrounding white space. Return text, or { secret, tenant } such as { secret, tenant: account.id }.',
  )
}
