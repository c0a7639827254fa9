import { type Clock, nextTurn } from '../core/clock.ts'

/** A clock that stands still until it is told to go on. */
export interface ManualClock extends Clock {
  /**
   * Goes on by `ms` and calls back every timer that falls due on the way, in order. Between two
   * timers, and at the end, it lets what was started by them run on.
   */
  advance(ms: number): Promise<void>
  /** Resolves when the clock has gone on by `ms`: for handlers that are to take their time. */
  sleep(ms: number): Promise<void>
  /** How long until the next timer falls due, in ms, or `undefined` if none is set. */
  nextTimerMs(): number | undefined
}

interface ManualTimer {
  readonly dueAt: number
  readonly callback: () => void
}

/**
 * Gives a clock for tests, as the `clock` option of a receiver or a store. It starts at `start`,
 * by default the machine's time now.
 *
 * @example
 * ```ts
 * import { createReceiver, krosai } from 'ringhook'
 * import { deliver, manualClock } from 'ringhook/testing'
 *
 * const clock = manualClock()
 * const receiver = createReceiver(krosai, {
 *   secret: 'a secret for tests',
 *   clock,
 *   on: { 'call.completed': () => clock.sleep(60_000) },
 * })
 * const answer = deliver(receiver, 'call.completed')
 * await clock.advance(60_000)
 * console.log((await answer).outcome) // timed_out: the answer was due after 10 s
 * ```
 */
export function manualClock(start: Date | number = Date.now()): ManualClock {
  let now = Number(start)
  const timers = new Set<ManualTimer>()

  function nextTimer(): ManualTimer | undefined {
    let next: ManualTimer | undefined
    for (const timer of timers) if (next === undefined || timer.dueAt < next.dueAt) next = timer
    return next
  }

  const clock: ManualClock = {
    now: () => now,
    setTimeout(callback, delayMs) {
      const timer = { dueAt: now + Math.max(0, delayMs), callback }
      timers.add(timer)
      return timer
    },
    clearTimeout(timer) {
      timers.delete(timer as ManualTimer)
    },
    sleep: (ms) => new Promise((resolve) => clock.setTimeout(resolve, ms)),
    nextTimerMs() {
      const next = nextTimer()
      return next === undefined ? undefined : Math.max(0, next.dueAt - now)
    },
    async advance(ms) {
      const end = now + ms
      await settle()
      for (let next = nextTimer(); next !== undefined && next.dueAt <= end; next = nextTimer()) {
        timers.delete(next)
        now = Math.max(now, next.dueAt)
        next.callback()
        await settle()
      }
      now = end
    },
  }
  return clock
}

/** Lets promises and whatever the event loop has ready run on, without waiting for any time to pass. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) {
    await nextTurn()
  }
}
