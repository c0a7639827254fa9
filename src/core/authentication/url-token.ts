import { createHash, timingSafeEqual } from 'node:crypto'

/** Returns whether a URL has the token. */
export type UrlTokenRule = (url: string) => boolean

/**
 * Returns the rule for `urlToken`: exactly one `token` in the query, equal to one of `tokens`.
 *
 * The name must be spelt exactly like that. A sender uses the URL that it was given, so a variant such
 * as `%74oken` or `?token` is not the provider's.
 */
export function urlTokenRule(tokens: readonly string[]): UrlTokenRule {
  const expected = tokens.map(sha256)
  return function hasUrlToken(url) {
    // Equal lengths for the comparison, whatever was presented.
    const digest = sha256(presentedIn(url) ?? '')
    let matches = false
    for (const candidate of expected) matches = timingSafeEqual(candidate, digest) || matches
    return matches
  }
}

function presentedIn(url: string): string | undefined {
  const fragment = url.indexOf('#')
  const target = fragment === -1 ? url : url.slice(0, fragment)
  const query = target.indexOf('?')
  if (query === -1) return undefined
  // After an ampersand: URLSearchParams would strip a second question mark.
  const parameters = `&${target.slice(query + 1)}`
  const presented = new URLSearchParams(parameters).getAll('token')
  if (presented.length !== 1 || !parameters.includes('&token=')) return undefined
  // A token has no white space: a space was a "+" that was not percent-encoded.
  return presented[0]?.replaceAll(' ', '+')
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest()
}
