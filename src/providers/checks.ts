import { flawInAddress } from '../core/addresses.ts'
import { isObject } from '../core/checks.ts'
import { RinghookError } from '../core/errors.ts'
import type { DeliveryPolicy, ProviderDefinition, SignatureScheme } from './provider.ts'

/**
 * Checks a definition field by field, for definitions written without types.
 *
 * @throws {RinghookError} RINGHOOK_PROVIDER_INVALID
 */
export function checkDefinition(definition: ProviderDefinition): void {
  if (!isObject(definition)) throw invalid('it is not an object')
  const { name, signature, signedTimestamp, events, delivery, defaults } = definition
  if (typeof name !== 'string' || !/^[a-z][a-z0-9-]{0,62}$/.test(name)) {
    throw invalid('its name is not made of lower-case letters, digits and hyphens')
  }
  if (typeof signedTimestamp !== 'boolean') throw invalid('signedTimestamp is not true or false')
  checkOptional(definition, ['read', 'renew'], 'function')
  if (signature !== false) checkSignature(signature)
  checkDelivery(delivery)
  if (defaults !== undefined && !isObject(defaults)) throw invalid('defaults is not an object')
  if (!isObject(events)) throw invalid('events is not an object')
  for (const [type, event] of Object.entries(events)) {
    if (typeof event?.schema?.safeParse === 'function') continue
    throw invalid(`its event "${type}" has no schema, such as z.object({ call_id: z.string() })`)
  }
}

/** Creates the error for a definition that can't be used. */
export function invalid(cause: string): RinghookError {
  return new RinghookError(
    'RINGHOOK_PROVIDER_INVALID',
    `The provider can't be used: ${cause}. Correct its definition.`,
  )
}

function checkSignature(signature: SignatureScheme): void {
  if (!isObject(signature)) throw invalid('signature is neither false nor an object')
  const { header, encoding, separator, prefix } = signature
  if (typeof header !== 'string' || !/^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(header)) {
    throw invalid('signature.header is not a header name in lower case')
  }
  if (encoding !== 'hex' && encoding !== 'base64') {
    throw invalid('signature.encoding is neither "hex" nor "base64"')
  }
  if (separator !== undefined && !/^[ ,;]$/.test(separator)) {
    throw invalid('signature.separator is not one space, comma or semicolon')
  }
  checkOptional(signature, ['prefix'], 'string')
  if (separator !== undefined && prefix?.includes(separator) === true) {
    throw invalid('signature.prefix has the separator in it')
  }
  checkOptional(signature, ['signedPrefix', 'key'], 'function')
}

function checkDelivery(delivery: DeliveryPolicy): void {
  const delays: unknown = delivery?.retryDelaysMs
  const isWait = (delay: unknown) => Number.isFinite(delay) && (delay as number) >= 0
  if (!Array.isArray(delays) || delays[0] !== 0 || !delays.every(isWait)) {
    throw invalid(
      'delivery.retryDelaysMs does not start with 0 and go on with waits in milliseconds',
    )
  }
  const addresses: unknown = delivery.addresses
  if (addresses === undefined) return
  if (!Array.isArray(addresses)) throw invalid('delivery.addresses is not an array')
  for (const address of addresses) {
    const flaw = flawInAddress(address)
    if (flaw !== undefined) throw invalid(`one of its delivery.addresses ${flaw}`)
  }
}

function checkOptional<Shape extends object>(
  shape: Shape,
  names: readonly (keyof Shape & string)[],
  type: 'string' | 'function',
): void {
  for (const name of names) {
    const value: unknown = shape[name]
    if (value !== undefined && typeof value !== type) throw invalid(`${name} is not a ${type}`)
  }
}
