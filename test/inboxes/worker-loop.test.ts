import { manualClock } from 'ringhook/testing'
import { describe, expect, it, vi } from 'vitest'
import { WorkerLoop } from '../../src/inboxes/worker-loop.ts'

describe('WorkerLoop', () => {
  it('begins when it is woken, and asks for no more than it has room for', async () => {
    const { loop, asked, waiting, begun, clock } = loopFor({ concurrency: 2 })
    waiting.push(...jobsOf('a', 'b', 'c'))
    await clock.advance(10_000)
    expect(asked).toEqual([])

    loop.wake()
    await clock.advance(0)

    expect(asked).toEqual([2])
    expect(namesOf(begun)).toEqual(['a', 'b'])
    expect(namesOf(loop.running)).toEqual(['a', 'b'])
  })

  it('looks again as soon as there is room, after a full take', async () => {
    const { loop, asked, waiting, begun, clock } = loopFor({ concurrency: 2 })
    waiting.push(...jobsOf('a', 'b', 'c'))
    loop.wake()
    await clock.advance(0)

    begun[0]?.end()
    await clock.advance(0)

    expect(asked).toEqual([2, 1])
    expect(namesOf(begun)).toEqual(['a', 'b', 'c'])
  })

  it('fills places that get free together with one take', async () => {
    const { loop, asked, waiting, begun, clock } = loopFor({ concurrency: 3 })
    waiting.push(...jobsOf('a', 'b', 'c', 'd', 'e', 'f'))
    loop.wake()
    await clock.advance(0)

    for (const job of begun.slice(0, 3)) job.end()
    await clock.advance(0)

    expect(asked).toEqual([3, 3])
  })

  it('waits for pollMs after a take that was not full', async () => {
    const { loop, asked, waiting, begun, clock } = loopFor({ concurrency: 2, pollMs: 500 })
    loop.wake()
    await clock.advance(499)
    waiting.push(...jobsOf('a'))
    expect(asked).toEqual([2])

    await clock.advance(1)
    expect(namesOf(begun)).toEqual(['a'])

    await clock.advance(500)
    expect(asked).toEqual([2, 2, 1])
  })

  it('looks at once when it is woken, and then polls from there', async () => {
    const { loop, asked, clock } = loopFor({ concurrency: 2, pollMs: 500 })
    loop.wake()
    await clock.advance(300)
    loop.wake()
    await clock.advance(499)
    expect(asked).toEqual([2, 2])

    await clock.advance(1)
    expect(asked).toEqual([2, 2, 2])
  })

  it('looks again when it was woken during a take, which may have come too early', async () => {
    const clock = manualClock()
    let asked = 0
    const loop = new WorkerLoop({
      concurrency: 1,
      pollMs: 500,
      clock,
      take: async () => {
        if (++asked === 1) await clock.sleep(50)
        return []
      },
      run: async () => {},
      onError: () => {},
    })
    loop.wake()
    await clock.advance(10)
    loop.wake()
    await clock.advance(39)
    expect(asked).toBe(1)

    await clock.advance(1)
    expect(asked).toBe(2)
    await loop.stop(0)
  })

  it('does not keep the process from anything else while deliveries take no time', async () => {
    let isOver = false
    const loop = new WorkerLoop({
      concurrency: 1,
      pollMs: 500,
      take: () => (isOver ? [] : [{}]),
      run: async () => {},
      onError: () => {},
    })
    loop.wake()

    await new Promise((resolve) => setTimeout(resolve, 1))
    isOver = true

    expect(await loop.stop(0)).toEqual([])
  })

  it('reports a take that fails, and pauses longer after each failure in a row', async () => {
    const { loop, asked, errors, fail, clock } = loopFor({ concurrency: 1, pollMs: 500 })
    fail(new Error('no database'))
    loop.wake()
    const pauses: (number | undefined)[] = []
    for (let failures = 1; failures <= 9; failures++) {
      await clock.advance(0)
      expect(errors).toHaveLength(failures)
      pauses.push(clock.nextTimerMs())
      await clock.advance(clock.nextTimerMs() ?? 0)
    }
    expect(pauses).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000])

    fail(undefined)
    await clock.advance(10_000)
    expect(clock.nextTimerMs()).toBe(500)
    fail(new Error('no database'))
    await clock.advance(500)
    expect(clock.nextTimerMs()).toBe(100)
    expect(asked).toHaveLength(12)
  })

  it('is not woken during the pause after a failure', async () => {
    const { loop, asked, fail, clock } = loopFor({ concurrency: 1 })
    fail(new Error('no database'))
    loop.wake()
    await clock.advance(0)
    for (let times = 0; times < 5; times++) {
      loop.wake()
      await clock.advance(10)
    }
    expect(asked).toHaveLength(1)

    await clock.advance(50)
    expect(asked).toHaveLength(2)
  })

  it('goes on when a take throws at once, and when onError throws', async () => {
    const clock = manualClock()
    let asked = 0
    const loop = new WorkerLoop({
      concurrency: 1,
      pollMs: 500,
      clock,
      take: (): object[] => {
        asked++
        throw new Error('no database')
      },
      run: async () => {},
      onError: () => {
        throw new Error('no logger')
      },
    })
    loop.wake()
    await clock.advance(100)

    expect(asked).toBe(2)
  })

  it('reports what a run rejects with, and takes the next', async () => {
    const { loop, waiting, begun, errors, clock } = loopFor({ concurrency: 1 })
    waiting.push(...jobsOf('a', 'b'))
    loop.wake()
    await clock.advance(0)

    begun[0]?.end(new Error('no database'))
    await clock.advance(0)

    expect(errors).toEqual([new Error('no database')])
    expect(namesOf(begun)).toEqual(['a', 'b'])
  })

  it('takes no more once it is stopped, and resolves when what runs is done', async () => {
    const { loop, asked, waiting, begun, clock } = loopFor({ concurrency: 1 })
    waiting.push(...jobsOf('a', 'b'))
    loop.wake()
    await clock.advance(0)

    const stopped = vi.fn()
    void loop.stop(10_000).then(stopped)
    await clock.advance(5_000)
    expect(stopped).not.toHaveBeenCalled()
    begun[0]?.end()
    await clock.advance(0)

    expect(stopped).toHaveBeenCalledWith([])
    loop.wake()
    await clock.advance(60_000)
    expect(asked).toEqual([1])
    expect(clock.nextTimerMs()).toBeUndefined()
  })

  it('hands over what still runs when the time is over', async () => {
    const { loop, waiting, begun, clock } = loopFor({ concurrency: 2 })
    waiting.push(...jobsOf('a', 'b'))
    loop.wake()
    await clock.advance(0)
    begun[0]?.end()

    const stopped = loop.stop(10_000)
    await clock.advance(10_000)

    expect(namesOf(await stopped)).toEqual(['b'])
    expect(namesOf(await loop.stop(0))).toEqual(['b'])
  })

  it('hands over what a take brings that was under way, without beginning with it', async () => {
    const clock = manualClock()
    const run = vi.fn(async () => {})
    const loop = new WorkerLoop({
      concurrency: 1,
      pollMs: 500,
      clock,
      take: async () => {
        await clock.sleep(50)
        return jobsOf('a')
      },
      run,
      onError: () => {},
    })
    loop.wake()
    await clock.advance(10)

    const stopped = loop.stop(0)
    await clock.advance(40)

    expect(namesOf(await stopped)).toEqual(['a'])
    expect(run).not.toHaveBeenCalled()
  })

  it('sets no timer for a take that fails after it was stopped', async () => {
    const clock = manualClock()
    const errors: unknown[] = []
    const loop = new WorkerLoop({
      concurrency: 1,
      pollMs: 500,
      clock,
      take: async (): Promise<object[]> => {
        await clock.sleep(50)
        throw new Error('no database')
      },
      run: async () => {},
      onError: (error) => errors.push(error),
    })
    loop.wake()
    await clock.advance(10)

    const stopped = loop.stop(10_000)
    await clock.advance(40)

    expect(await stopped).toEqual([])
    expect(errors).toHaveLength(1)
    expect(clock.nextTimerMs()).toBeUndefined()
  })
})

