import type { Inbox } from '../../inboxes/inbox.ts'
import { detached } from '../async-context.ts'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import { InboxUsage } from './inbox-usage.ts'

/** How long deliveries may wait while no worker runs any, before it is logged. */
const patienceMs = 60_000

export interface MissingWorkerSettings {
  readonly clock: Clock
  readonly report: { readonly logger: Logger }
}

/**
 * Notices that deliveries wait and no worker runs them. An endpoint that answers 200 while nothing
 * is processed looks healthy from outside.
 */
export class MissingWorkerCheck {
  readonly #provider: string
  readonly #settings: MissingWorkerSettings
  readonly #inbox: Inbox
  readonly #usage: InboxUsage
  #nextLookAt = 0

  constructor(provider: string, settings: MissingWorkerSettings, inbox: Inbox) {
    this.#provider = provider
    this.#settings = settings
    this.#inbox = inbox
    this.#usage = InboxUsage.of(inbox)
  }

  /** For after a delivery was enqueued: looks once a minute, unless this process has a worker. */
  onEnqueued(): void {
    const now = this.#settings.clock.now()
    if (now < this.#nextLookAt || this.#usage.hasWorker) return
    const isFirst = this.#nextLookAt === 0
    this.#nextLookAt = now + patienceMs
    if (isFirst) return
    // It is about all deliveries, and not about the one that was enqueued.
    detached(() => void this.#look(now))
  }

  async #look(now: number): Promise<void> {
    try {
      const { waiting, running, delayed, oldest = now } = await this.#inbox.stats()
      const ageMs = now - oldest
      // One that is tried again may be old, and hold back others.
      const isMissing = waiting > 0 && running === 0 && delayed === 0 && ageMs >= patienceMs
      if (!isMissing) return
      this.#settings.report.logger.warn(
        `ringhook ${this.#provider}: ${waiting} deliveries wait in the inbox, the oldest for ${Math.round(ageMs / 1_000)} s, and no worker runs them. Call receiver.start(), here or in a worker process`,
      )
    } catch {
      // The next delivery that can't be enqueued says so.
    }
  }
}
