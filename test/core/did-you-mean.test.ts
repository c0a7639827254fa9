import { describe, expect, it } from 'vitest'
import { didYouMean } from '../../src/core/did-you-mean.ts'

describe('didYouMean', () => {
  it('suggests the name behind a slip of the keyboard', () => {
    expect(didYouMean('allowedIPs', ['allowedIps', 'on'])).toBe(' Did you mean "allowedIps"?')
    expect(didYouMean('secrets', new Set(['secret', 'store']))).toBe(' Did you mean "secret"?')
  })

  it('suggests nothing if no name is close', () => {
    expect(didYouMean('', ['on'])).toBe('')
    expect(didYouMean('xyz', ['secret', 'store', 'on'])).toBe('')
  })
})
