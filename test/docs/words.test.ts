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

describe.each(pages)('%s', (page) => {
  it.each(forbidden)('does not hold %s', (_what, pattern) => {
    expect(pattern.exec(textOf(page))?.[0]).toBeUndefined()
  })

  it('starts with its one title, and ends with one line end', () => {
    const text = textOf(page)
    expect(text).toMatch(/^# \S/)
    expect(text).toMatch(/[^\n]\n$/)
  })
})
