import { isIP, isIPv4, isIPv6 } from 'node:net'

/**
 * Why an entry of a list of addresses is not an address or a range, to be read after "which".
 * `undefined`: it is one. The forms that other parsers take for IPv4, octal, hex and integers, are
 * refused: `010.0.0.1` is 8.0.0.1 to some and 10.0.0.1 to others.
 */
export function flawInAddress(entry: unknown): string | undefined {
  if (typeof entry !== 'string') return 'is not a string. Is the environment variable set?'
  if (entry.trim() !== entry) return 'has white space around it.'
  const slash = entry.indexOf('/')
  const address = slash === -1 ? entry : entry.slice(0, slash)
  if (address.includes('%')) {
    return 'has a zone, which says something about one machine only. Leave out the percent sign and what follows it.'
  }
  if (isIP(address) === 0) {
    return 'is not an IP address: IPv4 is four decimal numbers from 0 to 255 without leading zeros.'
  }
  return slash === -1 ? undefined : flawInPrefix(address, entry.slice(slash + 1))
}

function flawInPrefix(address: string, text: string): string | undefined {
  const most = isIPv4(address) ? 32 : 128
  // Of an IPv4 address that is written as IPv6, the first 96 bits are the same for all.
  const least = isMapped(address) ? 97 : 1
  const isPlain = /^[1-9]\d{0,2}$/.test(text)
  if (isPlain && Number(text) >= least && Number(text) <= most) return undefined
  return `has a range that is not a plain number from ${least} to ${most} behind its slash.`
}

/** Whether an IPv6 address stands for an IPv4 address, in whichever of its aliases. */
function isMapped(address: string): boolean {
  if (!isIPv6(address)) return false
  return /^\[::ffff:[\da-f]{1,4}:[\da-f]{1,4}\]$/.test(new URL(`http://[${address}]`).hostname)
}

/** An IPv6 address with the longest zone that a socket may show. */
const longest = 64

/** Returns the address of a socket without its zone, or `undefined` if it is not an IP address. */
export function plainAddress(text: string): string | undefined {
  if (text.length > longest) return undefined
  const zone = text.indexOf('%')
  const address = zone === -1 ? text : text.slice(0, zone)
  return isIP(address) === 0 ? undefined : address
}

/**
 * Returns the address of an entry of `X-Forwarded-For`, or `undefined` if it has none, as `unknown`.
 * Proxies write it with a port or without one: `203.0.113.7`, `203.0.113.7:51234`, `2001:db8::1`,
 * `[2001:db8::1]`, `[2001:db8::1]:443`.
 */
export function forwardedAddress(entry: string): string | undefined {
  const text = entry.trim()
  if (text.length > longest || text.includes('%')) return undefined
  if (isIP(text) !== 0) return text
  const end = text.startsWith('[') ? text.indexOf(']') : text.indexOf(':')
  if (end === -1) return undefined
  const isBracketed = text.startsWith('[')
  const address = isBracketed ? text.slice(1, end) : text.slice(0, end)
  const port = isBracketed ? text.slice(end + 1) : text.slice(end)
  const isAddress = isBracketed ? isIPv6(address) : isIPv4(address)
  const hasPort = /^:\d{1,5}$/.test(port) && Number(port.slice(1)) <= 65_535
  return isAddress && (hasPort || (isBracketed && port === '')) ? address : undefined
}
