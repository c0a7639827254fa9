import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { callbackQueue, TimeoutCallback } from '../../src/core/timeout-queue.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'

/** A queue of callbacks, whose entries take themselves out. */
function queueOf(clock: Clock, delayMs: number) {
  const queue = callbackQueue(clock, delayMs)
  return {
    add(now: number, run: () => void) {
      const entry = new TimeoutCallback(run)
      queue.enter(entry, now)
      return { entry, cancel: () => queue.leave(entry) }
    },
  }
}

describe('TimeoutQueue', () => {
  it('calls every entry back once, at its time, with one timer for all', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ afterMs: fc.nat({ max: 300 }), isCancelled: fc.boolean() }), {
          maxLength: 12,
        }),
        async (entries) => {
          const clock = manualClock(0)
          const setTimeout = vi.spyOn(clock, 'setTimeout')
          const clearTimeout = vi.spyOn(clock, 'clearTimeout')
          const queue = queueOf(clock, 100)
          const calls: number[][] = []
          const expected: number[][] = []
          for (const [at, { afterMs, isCancelled }] of entries.entries()) {
            await clock.advance(afterMs)
            const ticket = queue.add(clock.now(), () => calls.push([at, clock.now()]))
            expect(ticket.entry.dueAtMs).toBe(clock.now() + 100)
            if (isCancelled) ticket.cancel()
            else expected.push([at, clock.now() + 100])
          }
          await clock.advance(1_000)
          expect(calls).toEqual(expected)
          expect(clock.nextTimerMs()).toBeUndefined()
          expect(setTimeout.mock.calls.length).toBeLessThanOrEqual(entries.length + 1)
          expect(clearTimeout).not.toHaveBeenCalled()
        },
      ),
      { numRuns: 50, seed: 15 },
    )
  })

  it('calls an entry back in time when an earlier one adds itself again', async () => {
    const clock = manualClock(0)
    const queue = queueOf(clock, 100)
    const calls: [string, number][] = []
    const repeat = (name: string) => {
      calls.push([name, clock.now()])
      queue.add(clock.now(), () => repeat(name))
    }
    queue.add(0, () => repeat('a'))
    await clock.advance(10)
    queue.add(10, () => repeat('b'))
    await clock.advance(200)
    expect(calls).toEqual([
      ['a', 100],
      ['b', 110],
      ['a', 200],
      ['b', 210],
    ])
  })

  it('calls back once what adds itself again, also while the clock goes on', () => {
    let fire = () => {}
    let now = 0
    // Every look at it takes a millisecond.
    const clock = {
      now: () => now++,
      setTimeout: (callback: () => void) => {
        fire = callback
      },
      clearTimeout() {},
    }
    const queue = queueOf(clock, 1_000)
    let calls = 0
    const repeat = () => {
      if (++calls > 1_000) throw new Error('called back again and again')
      queue.add(clock.now(), repeat)
    }
    for (let index = 0; index < 50; index++) queue.add(0, repeat)
    now = 1_000
    fire()
    expect(calls).toBe(50)
  })

  it('does not call back what an earlier callback cancelled', () => {
    let fire = () => {}
    const clock = {
      now: () => 1_000,
      setTimeout: (callback: () => void) => {
        fire = callback
      },
      clearTimeout() {},
    }
    const queue = queueOf(clock, 1_000)
    const called: string[] = []
    queue.add(0, () => {
      called.push('first')
      second.cancel()
    })
    const second = queue.add(0, () => called.push('second'))
    fire()
    expect(called).toEqual(['first'])
  })

  it('goes on after a callback that throws', () => {
    let fire = () => {}
    let now = 0
    const clock = {
      now: () => now,
      setTimeout: (callback: () => void) => {
        fire = callback
      },
      clearTimeout: () => {},
    }
    const queue = queueOf(clock, 100)
    const called = vi.fn()
    queue.add(0, () => {
      throw new Error('no')
    })
    queue.add(0, called)
    now = 100
    expect(() => fire()).toThrow('no')
    fire()
    expect(called).toHaveBeenCalledOnce()
    queue.add(100, called)
    now = 200
    fire()
    expect(called).toHaveBeenCalledTimes(2)
  })

  it('calls back when the clock was set back by an hour', () => {
    let fire = () => {}
    let now = 3_600_000
    const clock = {
      now: () => now,
      setTimeout: (callback: () => void) => {
        fire = callback
      },
      clearTimeout: () => {},
    }
    const called = vi.fn()
    queueOf(clock, 100).add(now, called)
    now = 100
    fire()
    expect(called).toHaveBeenCalledOnce()
  })

  it('lets go of entries: one that is kept does not keep those that came after it', () => {
    const queue = queueOf(manualClock(0), 100)
    const first = queue.add(0, () => {})
    const second = queue.add(0, () => {})
    first.cancel()
    queue.add(0, () => {})
    second.cancel()
    expect(Object.values(first.entry)).not.toContain(second.entry)
    expect(Object.entries(first.entry)).toEqual(
      expect.arrayContaining([
        ['next', undefined],
        ['previous', undefined],
      ]),
    )
  })

  it('takes an entry out once, however often it is cancelled', async () => {
    const clock = manualClock(0)
    const queue = queueOf(clock, 100)
    const called = vi.fn()
    const ticket = queue.add(0, () => {})
    ticket.cancel()
    queue.add(0, called)
    ticket.cancel()
    await clock.advance(100)
    expect(called).toHaveBeenCalledOnce()
  })
})

describe('systemClock', () => {
  it('tells the time of the machine, and its timers keep the process alive, but those of queues do not', () => {
    const setTimeout = vi.spyOn(systemClock, 'setTimeout')
    const timer = systemClock.setTimeout(() => {}, 60_000) as NodeJS.Timeout
    queueOf(systemClock, 60_000)
      .add(Date.now(), () => {})
      .cancel()
    const [ofItself, ofQueue] = setTimeout.mock.results.map(({ value }) => value as NodeJS.Timeout)
    expect([ofItself?.hasRef(), ofQueue?.hasRef()]).toEqual([true, false])
    systemClock.clearTimeout(timer)
    setTimeout.mockRestore()
    const before = Date.now()
    const now = systemClock.now()
    expect(now >= before && now <= Date.now()).toBe(true)
  })
})
