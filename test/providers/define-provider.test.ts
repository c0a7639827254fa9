import { callkaro, defineProvider, krosai } from 'ringhook'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { codeOf } from '../helpers/endpoint.ts'

const right = {
  name: 'acme',
  signature: { header: 'x-acme', encoding: 'hex' },
  signedTimestamp: false,
  events: { 'call.ended': { schema: z.object({}) } },
  delivery: { retryDelaysMs: [0] },
}

function define(changes: object): unknown {
  return defineProvider({ ...right, ...changes } as never)
}

describe('defineProvider()', () => {
  it('takes the least that a provider needs, and fills in the rest', () => {
    expect(define({ read: undefined, renew: undefined, defaults: undefined })).toMatchObject({
      defaults: {},
      read: expect.any(Function),
      renew: expect.any(Function),
    })
    expect(
      codeOf(() => define({ signature: { header: 'x_acme', encoding: 'hex' } })),
    ).toBeUndefined()
  })

  it.each([
    ['no name', { name: undefined }],
    ['a name in capitals', { name: 'Acme' }],
    ['no signature', { signature: undefined }],
    ['a signature without a header', { signature: { encoding: 'hex' } }],
    ['a header in capitals', { signature: { header: 'X-Acme', encoding: 'hex' } }],
    ['an unknown encoding', { signature: { header: 'x-acme', encoding: 'utf8' } }],
    ['a prefix that is not a string', { signature: { ...right.signature, prefix: 5 } }],
    ['a separator of two characters', { signature: { ...right.signature, separator: ', ' } }],
    ['a key that is not a function', { signature: { ...right.signature, key: 'secret' } }],
    ['no word on timestamps', { signedTimestamp: undefined }],
    ['no events', { events: undefined }],
    ['an event without a schema', { events: { 'call.ended': {} } }],
    ['an event named by a wildcard', { events: { 'call.*': { schema: z.object({}) } } }],
    ['a name for two events', { events: { a: { schema: z.object({}), aliases: ['a'] } } }],
    ['no delivery', { delivery: undefined }],
    ['a first attempt that waits', { delivery: { retryDelaysMs: [1] } }],
    ['a wait that is not a number', { delivery: { retryDelaysMs: [0, '1 min'] } }],
    ['a read that is not a function', { read: 5 }],
    ['defaults that are no object', { defaults: 5 }],
  ])('refuses %s', (_, changes) => {
    expect(codeOf(() => define(changes))).toBe('RINGHOOK_PROVIDER_INVALID')
  })

  it('refuses anything but a definition', () => {
    for (const wrong of [undefined, null, 'acme']) {
      expect(codeOf(() => defineProvider(wrong as never))).toBe('RINGHOOK_PROVIDER_INVALID')
    }
  })

  it('returns the definition, frozen', () => {
    expect(Object.isFrozen(krosai)).toBe(true)
    expect(callkaro.read({ event: 'a:b', data: { callSid: 'c' } }, {}).id).toBeUndefined()
    expect(callkaro.read({ event: 'a', data: { callSid: 'b:c' } }, {}).id).toBe('a:b:c')
  })
})
