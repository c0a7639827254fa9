import fc from 'fast-check'
import { callkaro, krosai, odis } from 'ringhook'
import { describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { compileRoutes } from '../../src/core/event/routing.ts'
import { checkRetry } from '../../src/core/inbox/retry.ts'
import { build, codeOf, endpoint, event, secret, seen } from '../helpers/endpoint.ts'

const retry = checkRetry(undefined, [])

/** A routing table whose handlers are told apart by their keys. */
function table(...keys: string[]) {
  return Object.fromEntries(keys.map((key) => [key, Object.assign(() => {}, { key })]))
}

function keyFor(keys: readonly string[], sentAs: string, own = {}): string | undefined {
  const { handler } = compileRoutes(krosai, table(...keys), own, retry)(sentAs)
  return (handler as { readonly key?: string } | undefined)?.key
}

describe('on', () => {
  it('runs the handler of the exact name, then of the longest prefix, then of everything', () => {
    const keys = ['*', 'call.*', 'call.recording.*', 'recording.ready']
    expect(keyFor(keys, 'recording.ready')).toBe('recording.ready')
    expect(keyFor(keys, 'call.recording.ready')).toBe('recording.ready')
    expect(keyFor(keys.slice(0, 3), 'call.recording.ready')).toBe('call.recording.*')
    expect(keyFor(keys.slice(0, 2), 'call.recording.ready')).toBe('call.*')
    expect(keyFor(keys.slice(0, 2), 'call.ringing')).toBe('call.*')
    expect(keyFor(keys.slice(0, 1), 'call.ringing')).toBe('*')
    expect(keyFor(keys, 'balance.low')).toBe('*')
    expect(keyFor(keys.slice(1), 'balance.low')).toBeUndefined()
  })

  it('chooses as a plain reading of the rules does, for any table and any name', () => {
    const names = [...krosai.canonicalNames.keys()]
    const wildcards = [
      ...new Set(names.flatMap((name) => [`${name.split('.')[0]}.*`, '*', 'call.recording.*'])),
    ]
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.constantFrom(...krosai.canonicalNames.values()), { maxLength: 5 }),
        fc.uniqueArray(fc.constantFrom(...wildcards), { maxLength: 4 }),
        fc.oneof(fc.constantFrom(...names), fc.string()),
        (exact, wild, sentAs) => {
          const type = krosai.canonicalNames.get(sentAs)
          const prefixes = wild
            .filter((key) => key.endsWith('.*'))
            .filter((key) => [type, sentAs].some((name) => name?.startsWith(key.slice(0, -1))))
            .sort((a, b) => b.length - a.length)
          const known =
            type === undefined ? [] : [...exact.filter((key) => key === type), ...prefixes]
          const expected = [...known, ...wild.filter((key) => key === '*')][0]
          expect(
            keyFor(
              fc.sample(
                fc.shuffledSubarray([...exact, ...wild], { minLength: exact.length + wild.length }),
                1,
              )[0] ?? [],
              sentAs,
            ),
          ).toBe(expected)
        },
      ),
      { numRuns: 300, seed: 12 },
    )
  })

  it('takes any spelling, and tells the handler the canonical name and the one that was sent', async () => {
    const seenEvents: string[][] = []
    const data = { phone_number_id: 'pn_1', number: '+14155550100' }
    for (const key of [
      'phone_number.released',
      'number.released',
      'phone_number.*',
      'number.*',
    ] as const) {
      const { deliver } = endpoint({
        on: {
          [key]: ({ type, sentAs }: { type: string; sentAs: string }) =>
            seenEvents.push([type, sentAs]),
        },
      })
      expect(seen(await deliver(event({ event: 'number.released', data })))).toBe('200 handled')
    }
    expect(seenEvents).toEqual(new Array(4).fill(['phone_number.released', 'number.released']))
  })

  it('refuses two names of one event, by name', () => {
    const build2 = () => build(krosai, { secret, on: table('call.completed', 'call.ended') })
    expect(codeOf(build2)).toBe('RINGHOOK_EVENT_REPEATED')
    expect(build2).toThrow(/"call\.completed" and "call\.ended", two names of one event/)
  })

  it.each([
    ['call.complete', 'call.completed'],
    ['call.compelted', 'call.completed'],
    ['Call.completed', 'call.completed'],
    ['call_completed', 'call.completed'],
    ['phonenumber.*', undefined],
    ['calls.*', undefined],
    ['call', undefined],
    ['call*', undefined],
    ['*.completed', undefined],
    ['**', undefined],
    ['.*', undefined],
    ['', undefined],
    ['nothing.like.it', undefined],
  ])('refuses the key "%s"', (key, suggestion) => {
    const wrong = () => build(krosai, { secret, on: table(key) })
    expect(codeOf(wrong)).toBe('RINGHOOK_EVENT_UNKNOWN')
    if (suggestion !== undefined) expect(wrong).toThrow(`Did you mean "${suggestion}"?`)
  })

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['a text', 'log'],
    ['an object', {}],
    ['a list', [() => {}]],
  ])('refuses a handler that is %s: its events would be dropped without a word', (_, handler) => {
    expect(codeOf(() => build(krosai, { secret, on: { 'call.completed': handler } }))).toBe(
      'RINGHOOK_HANDLER_INVALID',
    )
    expect(codeOf(() => build(krosai, { secret, on: { '*': handler } }))).toBe(
      'RINGHOOK_HANDLER_INVALID',
    )
  })

  it.each([
    ['a function', () => {}],
    ['a list', [() => {}]],
    ['a Map', new Map([['call.completed', () => {}]])],
    [
      'an instance of a class',
      new (class {
        '*'() {}
      })(),
    ],
    ['a text', '*'],
    ['null', null],
  ])('refuses a table that is %s: it would hold no handlers', (_, on) => {
    expect(codeOf(() => build(krosai, { secret, on }))).toBe('RINGHOOK_OPTION_INVALID')
    expect(codeOf(() => build(krosai, { secret, events: on }))).toBe('RINGHOOK_OPTION_INVALID')
  })

  it('takes an object without a prototype, such as the namespace of a module', () => {
    build(krosai, { secret, on: Object.assign(Object.create(null), table('*')) })
  })

  it.each([
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'valueOf',
    'call',
    'call.',
    'CALL.RINGING',
    'call.ringing ',
  ])('has no handler for an event named "%s", and none but "*" gets it', async (name) => {
    const handler = vi.fn()
    const { deliver, outcomes, store } = endpoint({
      on: { 'call.*': handler, 'call.ringing': handler },
    })
    expect(seen(await deliver(event({ event: name })))).toBe('200 ignored')
    expect(outcomes[0]).toMatchObject({ outcome: 'ignored', undocumented: true, type: name })
    expect(handler).not.toHaveBeenCalled()
    expect(store.claim).not.toHaveBeenCalled()
    const all = endpoint()
    expect(seen(await all.deliver(event({ event: name, data: 'anything' })))).toBe('200 handled')
    expect(all.runs[0]?.event).toMatchObject({ type: name, sentAs: name, data: 'anything' })
  })

  it('keeps undocumented events from prefix wildcards: their data was not validated', async () => {
    const handler = vi.fn()
    const { deliver, lines } = endpoint({ on: { 'call.*': handler } })
    for (const _ of [1, 2]) {
      expect(seen(await deliver(event({ event: 'call.transferred' })))).toBe('200 ignored')
    }
    expect(handler).not.toHaveBeenCalled()
    expect(lines).toEqual([
      expect.stringMatching(/^warn .*"call\.transferred" is not a documented event/),
    ])
  })

  it('warns of a hundred undocumented names at most', async () => {
    const { deliver, lines } = endpoint({ on: {} })
    for (let at = 0; at < 150; at++) await deliver(event({ event: `new.${at}` }))
    // And once, when it was built, that there is no handler.
    expect(lines).toHaveLength(101)
  })

  it('ignores a documented event without a handler, and warns at construction if there are no handlers', async () => {
    const other = endpoint({ on: { 'call.completed': () => {} } })
    expect(seen(await other.deliver())).toBe('200 ignored')
    expect(other.lines).toEqual([])
    const { deliver, lines, outcomes } = endpoint({ on: {} })
    expect(lines).toEqual([expect.stringMatching(/^warn .*on holds no handler/)])
    expect(seen(await deliver())).toBe('200 ignored')
    expect(outcomes[0]).not.toHaveProperty('undocumented')
  })
})

