import { describe, expect, it } from 'vitest'
import { pages, textOf } from './pages.ts'

/** What no page may hold, with the reason. */
const forbidden: readonly (readonly [string, RegExp])[] = [
  ['a note that something is to be done', /\b(?:TODO|FIXME|XXX|TBD|lorem ipsum)\b/i],
  ['the host of a registry', /\b(?:registry|npmjs|yarnpkg|jsr|unpkg|jsdelivr)\.\w+/i],
  ['an address of this machine', /\/(?:work|home|root|tmp|Users)\//],
  ['a picture character', /\p{Extended_Pictographic}/u],
  [
    'a word of advertising',
    /\b(?:blazing|seamless|effortless|powerful|robust|simply|easily|battle-tested)/i,
  ],
  ['a mail address', /[\w.]+@[\w-]+\.\w{2,}/],
]

describe('the documents', () => {
  it.each(pages)(
    '%s has one title, ends with one line end, and holds nothing forbidden',
    (page) => {
      const text = textOf(page)
      const found = forbidden.map(([what, pattern]) => [what, pattern.exec(text)?.[0]])

      expect(found).toEqual(forbidden.map(([what]) => [what, undefined]))
      expect(text).toMatch(/^# \S/)
      expect(text).toMatch(/[^\n]\n$/)
    },
  )
})
