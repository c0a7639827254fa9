import { setTimeout as passTime } from 'node:timers/promises'
import { type Call, CallLog, type JournalEntry } from '../shared/call-log.ts'

/** A call log whose database can be made slow, or be taken away for a while. */
export class TourLog extends CallLog {
  /** How long a write takes, in ms. */
  latencyMs = 0
  /** How many of the writes that come next fail. */
  failures = 0

  override async record(entry: JournalEntry, news?: Call): Promise<void> {
    if (this.latencyMs > 0) await passTime(this.latencyMs)
    if (this.failures > 0) {
      this.failures--
      throw new Error('the database is down')
    }
    await super.record(entry, news)
  }
}
