import { setTimeout as passTime } from 'node:timers/promises'
import { type Call, CallLog, type JournalEntry } from '../shared/call-log.ts'

/** A write that waits until it is let go. */
export interface HeldWrite {
  /** Resolves when the write has come. */
  readonly reached: Promise<void>
  letGo(): void
}

/** A call log whose database can be made slow, or be taken away for a while. */
export class TourLog extends CallLog {
  /** How long a write takes, in ms. */
  latencyMs = 0
  /** How many of the writes that come next fail. */
  failures = 0
  #hold: (() => Promise<void>) | undefined

  /** Holds the write that comes next. */
  hold(): HeldWrite {
    let letGo = () => {}
    const released = new Promise<void>((resolve) => {
      letGo = resolve
    })
    const reached = new Promise<void>((resolve) => {
      this.#hold = () => {
        this.#hold = undefined
        resolve()
        return released
      }
    })
    return { reached, letGo }
  }

  /** Mends the database, whatever was to happen to it yet. */
  mend(): void {
    this.latencyMs = 0
    this.failures = 0
    this.#hold = undefined
  }

  override async record(entry: JournalEntry, news?: Call): Promise<void> {
    await this.#hold?.()
    if (this.latencyMs > 0) await passTime(this.latencyMs)
    if (this.failures > 0) {
      this.failures--
      throw new Error('the database is down')
    }
    await super.record(entry, news)
  }
}
