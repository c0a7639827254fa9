import { Readable } from 'node:stream'
import { krosai } from 'ringhook'
import { describe, expect, it } from 'vitest'
import { build, codeOf, endpoint, secret, seen } from '../helpers/endpoint.ts'

const didNotRun = '500 failed RINGHOOK_HANDLER_DID_NOT_RUN'
const refuse = (): never => {
  throw new Error('no')
}

async function* countAsync() {
  yield await 1
}

/** What a handler may return that nothing has started. */
const lazy: readonly (readonly [string, () => unknown])[] = [
  ['an async generator', () => countAsync()],
  ['a generator', () => [1][Symbol.iterator]()],
  ['an iterator of its own', () => ({ next: () => ({ done: true }) })],
  ['an async iterable', () => ({ [Symbol.asyncIterator]: () => countAsync() })],
  ['a function', () => () => {}],
  ['an async function', () => async () => {}],
  ['a class', () => class {}],
  ['a cold Observable', () => ({ subscribe: () => {} })],
  ['an Observable without a method subscribe', () => ({ '@@observable': () => {} })],
  ['an Observable as RxJS has it', () => ({ subscribe: () => {}, pipe: () => {} })],
  ['a query of Kysely', () => ({ execute: () => {}, toOperationNode: () => {} })],
  ['a query of TypeORM', () => ({ execute: () => {}, getQuery: () => '' })],
  ['an Effect', () => ({ [Symbol.for('effect/Effect')]: {}, pipe: () => {} })],
]

/** What it may return that is a result, or runs when it is awaited. */
const done: readonly (readonly [string, () => unknown])[] = [
  ['an array', () => [1]],
  ['a Map', () => new Map([[1, 2]])],
  ['a text', () => 'text'],
  ['bytes', () => Buffer.from('text')],
  ['null', () => null],
  ['a number', () => 5],
  ['an object', () => ({ rows: [], rowCount: 0 })],
  ['a Response', () => new Response('text')],
  ['a stream', () => Readable.from(['a'])],
  ['a web stream', () => new Blob(['a']).stream()],
  ['a client that can subscribe', () => ({ subscribe: () => {}, on: () => {} })],
  ['a subscription', () => ({ unsubscribe: () => {}, closed: true })],
  [
    'a proxy that refuses everything but to be awaited',
    () =>
      new Proxy({}, { get: (_, name) => (name === 'then' ? undefined : refuse()), has: refuse }),
  ],
  ['an object whose getters throw', () => Object.defineProperty({}, 'next', { get: refuse })],
]

describe('on, with the results of handlers', () => {
  it.each(lazy)('that returns %s has failed, and runs again', async (_, make) => {
    for (const handle of [make, async () => make(), async () => Promise.resolve(make())]) {
      const { deliver, runs, lines, outcomes } = endpoint({
        handle: () => (runs.length === 1 ? handle() : undefined),
      })
      expect(seen(await deliver())).toBe(didNotRun)
      expect(outcomes[0]?.reason).toMatch(/^the handler returned an? .*has not run\. Do the work/)
      expect(lines).toEqual([
        expect.stringMatching(/^error .*the handler returned .*RINGHOOK_HANDLER_DID_NOT_RUN/),
      ])
      expect(seen(await deliver())).toBe('200 handled')
    }
  })

  it.each(done)('that returns %s has finished', async (_, make) => {
    for (const handle of [make, async () => make()]) {
      expect(seen(await endpoint({ handle }).deliver())).toBe('200 handled')
    }
  })

  it('that returns a lazy query with a then has run it', async () => {
    const ran: string[] = []
    const query = {
      // biome-ignore lint/suspicious/noThenProperty: as the queries of Knex and Drizzle have it.
      then(resolve: (rows: unknown) => void) {
        ran.push('query')
        resolve([])
      },
    }
    expect(seen(await endpoint({ handle: () => query }).deliver())).toBe('200 handled')
    expect(ran).toEqual(['query'])
  })

  it.each(['release', 'process'] as const)(
    'that returns an array of promises is waited for, and fails as they do (%s)',
    async (mode) => {
      for (const isAsync of [false, true]) {
        const ran: string[] = []
        const work = async (name: string, turns: number) => {
          for (let turn = 0; turn < turns; turn++) await null
          ran.push(name)
          if (name === 'fails') throw new Error('no')
        }
        const start = () => [work('fails', 1), work('slow', 50), 'a result']
        const { deliver, outcomes, store } = endpoint({
          ...(mode === 'process' && { onStoreError: mode }),
          handle: isAsync ? async () => start() : start,
        })
        if (mode === 'process') {
          Object.assign(store, { claim: () => Promise.reject(new Error('away')) })
        }
        expect(seen(await deliver())).toBe('500 failed RINGHOOK_HANDLER_FAILED')
        expect(ran).toEqual(['fails', 'slow'])
        expect(outcomes[0]?.error).toEqual(new Error('no'))
      }
    },
  )

  it('that returns an iterator has failed without a store too', async () => {
    const { deliver, store } = endpoint({ onStoreError: 'process', handle: () => countAsync() })
    Object.assign(store, { claim: () => Promise.reject(new Error('away')) })
    expect(seen(await deliver())).toBe(didNotRun)
  })
})

describe("createReceiver(), with functions that can't handle events", () => {
  const generators = {
    'a generator function': function* () {
      yield 1
    },
    'an async generator function': countAsync,
    'a bound generator function': countAsync.bind(null),
    'a generator method': { *handle() {} }.handle,
    'a proxy of a generator function': new Proxy(countAsync, {}),
  }

  it.each(Object.entries(generators))('is not built with %s', (_, generator) => {
    for (const key of ['call.ringing', 'call.*', '*']) {
      const on = { [key]: generator }
      expect(codeOf(() => build(krosai, { secret, on }))).toBe('RINGHOOK_HANDLER_INVALID')
    }
    for (const name of ['secret', 'eventId', 'orderingKey', 'onOutcome']) {
      const options = { secret, on: { '*': () => {} }, [name]: generator }
      expect(
        codeOf(() => build(krosai, options)),
        name,
      ).toBe('RINGHOOK_OPTION_INVALID')
    }
  })

  it('is not built with a class, and is with every other form of function', () => {
    class Handler {}
    const on = { '*': Handler }
    expect(codeOf(() => build(krosai, { secret, on }))).toBe('RINGHOOK_HANDLER_INVALID')
    for (const handler of [
      () => {},
      async () => {},
      { class() {} }.class,
      new Proxy(() => {}, {}),
      function named() {}.bind(null),
    ]) {
      build(krosai, { secret, on: { '*': handler } })
    }
  })
})
