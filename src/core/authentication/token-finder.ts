/** Whether a text holds a token, as it is or encoded. */
export type TokenFinder = (text: string) => boolean

/** How often one encoding may be inside another. */
const mostLayers = 3
/** The most text that is looked at for one header. What unfolds to more is taken to hold a token. */
const mostText = 1_000_000

/** Escapes of URLs, JSON and JavaScript, HTML and quoted-printable, each for one character. */
const escapes =
  /%([0-9a-f]{2})|\\u\{([0-9a-f]{1,6})\}|(?:\\|%)u([0-9a-f]{4})|\\x([0-9a-f]{2})|&#x([0-9a-f]{1,6});?|=([0-9a-f]{2})/gi
const decimalEscapes = /&#(\d{1,7});?/g
const base64Runs = /[A-Za-z0-9+/_-]{16,}/g
const hexRuns = /(?:[0-9a-f][\s:]?){32,}/gi

/**
 * Returns whether a text holds one of `tokens` in any encoding that proxies and platforms write URLs
 * in: percent-encoded, escaped as in JSON or HTML, in base64 or hex, and these inside one another.
 * Letters count whatever their case is.
 */
export function tokenFinder(tokens: readonly string[]): TokenFinder {
  // Bytes are looked at as Latin-1, as Node reads headers.
  const inBytes = tokens.map((token) => Buffer.from(token, 'utf8').toString('latin1'))
  const sought = [...new Set([...tokens, ...inBytes])].map((token) => token.toLowerCase())
  if (sought.length === 0) return () => false
  const isIn = (form: string) => {
    const lower = form.toLowerCase()
    // A plus in a URL's query may stand for a space, and a token has none.
    const joined = lower.replaceAll(' ', '+')
    return sought.some((token) => lower.includes(token) || joined.includes(token))
  }
  return function holdsToken(text) {
    let layer: ReadonlySet<string> = new Set([text])
    let looked = 0
    for (let depth = 0; depth <= mostLayers && layer.size > 0; depth++) {
      for (const form of layer) {
        looked += form.length
        if (looked > mostText || isIn(form)) return true
      }
      layer = new Set([...layer].flatMap(decoded))
    }
    return false
  }
}

/** What a text is when one layer of encoding is taken off it. Texts that are not encoded give nothing. */
function decoded(text: string): string[] {
  const forms: string[] = []
  const plain = unescaped(text)
  if (plain !== text) forms.push(plain)
  for (const [run] of text.matchAll(base64Runs)) {
    // Where its first group of four begins is not known: the run may have something else before it.
    for (let from = 0; from < 4; from++) addBytes(forms, Buffer.from(run.slice(from), 'base64'))
  }
  for (const [run] of text.matchAll(hexRuns)) {
    const digits = run.replaceAll(/[\s:]/g, '')
    for (let from = 0; from < 2; from++) addBytes(forms, Buffer.from(digits.slice(from), 'hex'))
  }
  return forms
}

/** UTF-16 is ASCII with zeros in between. */
function addBytes(forms: string[], bytes: Buffer): void {
  forms.push(bytes.toString('latin1').replaceAll('\0', ''))
}

function unescaped(text: string): string {
  return text
    .replaceAll(escapes, (whole: string, ...groups: unknown[]) => {
      const hex = groups.slice(0, 6).find((group) => typeof group === 'string')
      return characterOf(Number.parseInt(String(hex), 16), whole)
    })
    .replaceAll(decimalEscapes, (whole: string, digits: string) =>
      characterOf(Number(digits), whole),
    )
}

function characterOf(code: number, otherwise: string): string {
  return code <= 0x10ffff ? String.fromCodePoint(code) : otherwise
}
