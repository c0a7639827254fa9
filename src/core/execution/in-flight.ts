import type { Clock } from '../clock.ts'
import type { RinghookError } from '../errors.ts'
import type { Execution } from './execution.ts'

/** The handlers that run in this process, by key. */
export class InFlightRegistry {
  readonly #clock: Clock
  readonly #executions = new Map<string, Execution | undefined>()

  constructor(clock: Clock) {
    this.#clock = clock
    // Pre-sized: V8 rehashes a nearly empty Map at every fourth key that comes and goes.
    for (let index = 0; index < 64; index++) this.#executions.set(`no key, ${index}`, undefined)
  }

  /** How many executions have ended: the store's answer to a question asked before may be outdated. */
  ended = 0

  get(key: string): Execution | undefined {
    return this.#executions.get(key)
  }

  begin(execution: Execution): void {
    this.#executions.set(execution.claim.key, execution)
  }

  end(execution: Execution): void {
    this.ended++
    // Unless another delivery has taken the event over in the meantime.
    const { key } = execution.claim
    if (this.#executions.get(key) === execution) this.#executions.delete(key)
    for (const wake of execution.waiters ?? []) wake()
  }

  /** Resolves when the event's execution has ended, or after `pauseMs`, whichever is first. */
  pause(key: string, pauseMs: number): Promise<void> {
    const execution = this.#executions.get(key)
    return new Promise((resolve) => {
      const wake = () => {
        this.#clock.clearTimeout(timer)
        execution?.waiters?.delete(wake)
        resolve()
      }
      const timer = this.#clock.setTimeout(wake, pauseMs)
      if (execution === undefined) return
      execution.waiters ??= new Set()
      execution.waiters.add(wake)
    })
  }

  /** Tells every running handler that the process is about to end. */
  abortAll(reason: RinghookError): void {
    for (const execution of this.#executions.values()) execution?.abort(reason)
  }
}
