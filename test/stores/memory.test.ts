import { memoryStore, RinghookError } from 'ringhook'
import { storeContract } from 'ringhook/conformance'
import { manualClock } from 'ringhook/testing'
import { afterEach, describe, expect, it, test, vi } from 'vitest'

describe('memoryStore', () => {
  storeContract({ test, create: ({ clock }) => memoryStore({ clock }) })

  const hour = 3_600_000
  const claim = (owner: string) => ({ owner, leaseMs: 30_000, fingerprint: 'f' })

  function bounded(maxEntries: number) {
    const warnings: string[] = []
    const logger = {
      debug() {},
      info() {},
      error() {},
      warn: (line: string) => void warnings.push(line),
    }
    const clock = manualClock()
    const store = memoryStore({ maxEntries, clock, logger })
    async function finish(key: string, retentionMs = hour) {
      const held = await store.claim(key, claim(key))
      if (held.state === 'claimed') await store.complete(held, { retentionMs })
      return held.state
    }
    return { clock, finish, store, warnings }
  }

  afterEach(() => vi.unstubAllEnvs())

  it('forgets the events that finished first when it is full, and says so once', async () => {
    const { finish, store, warnings } = bounded(3)
    for (const key of ['a', 'b', 'c', 'd', 'e']) await finish(key)
    expect((await store.claim('e', claim('x'))).state).toBe('completed')
    expect((await store.claim('d', claim('x'))).state).toBe('completed')
    expect((await store.claim('a', claim('x'))).state).toBe('claimed')
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('maxEntries')
  })

  it('never forgets an event that is running, even over its bound', async () => {
    const { finish, store } = bounded(2)
    for (const key of ['r1', 'r2', 'r3']) await store.claim(key, claim('runner'))
    for (const key of ['a', 'b', 'c', 'd']) await finish(key)
    for (const key of ['r1', 'r2', 'r3']) {
      expect((await store.claim(key, claim('other'))).state).toBe('in_flight')
    }
  })

  it('forgets what is past its retention without a warning', async () => {
    const { clock, finish, warnings } = bounded(3)
    for (const key of ['a', 'b', 'c']) await finish(key)
    await clock.advance(hour + 1)
    for (const key of ['d', 'e', 'f']) await finish(key)
    expect(warnings).toEqual([])
  })

  it('drops an event that the operator had it forget without a warning, and keeps its bound', async () => {
    const { finish, store, warnings } = bounded(2)
    await finish('a')
    expect(await store.forget('a')).toBe('forgotten')
    for (const key of ['b', 'c']) await finish(key)
    expect(warnings).toEqual([])
    expect((await store.claim('b', claim('x'))).state).toBe('completed')
    expect(await finish('a')).toBe('claimed')
    expect(warnings).toHaveLength(1)
  })

  it('counts an event that was forgotten and finished again as a new one', async () => {
    const { finish, store } = bounded(3)
    for (const key of ['a', 'b', 'c', 'd', 'a', 'e']) await finish(key)
    // The bound holds d, a and e: the second a is younger than d.
    expect((await store.claim('a', claim('x'))).state).toBe('completed')
    expect((await store.claim('b', claim('x'))).state).toBe('claimed')
  })

  it('keeps to its bound over a hundred thousand events, and sets no timer', async () => {
    const { clock, finish, store } = bounded(1_000)
    for (let index = 0; index < 100_000; index++) await finish(`event-${index}`)
    expect(clock.nextTimerMs()).toBeUndefined()
    let remembered = 0
    for (let index = 99_999; index > 97_000; index--) {
      if ((await store.claim(`event-${index}`, claim('x'))).state === 'completed') remembered++
    }
    expect(remembered).toBe(1_000)
  })

  it('warns in production that it remembers within this process only', () => {
    vi.stubEnv('NODE_ENV', 'production')
    expect(bounded(10).warnings).toEqual([expect.stringContaining('in this process only')])
    vi.stubEnv('NODE_ENV', 'test')
    expect(bounded(10).warnings).toEqual([])
  })

  it('refuses a bound that is no whole number', () => {
    for (const maxEntries of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => memoryStore({ maxEntries })).toThrow(RinghookError)
    }
  })

  it('refuses to take part in a database transaction', async () => {
    const { store } = bounded(3)
    const held = await store.claim('a', claim('a'))
    if (held.state !== 'claimed') throw new Error('not claimed')
    await expect(
      store.complete(held, { retentionMs: hour, transaction: {} }),
    ).rejects.toMatchObject({
      code: 'RINGHOOK_STORE_NOT_TRANSACTIONAL',
    })
  })
})
