import { setTimeout as passTime } from 'node:timers/promises'
import type { Outcome } from 'ringhook'

/** What an attempt of the worker came to, or was promised to come to. */
export interface Attempt {
  readonly outcome: string
  readonly next: string
  readonly code?: string | undefined
  /** How long the inbox waits before the next one, in ms. */
  readonly nextInMs?: number | undefined
}

/** An attempt that was made. */
export interface MadeAttempt extends Attempt {
  readonly at: Date
}

/** Writes down what the worker does, event by event, for those who wait for it. */
export class AttemptBook {
  readonly #made = new Map<string, MadeAttempt[]>()
  readonly #waiting = new Set<() => void>()
  #patienceMs: number

  /** @param patienceMs - How long to wait for attempts that do not come. */
  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs
  }

  note({ eventId = '', outcome, next, code, nextInMs }: Outcome): void {
    if (next === undefined) return
    const made = this.#made.get(eventId) ?? []
    made.push({ at: new Date(), outcome, next, code, nextInMs })
    this.#made.set(eventId, made)
    for (const look of this.#waiting) look()
  }

  /** Takes the attempts at an event out of the book, once there are so many or patience is over. */
  async take(eventId: string, count: number): Promise<readonly MadeAttempt[]> {
    const made = () => this.#made.get(eventId) ?? []
    if (made().length < count) await this.#until(() => made().length >= count)
    const taken = made()
    this.#made.delete(eventId)
    return taken
  }

  /** How many attempts are in the book that nobody took. */
  get left(): number {
    return [...this.#made.values()].flat().length
  }

  async #until(isThere: () => boolean): Promise<void> {
    const giveUp = new AbortController()
    const patience = passTime(this.#patienceMs, true, { signal: giveUp.signal }).catch(() => false)
    let look = () => {}
    const there = new Promise<boolean>((resolve) => {
      look = () => {
        if (isThere()) resolve(false)
      }
    })
    this.#waiting.add(look)
    // Who was silent once is not waited for again: there would be no end to it.
    if (await Promise.race([there, patience])) this.#patienceMs = 0
    this.#waiting.delete(look)
    giveUp.abort()
  }
}

/** An attempt in words: `failed → retry in 31 ms`. */
export function attemptText({ outcome, next, nextInMs }: Attempt): string {
  return `${outcome} → ${next}${nextInMs === undefined ? '' : ` in ${nextInMs} ms`}`
}

/** Whether an attempt came to what was promised. */
export function isAsPromised(made: Attempt | undefined, promised: Attempt | undefined): boolean {
  return (
    made?.outcome === promised?.outcome &&
    made?.next === promised?.next &&
    made?.code === promised?.code
  )
}
