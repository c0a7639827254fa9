import { createHash, timingSafeEqual } from 'node:crypto'
import proxyAddr from 'proxy-addr'
import { RinghookError } from './errors.ts'
import type { DeliveryRequest } from './http.ts'

/** Whether a request may come from where it comes from. */
export type SenderRule = (request: DeliveryRequest) => boolean

/**
 * Gives the rule for `allowedIps`. The address is the socket's, or, where the socket belongs to one
 * of `trustedProxies`, the last address in `X-Forwarded-For` that is not a trusted proxy's.
 */
export function ipRule(
  allowedIps: readonly string[],
  trustedProxies: string | readonly string[] | undefined,
): SenderRule {
  const allowed = compile('allowedIps', allowedIps)
  const trusted = trustedProxies === undefined ? undefined : compile('trustedProxies', trustedProxies)
  return function isAllowedSender({ socket, headers }) {
    const peer = socket?.remoteAddress
    if (typeof peer !== 'string') return false
    const address =
      trusted === undefined
        ? peer
        : proxyAddr({ socket: { remoteAddress: peer }, headers } as never, trusted)
    return typeof address === 'string' && allowed(address, 0)
  }
}

/** Gives the rule for `urlToken`: exactly one `token` in the query, equal to one of `tokens`. */
export function urlTokenRule(tokens: readonly string[]): SenderRule {
  const expected = tokens.map(sha256)
  return function hasUrlToken({ url }) {
    const query = url.indexOf('?')
    if (query === -1) return false
    const presented = new URLSearchParams(url.slice(query + 1)).getAll('token')
    if (presented.length !== 1) return false
    // Equal lengths for the comparison, whatever length was presented.
    const digest = sha256(presented[0] ?? '')
    return expected.some((token) => timingSafeEqual(token, digest))
  }
}

function compile(option: string, addresses: string | readonly string[]) {
  try {
    return proxyAddr.compile(typeof addresses === 'string' ? addresses : [...addresses])
  } catch {
    throw new RinghookError(
      'RINGHOOK_IP_RULE_INVALID',
      `${option} holds something that is no IP address or range. Write addresses such as "203.0.113.7", "203.0.113.0/24" or "2001:db8::/32".`,
    )
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest()
}
