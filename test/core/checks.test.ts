import { describe, expect, it } from 'vitest'
import {
  checkOptional,
  checkOptions,
  isObject,
  isRecord,
  milliseconds,
  missingMethod,
  wholeNumber,
} from '../../src/core/checks.ts'

const invalid = (message: string) => ({
  code: 'RINGHOOK_OPTION_INVALID',
  message: expect.stringContaining(message),
})

describe('checkOptions', () => {
  it('returns an object of known options', () => {
    const options = { concurrency: 5 }
    expect(checkOptions('start()', options, ['concurrency'])).toBe(options)
    expect(checkOptions('start()', {}, ['concurrency'])).toEqual({})
  })

  it.each([undefined, null, 7, 'fast', ['concurrency'], () => {}])('refuses %o', (given) => {
    expect(() => checkOptions('start()', given, ['concurrency', 'inbox'])).toThrow(
      expect.objectContaining(
        invalid('start() needs an object of options. Options: concurrency, inbox.'),
      ),
    )
  })

  it('refuses an unknown option, and suggests the one that was meant', () => {
    expect(() => checkOptions('start()', { concurency: 5 }, ['concurrency', 'inbox'])).toThrow(
      expect.objectContaining(
        invalid(
          'start() has no option "concurency". Did you mean "concurrency"? Options: concurrency, inbox.',
        ),
      ),
    )
  })
})

describe('wholeNumber', () => {
  const bounds = { default: 10, min: 1, max: 100 }

  it('returns a whole number within its bounds, or the default', () => {
    expect([1, 7, 100, undefined].map((given) => wholeNumber('limit', given, bounds))).toEqual([
      1, 7, 100, 10,
    ])
  })

  it.each([0, 101, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '5', 5n, true])(
    'refuses %o',
    (given) => {
      expect(() => wholeNumber('limit', given, bounds)).toThrow(
        expect.objectContaining(
          invalid('limit must be a whole number from 1 to 100. The default is 10.'),
        ),
      )
    },
  )

  it('needs neither an upper bound nor a default', () => {
    expect(wholeNumber('limit', Number.MAX_SAFE_INTEGER, { min: 1 })).toBe(Number.MAX_SAFE_INTEGER)
    expect(milliseconds('drainMs', 0, { min: 0 })).toBe(0)
    expect(() => wholeNumber('limit', undefined, { min: 1 })).toThrow(
      expect.objectContaining(invalid('limit must be a whole number, at least 1.')),
    )
  })
})

describe('milliseconds', () => {
  it('returns a number within its bounds, whole or not', () => {
    expect(milliseconds('pollMs', 0.5, { min: 0 })).toBe(0.5)
    expect(milliseconds('pollMs', Number.POSITIVE_INFINITY, { min: 0 })).toBe(
      Number.POSITIVE_INFINITY,
    )
  })

  it.each([-1, Number.NaN, '5', undefined, null])('refuses %o', (given) => {
    expect(() => milliseconds('pollMs', given, { min: 0, max: 60 })).toThrow(
      expect.objectContaining(invalid('pollMs must be a number of milliseconds from 0 to 60.')),
    )
  })
})

describe('checkOptional', () => {
  it('takes a value of the type, or none', () => {
    expect(() => checkOptional('active', true, 'boolean')).not.toThrow()
    expect(() => checkOptional('active', undefined, 'boolean')).not.toThrow()
  })

  it.each([null, 'true', 1])('refuses %o', (given) => {
    expect(() => checkOptional('active', given, 'boolean')).toThrow(
      expect.objectContaining(invalid('active must be a boolean. Leave it out for the default.')),
    )
  })
})

describe('missingMethod', () => {
  it('names the first method that a value lacks', () => {
    expect(missingMethod({ get() {}, set() {} }, ['get', 'set'])).toBeUndefined()
    expect(missingMethod({ get() {}, set: 1 }, ['get', 'set', 'delete'])).toBe('set')
    expect(missingMethod(undefined, ['get'])).toBe('get')
  })
})

describe('isRecord and isObject', () => {
  it('tell records, arrays and everything else apart', () => {
    const values = [{}, Object.create(null), [], null, undefined, 'text', 1, () => {}]
    expect(values.map(isRecord)).toEqual([true, true, false, false, false, false, false, false])
    expect(values.map(isObject)).toEqual([true, true, true, false, false, false, false, false])
  })
})
