import { slipIn } from '../core/authentication/secrets.ts'
import { checkOptional, checkOptions, optionInvalid, wholeNumber } from '../core/checks.ts'
import { type Clock, longestTimer, systemClock } from '../core/clock.ts'
import { RinghookError } from '../core/errors.ts'
import { policyAt, type RetryOptions, type RetryPolicy } from '../core/inbox/retry.ts'

/** The options that the clients of all providers have. */
export interface ApiClientOptions {
  /** The key of the account. It is sent to `baseUrl` and nowhere else. */
  readonly apiKey: string | undefined
  /** Where the API is. Default: the address in the provider's pages. HTTPS, or HTTP on this machine. */
  readonly baseUrl?: string
  /** What sends the requests. Default: the global `fetch`. It gets a URL and what `fetch` takes. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** How long one attempt may take, until the last byte of its answer, in ms. Default: 10 000. From 1. */
  readonly timeoutMs?: number
  /**
   * How calls that failed for the moment are repeated. Default: 4 attempts, the first pause 500 ms,
   * the longest 30 000. `false`: never.
   */
  readonly retry?: RetryOptions | false
  /** For tests: `manualClock()` of `ringhook/testing`. Default: the machine's clock. */
  readonly clock?: Clock
}

/** What every call takes beside its own arguments. */
export interface CallOptions {
  /** Ends the call, its pauses included: it rejects with the signal's `reason`. */
  readonly signal?: AbortSignal
}

/** The options of a client, checked. */
export interface ClientSettings {
  readonly apiKey: string
  readonly baseUrl: string
  readonly fetch: NonNullable<ApiClientOptions['fetch']>
  readonly timeoutMs: number
  readonly retry: RetryPolicy
  readonly clock: Clock
}

const optionNames = ['apiKey', 'baseUrl', 'fetch', 'timeoutMs', 'retry', 'clock']
const preset: RetryPolicy = { maxAttempts: 4, initialDelayMs: 500, maxDelayMs: 30_000 }

/** What is particular to one provider's client. */
export interface ClientKind {
  /** The function that was given the options, as in `createKrosaiApi`. */
  readonly factory: string
  readonly baseUrl: string
  /** The names of the options that it has beside those of all. */
  readonly options: readonly string[]
  /** The forms that a key has, where the provider's pages show them. */
  readonly keyForm?: { readonly pattern: RegExp; readonly words: string }
}

/**
 * Checks the options of a client and fills in the defaults.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID, RINGHOOK_API_KEY_INVALID
 */
export function checkClientOptions(kind: ClientKind, options: ApiClientOptions): ClientSettings {
  const { factory } = kind
  checkOptions(`${factory}()`, options, [...optionNames, ...kind.options])
  const { fetch: own, retry, clock = systemClock } = options
  checkOptional('fetch', own, 'function')
  return {
    apiKey: checkKey(kind, options.apiKey),
    baseUrl: checkBaseUrl(options.baseUrl ?? kind.baseUrl),
    // Looked up for each request: what replaces the global one, such as a tracer, may come later.
    fetch: own ?? ((url, init) => fetch(url, init)),
    timeoutMs: wholeNumber('timeoutMs', options.timeoutMs, {
      default: 10_000,
      min: 1,
      max: longestTimer,
    }),
    retry: checkRetry(retry),
    clock,
  }
}

/**
 * Returns an identifier that is safe in a path: `..` would be another call.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkId(where: string, id: unknown): string {
  if (typeof id === 'string' && /^[\w-]{1,128}$/.test(id)) return id
  throw optionInvalid(
    `${where} was given no identifier.`,
    'Give the id as the API gave it, such as a UUID.',
  )
}

/**
 * Returns the address of an endpoint.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function checkEndpoint(url: unknown): string {
  if (typeof url === 'string' && /^https?:/i.test(url) && URL.canParse(url)) return url
  throw optionInvalid('url must be an HTTP address.', 'Give the full address of your endpoint.')
}

function checkKey({ factory, keyForm }: ClientKind, apiKey: unknown): string {
  const text = typeof apiKey === 'string' ? apiKey.trim() : ''
  if (text === '' || text === 'undefined' || text === 'null') {
    throw keyInvalid(
      `${factory}() was given no API key: it is undefined or blank`,
      'Is the environment variable set?',
    )
  }
  if (text !== apiKey) {
    throw keyInvalid('The API key has white space around it', 'Copy it without the line end.')
  }
  if (/^bearer\s/i.test(text)) {
    throw keyInvalid('The API key begins with the word Bearer', 'Give the key alone.')
  }
  // Anything else would be refused by the headers of fetch, in words that quote it.
  if (!/^[\x21-\x7e]+$/.test(text)) {
    throw keyInvalid(
      'The API key has white space or characters beyond ASCII in it',
      'Copy it once more.',
    )
  }
  // Not how strong it is: that is the API's to judge.
  const slip = slipIn(text)
  if (slip !== undefined) throw keyInvalid(`The API key ${slip}`, 'Copy the key alone.')
  if (keyForm !== undefined && !keyForm.pattern.test(text)) {
    throw keyInvalid('The API key is something else', `Keys have the form ${keyForm.words}.`)
  }
  return text
}

function keyInvalid(cause: string, remedy: string): RinghookError {
  return new RinghookError('RINGHOOK_API_KEY_INVALID', `${cause}. ${remedy}`)
}

function checkBaseUrl(text: unknown): string {
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : undefined
  const isSafe =
    url?.protocol === 'https:' || (url?.protocol === 'http:' && isThisMachine(url.hostname))
  if (url === undefined || !isSafe) {
    throw optionInvalid(
      'baseUrl must be an HTTPS address.',
      'The API key goes there: plain HTTP is for localhost alone.',
    )
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw optionInvalid(
      'baseUrl must be an address and a path only.',
      'Leave out names, passwords, queries and fragments.',
    )
  }
  return url.href.replace(/\/+$/, '')
}

function isThisMachine(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d+){3}$/.test(hostname)
}

function checkRetry(retry: unknown): RetryPolicy {
  if (retry === false) return { ...preset, maxAttempts: 1 }
  return retry === undefined ? preset : policyAt('retry', retry, preset)
}