interface Job {
  readonly name: string
  readonly ended: Promise<void>
  end(error?: Error): void
}

/** A loop over a list, whose jobs run until the test ends them. */
function loopFor({ concurrency, pollMs = 500 }: { concurrency: number; pollMs?: number }) {
  const clock = manualClock()
  const waiting: Job[] = []
  const begun: Job[] = []
  const asked: number[] = []
  const errors: unknown[] = []
  let failure: Error | undefined
  const loop = new WorkerLoop<Job>({
    concurrency,
    pollMs,
    clock,
    take: async (free) => {
      asked.push(free)
      if (failure !== undefined) throw failure
      return waiting.splice(0, free)
    },
    run: (job) => {
      begun.push(job)
      return job.ended
    },
    onError: (error) => errors.push(error),
  })
  const fail = (error: Error | undefined) => {
    failure = error
  }
  return { loop, clock, waiting, begun, asked, errors, fail }
}

function jobsOf(...names: string[]): Job[] {
  return names.map((name) => {
    let end: Job['end'] = () => {}
    const ended = new Promise<void>((resolve, reject) => {
      end = (error) => (error === undefined ? resolve() : reject(error))
    })
    return { name, ended, end }
  })
}

function namesOf(jobs: Iterable<Job>): string[] {
  return Array.from(jobs, ({ name }) => name)
}
