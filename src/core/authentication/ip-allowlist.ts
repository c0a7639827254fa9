import proxyAddr from 'proxy-addr'
import { flawInAddress, forwardedAddress, plainAddress } from '../addresses.ts'
import { RinghookError } from '../errors.ts'
import { printable } from '../log.ts'
import type { DeliveryRequest } from '../request/http.ts'

/** Returns why a request may not come from where it comes from, for the log; or `undefined` if it may. */
export type IpAllowlist = (request: DeliveryRequest) => string | undefined

type Matcher = (address: string) => boolean

interface TrustedProxies {
  readonly has: Matcher
  /** Whether a connection without an address comes from a proxy on this machine. */
  readonly unix: boolean
}

/** Where a connection comes from. A Unix socket has no address. */
type Peer = { readonly address: string } | 'unix'

/** The names that stand for ranges. */
const ranges = ['loopback', 'linklocal', 'uniquelocal']

/**
 * Returns the rule for `allowedIps`. The address is the socket's, or, if the socket belongs to one
 * of `trustedProxies`, the last address in `X-Forwarded-For` that is not a trusted proxy's.
 *
 * @throws {RinghookError} RINGHOOK_IP_RULE_INVALID
 */
export function ipAllowlist(allowedIps: readonly unknown[], trustedProxies: unknown): IpAllowlist {
  const isAllowed = matcher('allowedIps', allowedIps)
  const trusted = trustedProxies === undefined ? undefined : compileProxies(trustedProxies)
  return function whyNotAllowed({ socket, headers }) {
    const peer = peerOf(socket)
    if (peer === undefined) return unknownPeer
    const forwarded = headers['x-forwarded-for']
    const isForwarded = forwarded !== undefined && forwarded !== ''
    if (!isTrusted(peer, trusted) || !isForwarded) {
      if (peer !== 'unix' && isAllowed(peer.address)) return undefined
      return reasonForPeer(peer, trusted, isForwarded)
    }
    const client = clientBehind(peer, forwarded, trusted.has)
    if ('reason' in client) return client.reason
    if (isAllowed(client.address)) return undefined
    const hint = trusted.has(client.address)
      ? 'It is in trustedProxies, as is every address behind it, so no client is named. Have the proxies add the address that they are called from, or add it to allowedIps'
      : `If ${client.address} is a proxy too, add it to trustedProxies`
    return `the client is ${client.address} by the X-Forwarded-For of ${nameOf(peer)}, and is not in allowedIps. ${hint}`
  }
}

const unknownPeer =
  'the address of the connection is not known: it was closed before the request was looked at, or the request did not come over one'

function isTrusted(peer: Peer, trusted: TrustedProxies | undefined): trusted is TrustedProxies {
  if (trusted === undefined) return false
  return peer === 'unix' ? trusted.unix : trusted.has(peer.address)
}

/** The first address from the end that is not a trusted proxy's: what stands before it, its owner wrote. */
function clientBehind(
  peer: Peer,
  forwarded: unknown,
  isProxy: Matcher,
): { readonly address: string } | { readonly reason: string } {
  const entries = typeof forwarded === 'string' ? forwarded.split(',').reverse() : ['']
  let client = ''
  for (const entry of entries) {
    const address = forwardedAddress(entry)
    if (address === undefined) {
      return {
        reason: `the X-Forwarded-For of ${nameOf(peer)}, a trusted proxy, has something other than an IP address where the client's should be. Have the proxy add the address that it is called from`,
      }
    }
    client = address
    if (!isProxy(address)) break
  }
  return { address: client }
}

function reasonForPeer(
  peer: Peer,
  trusted: TrustedProxies | undefined,
  isForwarded: boolean,
): string {
  if (isTrusted(peer, trusted)) {
    return `${nameOf(peer)} is a trusted proxy and sent no X-Forwarded-For, so the client's address is not known. Have the proxy set it`
  }
  if (peer === 'unix') {
    return "the connection has no address, as one through a Unix socket. If a proxy connects like that, add 'unix' to trustedProxies"
  }
  const from = `the connection comes from ${peer.address}, which is`
  if (trusted === undefined) {
    const hint = isForwarded
      ? 'Its X-Forwarded-For does not count. Behind a proxy, set trustedProxies to the address of the proxy, if this is it'
      : 'Behind a proxy, set trustedProxies to the address of the proxy, if this is it, and have it set X-Forwarded-For'
    return `${from} not in allowedIps. ${hint}`
  }
  const consequence = isForwarded ? ', so its X-Forwarded-For does not count' : ''
  return `${from} neither in allowedIps nor in trustedProxies${consequence}. If it is a proxy of yours, add it to trustedProxies`
}

function nameOf(peer: Peer): string {
  return peer === 'unix' ? 'a Unix socket' : peer.address
}

/** `undefined`: it cannot be told any more. */
function peerOf(socket: DeliveryRequest['socket']): Peer | undefined {
  if (socket === undefined || socket === null) return undefined
  try {
    const { remoteAddress, localAddress, destroyed } = socket
    if (typeof remoteAddress === 'string') {
      const address = plainAddress(remoteAddress)
      return address === undefined ? undefined : { address }
    }
    // A TCP connection that its client has reset has lost its address too, and must not be taken for
    // the proxy: it has an address on this side, until it is destroyed.
    const isUnix = remoteAddress === undefined && localAddress === undefined && destroyed !== true
    return isUnix ? 'unix' : undefined
  } catch {
    // The socket of an HTTP/2 session that was closed.
    return undefined
  }
}

function compileProxies(trustedProxies: unknown): TrustedProxies {
  const entries: readonly unknown[] =
    typeof trustedProxies === 'string' ? [trustedProxies] : listOf(trustedProxies)
  const names: readonly unknown[] = ranges
  return {
    has: matcher(
      'trustedProxies',
      entries.filter((entry) => entry !== 'unix'),
      names,
    ),
    unix: entries.includes('unix'),
  }
}

function listOf(trustedProxies: unknown): readonly unknown[] {
  if (Array.isArray(trustedProxies)) return trustedProxies
  throw ruleInvalid('trustedProxies is neither a string nor an array.')
}

function matcher(
  option: string,
  entries: readonly unknown[],
  names: readonly unknown[] = [],
): Matcher {
  for (const entry of entries) {
    const flaw = names.includes(entry) ? undefined : flawInAddress(entry)
    if (flaw !== undefined) {
      const shown = typeof entry === 'string' ? `"${printable(entry)}"` : String(typeof entry)
      throw ruleInvalid(`${option} holds ${shown}, which ${flaw}`)
    }
  }
  const isIn = proxyAddr.compile(entries as string[])
  return (address) => isIn(address, 0)
}

function ruleInvalid(cause: string): RinghookError {
  return new RinghookError(
    'RINGHOOK_IP_RULE_INVALID',
    `${cause} Write addresses such as "203.0.113.7", "203.0.113.0/24" or "2001:db8::/32".`,
  )
}