describe('events', () => {
  const transferred = z.object({ call_id: z.string(), to: z.string() })

  it('adds an event, which has its handler, its wildcard and its schema', async () => {
    for (const key of ['call.transferred', 'call.*', '*'] as const) {
      const handler = vi.fn()
      const { deliver } = endpoint({
        events: { 'call.transferred': transferred },
        on: { [key]: handler },
      } as never)
      const data = { call_id: 'a', to: 'b' }
      expect(seen(await deliver(event({ event: 'call.transferred', data })))).toBe('200 handled')
      expect(seen(await deliver(event({ event: 'call.transferred', data: {} })))).toBe(
        '422 invalid RINGHOOK_EVENT_INVALID',
      )
      expect(handler).toHaveBeenCalledOnce()
    }
  })

  it('narrows the data of a known event, under every spelling of it', async () => {
    for (const name of ['call.completed', 'call.ended']) {
      const events = { [name]: z.object({ metadata: z.object({ order: z.string() }) }) }
      const { deliver } = endpoint({ events })
      for (const sentAs of ['call.completed', 'call.ended']) {
        const good = event({ id: sentAs, event: sentAs, data: { metadata: { order: '7' } } })
        expect(seen(await deliver(good))).toBe('200 handled')
        expect(seen(await deliver({ ...good, data: {} }))).toBe(
          '422 invalid RINGHOOK_EVENT_INVALID',
        )
      }
    }
  })

  it.each([
    [
      'two names of one event',
      { 'call.completed': transferred, 'call.ended': transferred },
      'RINGHOOK_EVENT_REPEATED',
    ],
    ['no schema', { 'call.transferred': {} }, 'RINGHOOK_OPTION_INVALID'],
    ['undefined', { 'call.transferred': undefined }, 'RINGHOOK_OPTION_INVALID'],
    ['a wildcard', { 'call.*': transferred }, 'RINGHOOK_OPTION_INVALID'],
    ['no name', { '': transferred }, 'RINGHOOK_OPTION_INVALID'],
  ])('is refused with %s', (_, events, code) => {
    expect(codeOf(() => build(krosai, { secret, events }))).toBe(code)
  })

  it('of one receiver are not those of another', () => {
    build(krosai, {
      secret,
      events: { 'call.transferred': transferred },
      on: table('call.transferred'),
    })
    expect(codeOf(() => build(krosai, { secret, on: table('call.transferred') }))).toBe(
      'RINGHOOK_EVENT_UNKNOWN',
    )
  })
})

describe('provider.canonicalNames', () => {
  it('each find their own handler', () => {
    for (const provider of [krosai, odis, callkaro]) {
      for (const [sentAs, type] of provider.canonicalNames) {
        const handlers = table(sentAs)
        const route = compileRoutes(provider, handlers, {}, retry)(sentAs)
        expect([route.type, route.handler]).toEqual([type, handlers[sentAs]])
        expect(route.schema).toBe(
          Object.entries(provider.events).find(([name]) => name === type)?.[1].schema,
        )
      }
    }
  })
})
