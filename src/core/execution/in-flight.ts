import type { Clock } from '../clock.ts'
import type { RinghookError } from '../errors.ts'
import type { Lease } from './lease.ts'

/** One handler that runs in this process. */
export interface Execution extends Lease {
  /** The repeats that wait for its end. */
  waiting: Set<() => void> | undefined
}

/** The handlers that run in this process, by key. */
export class InFlightRegistry {
  readonly #clock: Clock
  readonly #runs = new Map<string, Execution | undefined>()

  constructor(clock: Clock) {
    this.#clock = clock
    // An empty Map is made anew at every fourth key that comes and goes; one that holds something
    // has room to spare.
    for (let index = 0; index < 64; index++) this.#runs.set(`no key, ${index}`, undefined)
  }

  /** How many runs have ended: for whoever asked the store meanwhile, whose answer may be out of date. */
  ended = 0

  get(key: string): Execution | undefined {
    return this.#runs.get(key)
  }

  begin(run: Execution): void {
    this.#runs.set(run.claim.key, run)
  }

  end(run: Execution): void {
    this.ended++
    // Not if another delivery took the event over in the meantime.
    if (this.#runs.get(run.claim.key) === run) this.#runs.delete(run.claim.key)
    for (const wake of run.waiting ?? []) wake()
  }

  /** Resolves when the event's run has ended, or after `pauseMs`, whichever comes first. */
  pause(key: string, pauseMs: number): Promise<void> {
    const run = this.#runs.get(key)
    return new Promise((resolve) => {
      const wake = () => {
        this.#clock.clearTimeout(timer)
        run?.waiting?.delete(wake)
        resolve()
      }
      const timer = this.#clock.setTimeout(wake, pauseMs)
      if (run === undefined) return
      run.waiting ??= new Set()
      run.waiting.add(wake)
    })
  }

  /** Tells every running handler that the process is about to end. */
  abortAll(reason: RinghookError): void {
    for (const run of this.#runs.values()) run?.context.abort(reason)
  }
}
