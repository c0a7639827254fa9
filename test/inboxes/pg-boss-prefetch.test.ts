import { randomBytes } from 'node:crypto'
import { pgBossInbox } from 'ringhook/inboxes/pg-boss'
import { manualClock } from 'ringhook/testing'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { Completions } from '../../src/inboxes/pg-boss/completions.ts'
import { Prefetch } from '../../src/inboxes/pg-boss/prefetch.ts'
import { PrefetchSize } from '../../src/inboxes/pg-boss/prefetch-size.ts'
import { describeOn } from '../helpers/servers.ts'
import { done, pgBossSchema, put, until, work } from './pg-boss-queues.ts'

const kilobyte = 1_024

describe('PrefetchSize', () => {
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  afterEach(() => vi.restoreAllMocks())

  it('is what is processed in the time of four slow claims, within its bounds', async () => {
    const prefetch = new PrefetchSize()
    const claim = (limit: number, found: number, ms: number, bytes = kilobyte) =>
      prefetch.measure(
        limit,
        async () => {
          now += ms
          prefetch.countIdle(ms)
          return Array.from({ length: found }, () => bytes)
        },
        (size) => size,
      )
    const process = (count: number, ms: number) => {
      now += ms
      for (let ended = 0; ended < count; ended++) prefetch.countEnd()
    }
    expect(prefetch.size).toBe(0)

    await claim(10, 10, 29)
    process(10, 1)
    expect(prefetch.size, 'fast claims').toBe(0)

    await claim(10, 10, 100)
    process(10, 100)
    expect(prefetch.size, 'four claims of 100 ms at 0.1 per ms').toBe(40)

    await claim(50, 50, 100)
    process(1_000, 10)
    expect(prefetch.size, 'fast handlers').toBe(2_000)

    await claim(50, 50, 5_000)
    process(10, 100)
    expect(prefetch.size, 'claims of 5 s: what is processed in 4 s').toBe(400)

    await claim(10, 10, 100, 1_024 * kilobyte)
    process(1_000, 10)
    expect(prefetch.size, 'large deliveries: 32 MiB').toBe(32)

    await claim(10, 10, 100)
    process(10, 60_000)
    expect(prefetch.size, 'slow handlers').toBe(0)

    await claim(10, 9, 100)
    process(10, 1)
    expect(prefetch.size, 'nothing left to claim').toBe(0)
  })
})

describe('Prefetch', () => {
  afterEach(() => vi.restoreAllMocks())

  /** A prefetch of at least four numbers over a source of them, with a claim that waits to be let go. */
  function open(size = 4) {
    vi.spyOn(PrefetchSize.prototype, 'size', 'get').mockReturnValue(size)
    const clock = manualClock()
    const released: number[] = []
    const errors: unknown[] = []
    const claims: { limit: number; letGo(error?: Error): void }[] = []
    const onClaimed = vi.fn()
    let last = 0
    const prefetch = new Prefetch<number>({
      claim: (limit) =>
        new Promise((resolve, reject) => {
          const letGo = (error?: Error) =>
            error === undefined
              ? resolve(Array.from({ length: limit }, () => ++last))
              : reject(error)
          claims.push({ limit, letGo })
        }),
      release: async (numbers) => void released.push(...numbers),
      bytesOf: () => 1,
      onClaimed,
      onError: (error) => errors.push(error),
      clock,
    })
    return { prefetch, clock, released, errors, claims, onClaimed }
  }

  /** One that has 1 to 4 waiting, after its slots took nothing else. */
  async function filled() {
    const opened = open()
    const taking = opened.prefetch.take(2)
    opened.claims[0]?.letGo()
    expect(await taking).toEqual([1, 2])
    expect(opened.prefetch.waiting).toEqual([3, 4, 5, 6])
    return opened
  }

  it('claims in the background when half is taken, and is not waited for', async () => {
    const { prefetch, claims, onClaimed } = await filled()
    expect(await prefetch.take(1)).toEqual([3])
    expect(claims).toHaveLength(1)

    expect(await prefetch.take(1)).toEqual([4])
    expect(claims[1]?.limit).toBe(2)
    expect(await prefetch.take(3)).toEqual([5, 6])
    expect(claims).toHaveLength(2)
    const waiting = prefetch.take(3)
    claims[1]?.letGo()
    expect(await waiting).toEqual([7, 8])
    expect(onClaimed).toHaveBeenCalledTimes(1)
  })

  it('gives back what has waited for 10 s for a free slot', async () => {
    const { prefetch, clock, released } = await filled()
    await clock.advance(9_999)
    expect(released).toEqual([])

    await clock.advance(1)
    expect(released).toEqual([3, 4, 5, 6])
    expect(prefetch.waiting).toEqual([])
  })

  it('begins nothing that it may have lost while its process was halted', async () => {
    const { prefetch, clock, released, claims } = await filled()
    vi.spyOn(clock, 'now').mockReturnValue(clock.now() + 60_000)
    const taking = prefetch.take(2)
    claims[1]?.letGo()

    expect(await taking).toEqual([7, 8])
    expect(released).toEqual([3, 4, 5, 6])
  })

  it('has what a claim brings while it stops', async () => {
    const { prefetch, claims, released } = await filled()
    await prefetch.take(3)
    const stopping = prefetch.stop()
    claims[1]?.letGo()

    expect(await stopping).toEqual([6, 7, 8, 9])
    expect(released).toEqual([])
  })

  it('goes on after a claim in the background has failed', async () => {
    const { prefetch, claims, errors } = await filled()
    await prefetch.take(4)
    const taking = prefetch.take(1)
    claims[1]?.letGo(new Error('no database'))
    expect(await taking).toEqual([])
    expect(errors).toEqual([new Error('no database')])

    const again = prefetch.take(1)
    claims[2]?.letGo()
    expect(await again).toEqual([7])
  })

  it('claims nothing ahead when there is no reason to', async () => {
    const { prefetch, claims } = open(0)
    const taking = prefetch.take(3)
    claims[0]?.letGo()
    expect(await taking).toEqual([1, 2, 3])
    expect(prefetch.waiting).toEqual([])
    expect(claims.map(({ limit }) => limit)).toEqual([3])
  })
})

