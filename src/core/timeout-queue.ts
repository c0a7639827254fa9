import { detached } from './async-context.ts'
import type { Clock } from './clock.ts'

/** What waits in a {@link TimeoutQueue}: an object that extends it is an entry itself. */
export class TimeoutEntry {
  /** When it is due, in ms since 1970. */
  dueAtMs = 0
  /** Its neighbours. `undefined`: it is in no queue. */
  next: TimeoutEntry | undefined
  previous: TimeoutEntry | undefined

  /** Whether it is in a queue. */
  get isQueued(): boolean {
    return this.next !== undefined
  }
}

/**
 * Calls back after a delay that is the same for every entry, with one timer for all of them: in a
 * queue of equal delays the oldest entry is always the next one due. A timer for each delivery would
 * cost as much as parsing its body. The queue is a ring of its entries, so entering and leaving
 * allocate nothing.
 */
export class TimeoutQueue<Entry extends TimeoutEntry> {
  readonly #clock: Clock
  readonly #delayMs: number
  readonly #onDue: (entry: Entry) => void
  /** Where the ring begins and ends. */
  readonly #ends = new TimeoutEntry()
  #timer: unknown

  /** @param onDue - Called with each entry that is due, outside every request. It has left by then. */
  constructor(clock: Clock, delayMs: number, onDue: (entry: Entry) => void) {
    this.#clock = clock
    this.#delayMs = delayMs
    this.#onDue = onDue
    this.#ends.next = this.#ends
    this.#ends.previous = this.#ends
  }

  /** Adds an entry, which may be in no queue. It is due when the delay, counted from `now`, is over. */
  enter(entry: Entry, now: number): void {
    const last = this.#ends.previous as TimeoutEntry
    entry.dueAtMs = now + this.#delayMs
    entry.previous = last
    entry.next = this.#ends
    last.next = entry
    this.#ends.previous = entry
    if (this.#timer === undefined) this.#arm(this.#delayMs)
  }

  /** Removes an entry. Returns `false` if it is in no queue. */
  leave(entry: Entry): boolean {
    const { next, previous } = entry
    if (next === undefined || previous === undefined) return false
    previous.next = next
    next.previous = previous
    // Otherwise an entry that is still referenced would keep alive every entry after it.
    entry.next = undefined
    entry.previous = undefined
    return true
  }

  /** Returns all entries, oldest first. */
  entries(): Entry[] {
    return this.#take(() => true)
  }

  #take(isWanted: (entry: TimeoutEntry) => boolean): Entry[] {
    const taken: Entry[] = []
    for (let entry = this.#ends.next; entry !== this.#ends && entry && isWanted(entry); ) {
      taken.push(entry as Entry)
      entry = entry.next
    }
    return taken
  }

  #arm(delayMs: number): void {
    // One timer for the entries of many requests: none of them may lend it its async context.
    const timer = detached(() =>
      this.#clock.setTimeout(() => detached(() => this.#fire()), delayMs),
    )
    // Waiting in a queue is no reason for a process to stay alive.
    if (typeof timer === 'object' && timer !== null && 'unref' in timer)
      (timer as NodeJS.Timeout).unref()
    this.#timer = timer
  }

  #fire(): void {
    const now = this.#clock.now()
    // Collected before the first callback: an entry that comes back at once, by a clock that has
    // moved on meanwhile, waits for another turn.
    const due = this.#take((entry) => this.#isDue(entry, now))
    try {
      // The timer counts as set meanwhile, so that an entry that a callback adds doesn't set it for
      // itself while earlier ones wait.
      for (const entry of due) if (this.leave(entry)) this.#onDue(entry)
    } finally {
      this.#timer = undefined
      const oldest = this.#ends.next as TimeoutEntry
      if (oldest !== this.#ends) this.#arm(Math.max(oldest.dueAtMs - now, 1))
    }
  }

  /** Even if it is further ahead than the delay: then the clock was set back since it was added. */
  #isDue({ dueAtMs }: TimeoutEntry, now: number): boolean {
    return dueAtMs <= now || dueAtMs - now > this.#delayMs
  }
}

/** An entry for what has no object of its own to wait with. */
export class TimeoutCallback extends TimeoutEntry {
  readonly run: () => void

  constructor(run: () => void) {
    super()
    this.run = run
  }
}

/** Returns a queue of callbacks. */
export function callbackQueue(clock: Clock, delayMs: number): TimeoutQueue<TimeoutCallback> {
  return new TimeoutQueue(clock, delayMs, ({ run }) => run())
}
