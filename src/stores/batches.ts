import { detached } from '../core/async-context.ts'
import { inNextTurn, systemClock } from '../core/clock.ts'
import type { RinghookError } from '../core/errors.ts'
import { TimeoutEntry, TimeoutQueue } from '../core/timeout-queue.ts'
import { storeFailure } from '../databases/failures.ts'
import { serverTimeoutMs, withServerTimeout } from '../databases/server-timeout.ts'

/** How items are put together into batches. */
export interface BatchSettings<Item, Result> {
  /** The store's name in error messages, as in `postgresStore`. */
  readonly store: string
  /** Two items of one key never go into one batch. */
  keyOf(item: Item): string
  /**
   * Carries out a batch: one statement, with the results in the order of the items. Once `isOver`
   * says so nobody waits for them any more, and what has not been sent must not be.
   */
  run(items: readonly Item[], isOver: () => boolean): Promise<readonly Result[]>
  /**
   * The result of an item that came behind another of its key, from the other's: as if it had been
   * carried out right after it. Without this the later item waits for the next batch.
   */
  follow?(first: Item, result: Result, item: Item): Result
  /** The longest batch. Default: 500 items. */
  readonly maxItems?: number
  /** How many batches may be under way at once. Default: 4, less than most pools have connections. */
  readonly maxUnderWay?: number
}

/** An item and its caller. It is the entry of the queue of items that have waited too long itself. */
class Waiting<Item, Result> extends TimeoutEntry {
  readonly item: Item
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
  /** Those that came behind it with the same key, and take their result from its. */
  followers: Waiting<Item, Result>[] | undefined
  isOver = false

  constructor(item: Item, resolve: (result: Result) => void, reject: (error: unknown) => void) {
    super()
    this.item = item
    this.resolve = resolve
    this.reject = reject
  }
}

/**
 * Carries out what waits in the same turn of the event loop as one statement. A lone item goes out
 * at the end of its turn; while the most batches are under way, the next one gathers.
 */
export class Batches<Item, Result> {
  readonly #settings: BatchSettings<Item, Result>
  readonly #maxItems: number
  readonly #maxUnderWay: number
  readonly #waiting = new Map<string, Waiting<Item, Result>>()
  /** Items whose key waits already, for a batch after the next. */
  #later: Waiting<Item, Result>[] = []
  #underWay = 0
  #isScheduled = false
  /** Counts from when an item came: what waits behind a silent server must not pile up for ever. */
  readonly #silences = new TimeoutQueue<Waiting<Item, Result>>(
    systemClock,
    serverTimeoutMs,
    (waiting) => this.#fail(waiting, this.#silent()),
  )

  constructor(settings: BatchSettings<Item, Result>) {
    this.#settings = settings
    this.#maxItems = settings.maxItems ?? 500
    this.#maxUnderWay = settings.maxUnderWay ?? 4
  }

  /** Gives the item's result, or rejects with what its batch rejected with. */
  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      const waiting = new Waiting<Item, Result>(item, resolve, reject)
      this.#silences.enter(waiting, systemClock.now())
      this.#put(waiting)
      this.#schedule()
    })
  }

  #put(waiting: Waiting<Item, Result>): void {
    const key = this.#settings.keyOf(waiting.item)
    const first = this.#waiting.get(key)
    if (first === undefined) {
      this.#waiting.set(key, waiting)
    } else if (this.#settings.follow === undefined) {
      this.#later.push(waiting)
    } else {
      first.followers ??= []
      first.followers.push(waiting)
    }
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.size === 0 || this.#underWay >= this.#maxUnderWay) return
    this.#isScheduled = true
    // A batch has items of several requests, and runs in the async context of none of them.
    detached(() =>
      inNextTurn(() => {
        this.#isScheduled = false
        void this.#runNext()
      }),
    )
  }

  async #runNext(): Promise<void> {
    const batch = this.#take()
    if (batch.length === 0) {
      this.#schedule()
      return
    }
    this.#underWay++
    this.#schedule()
    let isOver = false
    try {
      const items = batch.map(({ item }) => item)
      const running = this.#settings.run(items, () => isOver)
      const results = await withServerTimeout(running, () => this.#silent())
      this.#settle(batch, results)
    } catch (error) {
      isOver = true
      for (const waiting of batch) {
        this.#fail(waiting, error)
        for (const follower of waiting.followers ?? []) this.#fail(follower, error)
      }
    }
    this.#underWay--
    this.#schedule()
  }

  /** Takes what waits, sorted by key: two statements that lock rows in the same order cannot deadlock. */
  #take(): Waiting<Item, Result>[] {
    const taken: [string, Waiting<Item, Result>][] = []
    for (const entry of this.#waiting) {
      const [key, waiting] = entry
      this.#waiting.delete(key)
      if (!waiting.isOver) taken.push(entry)
      else this.#later.push(...(waiting.followers ?? []))
      if (taken.length === this.#maxItems) break
    }
    const later = this.#later
    this.#later = []
    for (const waiting of later) if (!waiting.isOver) this.#put(waiting)
    taken.sort(([one], [other]) => (one < other ? -1 : 1))
    return taken.map(([, waiting]) => waiting)
  }

  #settle(batch: readonly Waiting<Item, Result>[], results: readonly Result[]): void {
    for (const [index, waiting] of batch.entries()) {
      const result = results[index]
      if (result === undefined) throw storeFailure(this.#settings.store, 'RINGHOOK_STORE_FAILED')
      this.#succeed(waiting, result)
      for (const follower of waiting.followers ?? []) {
        this.#succeed(
          follower,
          this.#settings.follow?.(waiting.item, result, follower.item) ?? result,
        )
      }
    }
  }

  #silent(): RinghookError {
    return storeFailure(this.#settings.store, 'RINGHOOK_STORE_TIMEOUT')
  }

  #succeed(waiting: Waiting<Item, Result>, result: Result): void {
    this.#silences.leave(waiting)
    waiting.resolve(result)
  }

  #fail(waiting: Waiting<Item, Result>, error: unknown): void {
    waiting.isOver = true
    this.#silences.leave(waiting)
    waiting.reject(error)
  }
}
