import type { StoredDelivery } from '../../inboxes/inbox.ts'
import type { Provider } from '../../providers/provider.ts'
import { type TokenFinder, tokenFinder } from '../authentication/token-finder.ts'
import type { RequestHeaders } from '../request/http.ts'

/** Returns the headers of a delivery that an inbox keeps. `read`: those the provider's `read` looked at. */
export type HeaderKeeper = (
  headers: RequestHeaders,
  read: ReadonlySet<string> | undefined,
) => StoredDelivery['headers']

/** What handlers need, and no proxy writes a URL or a credential into. */
const kept = new Set([
  'content-type',
  'content-language',
  'date',
  'user-agent',
  'idempotency-key',
  'x-timestamp',
  'x-event-id',
  'x-event-type',
  'x-delivery-id',
  // What a trace or a log of the sender's side is found by.
  'traceparent',
  'tracestate',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-request-id',
  'x-correlation-id',
  'x-amzn-trace-id',
  'x-cloud-trace-context',
])

/** Kept under no circumstances, not even for a provider that reads them. */
const never = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'referer',
  'forwarded',
  // Not a header, but an assignment to it would not be one either.
  '__proto__',
])

/** What names a credential or repeats a URL, among headers that a platform names as it likes. */
const suspicious =
  /secret|token|key|auth|sign|hmac|digest|pass|cookie|session|credential|jwt|nonce|ur[il]|path|query|href|location|endpoint|target/

/**
 * Returns what chooses the headers an inbox keeps of a provider's deliveries: a list of names, those
 * that platforms use for webhooks, and those that the provider's `read` looks at, which a worker has
 * to read again. A value that holds one of `urlTokens`, however it is encoded, is dropped.
 */
export function headerKeeper(
  { name, signature }: Provider,
  urlTokens: readonly string[],
): HeaderKeeper {
  const prefixes = ['webhook-', 'x-webhook-', 'ce-', `${name}-`, `x-${name}-`]
  const holdsToken: TokenFinder = tokenFinder(urlTokens)

  function isKept(header: string, read: ReadonlySet<string> | undefined): boolean {
    // It proves nothing any more, and whoever reads the inbox could send it again.
    if (never.has(header) || (signature !== false && header === signature.header)) return false
    if (kept.has(header) || read?.has(header) === true) return true
    return prefixes.some((prefix) => header.startsWith(prefix)) && !suspicious.test(header)
  }

  return function keptHeaders(headers, read) {
    const stored: Record<string, string | readonly string[]> = {}
    for (const [header, value] of Object.entries(headers)) {
      if (value === undefined || !isKept(header, read)) continue
      const values = typeof value === 'string' ? [value] : value
      if (holdsToken(header) || values.some(holdsToken)) continue
      stored[header] = typeof value === 'string' ? storable(value) : value.map(storable)
    }
    return stored
  }
}

/** Headers that note which of them are read. */
export interface RecordedHeaders {
  readonly headers: RequestHeaders
  /** The names of those that were read so far. */
  readonly read: ReadonlySet<string>
}

/** Returns the same headers, and notes which of them are read: a worker will need them again. */
export function recordReads(headers: RequestHeaders): RecordedHeaders {
  const read = new Set<string>()
  const recording = new Proxy(headers, {
    get(target, name) {
      if (typeof name === 'string' && Object.hasOwn(target, name)) read.add(name)
      return Reflect.get(target, name) as unknown
    },
  })
  return { headers: recording, read }
}

/** Databases refuse zero bytes and halves of surrogate pairs. */
export function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd')
}