describe('Completions', () => {
  it('completes what finishes in one turn with one call, and what comes meanwhile with the next', async () => {
    const calls: { readonly batch: readonly number[]; end(): void }[] = []
    const completions = new Completions<number>(
      (batch) => new Promise<void>((resolve) => calls.push({ batch, end: resolve })),
    )
    const ended = [1, 2, 3].map((one) => completions.add(one))
    await until(() => calls.length === 1)
    ended.push(completions.add(4))
    await until(() => calls.length === 2)
    ended.push(completions.add(5), completions.add(6))
    calls[0]?.end()
    await until(() => calls.length === 3)
    for (const { end } of calls) end()
    await Promise.all(ended)

    expect(calls.map(({ batch }) => batch)).toEqual([[1, 2, 3], [4], [5, 6]])
  })

  it('rejects all that a call failed for, and goes on', async () => {
    const complete = vi.fn().mockRejectedValueOnce(new Error('no database'))
    const completions = new Completions<number>(complete)

    const first = await Promise.allSettled([completions.add(1), completions.add(2)])
    expect(first.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await completions.add(3)
    expect(complete.mock.calls).toEqual([[[1, 2]], [[3]]])
  })
})

describeOn('postgres', 'pgBossInbox, of what its worker claimed ahead,', (url) => {
  const { boss, inbox: open, jobs, change, supervise } = pgBossSchema(url)

  function prefetching(size: number) {
    const spy = vi.spyOn(PrefetchSize.prototype, 'size', 'get').mockReturnValue(size)
    onTestFinished(() => spy.mockRestore())
  }

  it('gives all back when it stops, at once and uncounted', async () => {
    const { queue } = await open()
    const inbox = pgBossInbox(await boss(), { queue, pollMs: 10 })
    const ids = await Promise.all(Array.from({ length: 10 }, () => put(inbox)))
    prefetching(5)
    const first = await work(inbox, () => new Promise(() => {}))
    await until(async () => (await inbox.stats()).running === 6)
    await inbox.stop()
    prefetching(0)

    expect(first.attempts).toHaveLength(1)
    expect(await inbox.stats()).toMatchObject({ waiting: 10, running: 0 })
    const { attempts } = await work(inbox, () => done, 10)
    await until(() => attempts.length === ids.length)
    expect(new Set(attempts.map(({ number }) => number))).toEqual(new Set([1]))
  })

  it('leaves what it has lost to others, with the attempt that they count', async () => {
    const { inbox, queue } = await open()
    const ids = await Promise.all(Array.from({ length: 3 }, () => put(inbox)))
    const other = pgBossInbox(await boss(), { queue, pollMs: 10 })
    prefetching(2)
    const first = await work(inbox, () => new Promise(() => {}))
    await until(async () => (await inbox.stats()).running === 3)
    await change(queue, "heartbeat_on = now() - interval '1 hour'")
    await supervise(queue)
    prefetching(0)
    const second = await work(other, () => new Promise(() => {}), 3)
    await until(() => second.attempts.length === 3)
    await inbox.stop()

    expect(first.attempts).toHaveLength(1)
    expect(second.attempts.map(({ number }) => number)).toEqual([2, 2, 2])
    for (const id of ids) {
      expect(await other.entry(id)).toMatchObject({ state: 'running', attempts: 2 })
    }
  })

  it('keeps the order of a key when it is given back', async () => {
    const { inbox, queue } = await open()
    const order = { key: randomBytes(32).toString('hex'), maxHoldMs: 60_000 }
    const blocking = await put(inbox)
    const [first, second] = [await put(inbox, order), await put(inbox, order)]
    prefetching(5)
    await work(inbox, () => new Promise(() => {}))
    await until(async () => (await inbox.stats()).running === 2)
    await inbox.stop()
    prefetching(0)
    const { attempts } = await work(inbox, () => done)
    await until(async () => (await jobs(queue)).every(({ state }) => state === 'completed'))

    const ran = attempts.map(({ id, number }) => [id, number])
    expect(ran).toContainEqual([blocking, 1])
    expect(ran.filter(([id]) => id !== blocking)).toEqual([
      [first, 1],
      [second, 1],
    ])
  })

  it('completes what ends together with one statement', async () => {
    const its = await boss()
    const complete = vi.spyOn(its, 'complete')
    const { inbox, queue } = await open({}, its)
    await Promise.all(Array.from({ length: 20 }, () => put(inbox)))
    let letGo = () => {}
    const together = new Promise<void>((resolve) => {
      letGo = resolve
    })
    const { attempts } = await work(inbox, () => together.then(() => done), 20)
    await until(() => attempts.length === 20)
    letGo()
    await until(async () => (await jobs(queue)).every(({ state }) => state === 'completed'))

    expect(complete).toHaveBeenCalledTimes(1)
  })
})
