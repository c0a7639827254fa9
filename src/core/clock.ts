import { setImmediate } from 'node:timers'
import { detached } from './async-context.ts'

/** Where ringhook takes its time from. Tests bring their own: `manualClock()` of `ringhook/testing`. */
export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  now(): number
  /** Calls back once after `delayMs`. */
  setTimeout(callback: () => void, delayMs: number): unknown
  clearTimeout(timer: unknown): void
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
}

// Kept when ringhook is loaded: a test's fake timers, put in its place later, would stop work that
// waits for no time. jsdom has none among its globals.
const immediate = setImmediate

/** Calls back in the next turn of the event loop. */
export function inNextTurn(callback: () => void): void {
  immediate(callback)
}

/** Resolves in the next turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => immediate(resolve))
}

/** The longest wait that a timer can hold, in ms: 2^31 - 1. A longer one would be over at once. */
export const longestTimer = 2_147_483_647

/**
 * Rejects if a promise has not settled after `ms`, with the error that `late` makes. What the
 * promise comes to later is dropped.
 */
export function withTimeout<Value>(
  clock: Clock,
  promise: Promise<Value>,
  ms: number,
  late = () => new Error('there was no answer in time'),
): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimeout(() => reject(late()), ms)
    promise.then(resolve, reject).finally(() => clock.clearTimeout(timer))
  })
}

/** One entry in a {@link TimeoutQueue}. */
export interface TimeoutHandle {
  /** When it falls due, in ms since 1970. */
  readonly dueAt: number
  /** Takes it out of its queue. `false`: it is out already. */
  cancel(): boolean
}

/**
 * Calls back after a delay that is the same for every entry, with one timer for all of them: in a
 * queue of equal delays the oldest entry is always the next one due. A timer for each delivery
 * would cost as much as parsing its body.
 */
export class TimeoutQueue {
  readonly #clock: Clock
  readonly #delayMs: number
  #head: Ticket | undefined
  #tail: Ticket | undefined
  #timer: unknown

  constructor(clock: Clock, delayMs: number) {
    this.#clock = clock
    this.#delayMs = delayMs
  }

  /**
   * Calls `callback` when the delay, counted from `now`, is over. `now` must not run backwards by
   * much. `isDue` is false when {@link interrupt} calls it. It is called outside every request.
   */
  add(now: number, callback: (isDue: boolean) => void): TimeoutHandle {
    const ticket = new Ticket(this, now + this.#delayMs, callback, this.#tail)
    if (this.#tail === undefined) this.#head = ticket
    else this.#tail.next = ticket
    this.#tail = ticket
    if (this.#timer === undefined) this.#arm(this.#delayMs)
    return ticket
  }

  /** Calls every entry back before its time. They stay, unless they cancel themselves. */
  interrupt(): void {
    const waiting: Ticket[] = []
    for (let ticket = this.#head; ticket !== undefined; ticket = ticket.next) waiting.push(ticket)
    detached(() => {
      for (const ticket of waiting) ticket.callback(false)
    })
  }

  /** Takes an entry out. For {@link Ticket.cancel}. */
  remove(ticket: Ticket): void {
    if (ticket.previous === undefined) this.#head = ticket.next
    else ticket.previous.next = ticket.next
    if (ticket.next === undefined) this.#tail = ticket.previous
    else ticket.next.previous = ticket.previous
    // Else a ticket that is still referred to would hold every ticket that came after it.
    ticket.previous = undefined
    ticket.next = undefined
  }

  #arm(delayMs: number): void {
    // One timer for the entries of many requests: none of them may lend it its async context.
    const timer = detached(() =>
      this.#clock.setTimeout(() => detached(() => this.#fire()), delayMs),
    )
    // What waits in a queue is watched over; it is not what a process should stay alive for.
    if (typeof timer === 'object' && timer !== null && 'unref' in timer)
      (timer as NodeJS.Timeout).unref()
    this.#timer = timer
  }

  #fire(): void {
    const now = this.#clock.now()
    // Taken together before the first is called back: one that comes back at once, by a clock that
    // has gone on meanwhile, is for another time.
    const due: Ticket[] = []
    for (let ticket = this.#head; ticket !== undefined && this.#isDue(ticket, now); ) {
      due.push(ticket)
      ticket = ticket.next
    }
    try {
      // The timer counts as set meanwhile: an entry that a callback adds must not set it for itself
      // while earlier ones wait.
      for (const ticket of due) if (ticket.cancel()) ticket.callback(true)
    } finally {
      this.#timer = undefined
      if (this.#head !== undefined) this.#arm(Math.max(this.#head.dueAt - now, 1))
    }
  }

  /** Also when it lies further ahead than the delay: then the clock was set back since it was added. */
  #isDue(ticket: Ticket, now: number): boolean {
    return ticket.dueAt <= now || ticket.dueAt - now > this.#delayMs
  }
}

class Ticket implements TimeoutHandle {
  readonly dueAt: number
  readonly callback: (isDue: boolean) => void
  previous: Ticket | undefined
  next: Ticket | undefined
  #queue: TimeoutQueue | undefined

  constructor(
    queue: TimeoutQueue,
    dueAt: number,
    callback: (isDue: boolean) => void,
    previous: Ticket | undefined,
  ) {
    this.#queue = queue
    this.dueAt = dueAt
    this.callback = callback
    this.previous = previous
  }

  cancel(): boolean {
    if (this.#queue === undefined) return false
    this.#queue.remove(this)
    this.#queue = undefined
    return true
  }
}
