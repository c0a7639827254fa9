import { afterEach, describe, expect, it, vi } from 'vitest'
import { Batches } from '../../src/stores/batches.ts'
import { gate } from '../helpers/endpoint.ts'

interface Item {
  readonly key: string
  readonly value: number
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Batches whose statements wait for the test, and are kept in the order in which they began. */
function batchesOf(options: Partial<ConstructorParameters<typeof Batches<Item, string>>[0]> = {}) {
  const begun: { readonly items: readonly Item[]; end(error?: Error): void }[] = []
  const batches = new Batches<Item, string>({
    store: 'testStore',
    keyOf: ({ key }) => key,
    run: async (items) => {
      const { open, opened } = gate<Error | undefined>()
      begun.push({ items, end: open })
      const error = await opened
      if (error !== undefined) throw error
      return items.map(({ key, value }) => `${key}${value}`)
    },
    ...options,
  })
  return { begun, add: (key: string, value: number) => batches.add({ key, value }) }
}

describe('Batches', () => {
  afterEach(() => vi.useRealTimers())

  it('carries out what waits in one turn as one statement, sorted by key, with each its own result', async () => {
    const { add, begun } = batchesOf()
    const results = Promise.all([add('c', 1), add('a', 2), add('b', 3)])
    await turn()
    expect(begun.map(({ items }) => items.map(({ key }) => key))).toEqual([['a', 'b', 'c']])
    begun[0]?.end()
    expect(await results).toEqual(['c1', 'a2', 'b3'])
  })

  it('sends a lone item out at the end of its turn', async () => {
    const { add, begun } = batchesOf()
    const result = add('a', 1)
    await turn()
    expect(begun).toHaveLength(1)
    begun[0]?.end()
    expect(await result).toBe('a1')
  })

  it('has four batches under way at most, and gathers what comes meanwhile', async () => {
    const { add, begun } = batchesOf()
    const results: Promise<string>[] = []
    for (let value = 0; value < 8; value++) {
      results.push(add(`k${value}`, value))
      await turn()
    }
    expect(begun).toHaveLength(4)
    begun[2]?.end()
    await turn()
    await turn()
    expect(begun.map(({ items }) => items.length)).toEqual([1, 1, 1, 1, 4])
    for (const { end } of begun) end()
    expect(await Promise.all(results)).toHaveLength(8)
  })

  it('fills no batch beyond its size', async () => {
    const { add, begun } = batchesOf({ maxItems: 3 })
    const results = Array.from({ length: 7 }, (_, value) => add(`k${value}`, value))
    for (let turns = 0; turns < 4; turns++) await turn()
    expect(begun.map(({ items }) => items.length)).toEqual([3, 3, 1])
    for (const { end } of begun) end()
    expect(await Promise.all(results)).toEqual(results.map((_, value) => `k${value}${value}`))
  })

  it('puts two items of one key into two batches', async () => {
    const { add, begun } = batchesOf()
    const results = [add('a', 1), add('a', 2), add('b', 3), add('a', 4)]
    for (let turns = 0; turns < 4; turns++) await turn()
    expect(begun.map(({ items }) => items.map(({ value }) => value))).toEqual([[1, 3], [2], [4]])
    for (const { end } of begun) end()
    expect(await Promise.all(results)).toEqual(['a1', 'a2', 'b3', 'a4'])
  })

  it('answers further items of a key from the first one, where it is told how', async () => {
    const { add, begun } = batchesOf({
      follow: (first, result, item) => `${item.value} after ${first.value}: ${result}`,
    })
    const results = Promise.all([add('a', 1), add('a', 2), add('a', 3)])
    await turn()
    expect(begun).toHaveLength(1)
    begun[0]?.end()
    expect(await results).toEqual(['a1', '2 after 1: a1', '3 after 1: a1'])
    await turn()
    expect(begun).toHaveLength(1)
  })

  it('rejects every item of a statement that failed, and goes on', async () => {
    const { add, begun } = batchesOf({ follow: (_first, result) => result })
    const results = Promise.allSettled([add('a', 1), add('b', 2), add('a', 3)])
    await turn()
    begun[0]?.end(new Error('deadlock'))
    expect((await results).map(({ status }) => status)).toEqual([
      'rejected',
      'rejected',
      'rejected',
    ])
    const next = add('a', 4)
    await turn()
    begun[1]?.end()
    expect(await next).toBe('a4')
  })

  it('rejects what a statement gave no result for', async () => {
    const { add } = batchesOf({ run: async () => ['a1'] })
    const results = await Promise.allSettled([add('a', 1), add('b', 2)])
    expect(results).toMatchObject([{ value: 'a1' }, { reason: { code: 'RINGHOOK_STORE_FAILED' } }])
  })

  it('gives a statement up that is not answered for 10 s, so that the next ones can go out', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
    const { add, begun } = batchesOf({ maxUnderWay: 1 })
    const silent = add('a', 1).catch((error: unknown) => error)
    await turn()
    vi.advanceTimersByTime(5_000)
    const waiting = add('b', 2)
    await turn()
    expect(begun).toHaveLength(1)
    vi.advanceTimersByTime(5_000)
    expect(await silent).toMatchObject({ code: 'RINGHOOK_STORE_TIMEOUT' })
    await turn()
    begun[1]?.end()
    expect(await waiting).toBe('b2')
  })

  it('gives up after 10 s what only waits, and does not carry it out later', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
    const { add, begun } = batchesOf({ maxUnderWay: 1, maxItems: 2, follow: (_, result) => result })
    const given = ['a', 'b', 'c', 'd', 'e', 'e'].map((key, value) =>
      add(key, value).catch((error: { code: string }) => error.code),
    )
    await turn()
    vi.advanceTimersByTime(9_000)
    const late = [add('e', 6), add('f', 7)]
    vi.advanceTimersByTime(1_000)
    expect(await Promise.all(given)).toEqual(Array.from(given, () => 'RINGHOOK_STORE_TIMEOUT'))
    for (let turns = 0; turns < 4; turns++) await turn()
    begun[1]?.end()
    for (let turns = 0; turns < 4; turns++) await turn()
    begun[2]?.end()
    expect(await Promise.all(late)).toEqual(['e6', 'f7'])
    expect(begun.map(({ items }) => items.map(({ value }) => value))).toEqual([[0, 1], [7], [6]])
  })
})
