import { pgBossInbox } from 'ringhook/inboxes/pg-boss'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Prefetch } from '../../src/inboxes/pg-boss/prefetch.ts'
import { describeOn } from '../helpers/servers.ts'
import { done, pgBossSchema, put, until, work } from './pg-boss-queues.ts'

describe('Prefetch', () => {
  let now = 0
  const prefetch = new Prefetch()
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  afterEach(() => vi.restoreAllMocks())

  async function claim(limit: number, found: number, ms: number): Promise<void> {
    await prefetch.measure(limit, async () => {
      now += ms
      return Array.from({ length: found }, () => ({}))
    })
  }
  function end(count: number, ms: number): void {
    now += ms
    for (let ended = 0; ended < count; ended++) prefetch.countEnd()
  }

  it('takes along what is done in the time of four slow claims, and nothing otherwise', async () => {
    expect(prefetch.ahead).toBe(0)

    await claim(10, 10, 29)
    end(10, 1)
    expect(prefetch.ahead).toBe(0)

    await claim(10, 10, 100)
    end(10, 100)
    expect(prefetch.ahead).toBe(20)

    await claim(30, 30, 100)
    end(1_000, 100)
    expect(prefetch.ahead).toBe(200)

    await claim(10, 10, 100)
    end(10, 60_000)
    expect(prefetch.ahead).toBe(0)

    await claim(10, 9, 100)
    end(10, 1)
    expect(prefetch.ahead).toBe(0)
  })
})

describeOn('postgres', 'pgBossInbox, of what its worker claimed ahead,', (url) => {
  const { boss, inbox: open } = pgBossSchema(url)

  it('gives all back when it stops, at once and uncounted', async () => {
    const { queue } = await open()
    const its = await boss()
    const inbox = pgBossInbox(its, { queue, pollMs: 10 })
    const ids = await Promise.all(Array.from({ length: 10 }, () => put(inbox)))
    const ahead = vi.spyOn(Prefetch.prototype, 'ahead', 'get').mockReturnValue(5)
    const first = await work(inbox, () => new Promise(() => {}))
    await until(async () => (await inbox.stats()).running === 6)
    await inbox.stop()
    ahead.mockRestore()

    expect(first.attempts).toHaveLength(1)
    expect(await inbox.stats()).toMatchObject({ waiting: 10, running: 0 })
    const { attempts } = await work(inbox, () => done, 10)
    await until(() => attempts.length === ids.length)
    expect(new Set(attempts.map(({ number }) => number))).toEqual(new Set([1]))
  })
})
