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
  const trusted =
    trustedProxies === undefined ? undefined : compile('trustedProxies', trustedProxies)
  return function isAllowedSender({ socket, headers }) {
    const peer = socket?.remoteAddress
    if (typeof peer !== 'string') return false
    if (trusted === undefined) return allowed(peer, 0)
    const forwarded = headers['x-forwarded-for']
    // Node joins repeated headers. One that is not joined would make proxy-addr throw.
    if (forwarded !== undefined && typeof forwarded !== 'string') return false
    return allowed(proxyAddr({ socket: { remoteAddress: peer }, headers } as never, trusted), 0)
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
