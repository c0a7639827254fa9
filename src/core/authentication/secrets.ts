import type { KeyObject } from 'node:crypto'
import type { Provider } from '../../providers/provider.ts'
import { RinghookError } from '../errors.ts'
import { signingKey } from './signature.ts'

/** Fewer characters than this are a mistake, not a secret. */
const minCharacters = 8
/** As is a text made of one character, or of two or three that take turns. */
const minDifferent = 4

/** Returns what turns the secrets of a provider into keys, and refuses weak ones. */
export function secretKeyMaker(provider: Provider): (secret: unknown) => KeyObject {
  const { name, signature } = provider
  return function keyOf(secret) {
    checkSecretText(secret, name)
    if (signature === false) throw secretInvalid(`The secret is not used: ${name} signs nothing.`)
    try {
      return signingKey(signature, secret)
    } catch (error) {
      if (error instanceof RangeError) throw secretInvalid(`${error.message}.`)
      throw secretInvalid(`The secret is not in the form that ${name} gives out.`)
    }
  }
}

/**
 * Refuses a secret that is missing, or that cannot be the text a provider shows.
 *
 * @throws {RinghookError} RINGHOOK_SECRET_MISSING, RINGHOOK_SECRET_INVALID
 */
export function checkSecretText(value: unknown, provider: string): asserts value is string {
  if (value === undefined || value === null) throw secretMissing(provider)
  if (typeof value !== 'string') throw secretInvalid('The secret is not a string.')
  if (/^(?:undefined|null)?$/.test(value.trim())) throw secretMissing(provider)
  const flaw = flawIn(value)
  if (flaw !== undefined) throw secretInvalid(`The secret ${flaw}.`)
}

export function secretMissing(provider: string): RinghookError {
  return new RinghookError(
    'RINGHOOK_SECRET_MISSING',
    `There is no secret for ${provider}: it is undefined or blank. Copy the signing secret from ${provider} into an environment variable, and check that the process sees it.`,
  )
}

function secretInvalid(cause: string): RinghookError {
  return new RinghookError(
    'RINGHOOK_SECRET_INVALID',
    `${cause} Give exactly the text that the provider shows, without quotes, spaces or line ends.`,
  )
}

const controls = /[\p{Cc}\p{Cs}\ufffd]/u
/** What prints as nothing, or as a space that is not one. */
const invisible = /[\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/u
const quoted = /^\\?(["'`]).*\1$|^[“”„‘’«»].*[“”‘’«»]$/
/** Where a shell, Compose, a chart or a template engine would have put a value, and did not. */
const unfilled =
  /\$\{[^}]*\}|\{\{|^\$[A-Z_][A-Z0-9_]*$|^\$\(.*\)$|^#\{.*\}$|^<.*>$|^%[A-Za-z_]\w*%$|^@.*@$/
/** What a value that is not a text looks like when it is turned into one. */
const stringified =
  /^(?:undefined|null|nan|-?infinity|true|false|none|nil)+$|[-_ .:=](?:undefined|null)$|\[object \w+\]|^[[{].*[\]}]$|^symbol\(.*\)$|^\w*error: |^(?:async )?(?:function\b|class\b|\([^)]*\) ?=>)/i
/** A line of an env file, or the code that reads it, in place of the value. */
const pasted =
  /^(?:export )?[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+ ?=.|^(?:process\.env\b|import\.meta\.env\b)/
/** What a page shows in place of the characters that it hides. */
const masked = /[•●…]/
/** Compared without blanks, hyphens, underscores and full stops. */
const wordsOfExamples =
  /^(?:(?:change|replace)(?:me|this|it)|(?:insert|enter|put|paste|add|replace).*(?:here|with.*)|your.*(?:secret|token|key|password|here)|placeholder|password\d*)$/

/**
 * Why a text cannot be a secret, to be read after "The secret": it is not what was meant, or it can
 * be guessed. Never quotes it. `undefined`: it may be one.
 *
 * How random a text is can't be measured, so nothing beyond this is tried: what a generator makes
 * passes, even if it is short.
 */
export function flawIn(text: string): string | undefined {
  return slipIn(text) ?? weaknessOf(text)
}

/** Why a text is not what was meant: something happened to it on its way out of its file. */
export function slipIn(text: string): string | undefined {
  if (controls.test(text)) return 'has a line end, a NUL or another control character in it'
  if (text.trim() !== text) return 'has white space around it'
  if (invisible.test(text)) return 'has an invisible character in it, such as a zero-width space'
  if (quoted.test(text)) return 'has quotes around it'
  if (unfilled.test(text)) return 'is a placeholder that was not filled in'
  if (stringified.test(text)) return 'is a value of another kind that was turned into text'
  if (pasted.test(text)) return 'has the name of its variable in it'
  if (masked.test(text)) return 'is masked: it has dots in place of characters'
  return undefined
}

function weaknessOf(text: string): string | undefined {
  const characters = [...text]
  if (characters.length < minCharacters) return `is shorter than ${minCharacters} characters`
  if (new Set(characters).size < minDifferent || isSequence(characters)) {
    return `repeats itself, or counts: it takes ${minDifferent} different characters or more`
  }
  const word = text.toLowerCase().replaceAll(/[\s_.-]/g, '')
  return wordsOfExamples.test(word) ? 'is the text of an example' : undefined
}

/** `12345678`, `hgfedcba`, and `1234567890`: behind the 9 counting goes on with the 0. */
function isSequence(characters: readonly string[]): boolean {
  const codes = characters.map((character) => character.codePointAt(0) ?? 0)
  const isDecimal = /^\d+$/.test(characters.join(''))
  return [1, -1].some((step) =>
    codes.every((code, index) => {
      const distance = index === 0 ? step : code - (codes[index - 1] ?? 0)
      return distance === step || (isDecimal && distance === -9 * step)
    }),
  )
}
