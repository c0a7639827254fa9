import type { Attempt, AttemptResult, Inbox, Process, StoredDelivery } from '../inboxes/inbox.ts'
import { type Answer, answerFor } from './answers.ts'
import { captureContext, detached } from './async-context.ts'
import { failureOf } from './attempt-result.ts'
import { optionInvalid } from './checks.ts'
import { RinghookError } from './errors.ts'
import { readStoredDelivery } from './stored-delivery.ts'

/** A receiver, as the worker of its inbox sees it. */
export interface Colleague {
  /** Its provider and namespace, which say whose a delivery is. */
  readonly provider: string
  readonly namespace: string
  now(): number
  /** Executor a delivery of its own. */
  process(delivery: StoredDelivery, attempt: Attempt): Promise<AttemptResult>
  /** Told of a delivery that is nobody's. */
  onParked(answer: Answer, provider: string | undefined): void
  /** Told what goes wrong in the worker itself. */
  onInboxError(error: unknown): void
  /** Told that deliveries have waited for `ageMs`, and nobody runs any. */
  onNeglect(waiting: number, ageMs: number): void
}

interface StartedWorker {
  readonly concurrency: number
  readonly started: Promise<void>
}

/** How long deliveries may wait while nobody runs any, before it is said. */
const neglectMs = 60_000

const workplaces = new WeakMap<Inbox, Workplace>()

/** Gives the one workplace of an inbox in this process. */
export function workplaceOf(inbox: Inbox): Workplace {
  let workplace = workplaces.get(inbox)
  if (workplace === undefined) {
    workplace = new Workplace(inbox)
    workplaces.set(inbox, workplace)
  }
  return workplace
}

/**
 * The receivers of this process that share an inbox, and its worker, which they share too: it hands
 * every delivery to the receiver that it was made for.
 */
export class Workplace {
  readonly #inbox: Inbox
  readonly #colleagues = new Map<string, Colleague>()
  #worker: StartedWorker | undefined
  #stopping: Promise<void> = Promise.resolve()
  #looksAgainAt = 0

  constructor(inbox: Inbox) {
    this.#inbox = inbox
  }

  get isStarted(): boolean {
    return this.#worker !== undefined
  }

  /** @throws {RinghookError} RINGHOOK_INBOX_INVALID where another receiver has the same deliveries. */
  join(colleague: Colleague): void {
    const name = nameOf(colleague)
    if (this.#colleagues.has(name)) {
      throw new RinghookError(
        'RINGHOOK_INBOX_INVALID',
        `Two receivers of ${colleague.provider} share an inbox, which could not tell their deliveries apart. Give one of them another namespace, or an inbox of its own.`,
      )
    }
    this.#colleagues.set(name, colleague)
  }

  /**
   * For after a put: looks once a minute whether anybody works on the inbox, where this process does
   * not. An endpoint that answers 200 while nobody runs anything looks well from outside.
   */
  lookForNeglect(colleague: Colleague): void {
    const now = colleague.now()
    if (this.#worker !== undefined || now < this.#looksAgainAt) return
    const isFirst = this.#looksAgainAt === 0
    this.#looksAgainAt = now + neglectMs
    if (isFirst) return
    // It is about all deliveries, and not about the one that was put.
    detached(() => void this.#look(colleague, now))
  }

  async #look(colleague: Colleague, now: number): Promise<void> {
    try {
      const { waiting, running, delayed, oldest = now } = await this.#inbox.stats()
      const ageMs = now - oldest
      // One that is tried again may be old, and hold back others.
      const isNeglected = waiting > 0 && running === 0 && delayed === 0 && ageMs >= neglectMs
      if (isNeglected) colleague.onNeglect(waiting, ageMs)
    } catch {
      // The next delivery that cannot be put says so.
    }
  }

  /** Starts the worker, unless it runs. */
  async start(concurrency: number): Promise<void> {
    // Not after an await: a close that comes meanwhile must see that there is a worker to stop.
    this.#worker ??= this.#begin(concurrency)
    if (this.#worker.concurrency !== concurrency) {
      throw optionInvalid(
        `The worker of this inbox runs already, with concurrency ${this.#worker.concurrency}.`,
        'Receivers that share an inbox have one worker: give start() of each the same concurrency.',
      )
    }
    await this.#worker.started
  }

  /** Takes a receiver out, and stops the worker: its deliveries would be nobody's. */
  async leave(colleague: Colleague, drainMs: number): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    // What comes until it has stopped is handed to the receiver, which gives it back.
    if (worker !== undefined) {
      this.#stopping = worker.started
        .then(() => this.#inbox.stop({ drainMs }), notStarted)
        .catch((error: unknown) => colleague.onInboxError(error))
    }
    await this.#stopping
    this.#colleagues.delete(nameOf(colleague))
  }

  #begin(concurrency: number): StartedWorker {
    // Handlers see the async context of whoever starts the worker, whatever wakes it.
    const inContext = captureContext()
    const process: Process = (delivery, attempt) =>
      inContext(() => this.#process(delivery, attempt))
    const onError = (error: unknown) => inContext(() => this.#anybody()?.onInboxError(error))
    const started = this.#stopping.then(() => this.#inbox.start(process, { concurrency, onError }))
    const worker = { concurrency, started }
    started.catch(() => {
      if (this.#worker === worker) this.#worker = undefined
    })
    return worker
  }

  async #process(delivery: unknown, attempt: Attempt): Promise<AttemptResult> {
    const stored = readStoredDelivery(delivery)
    if (typeof stored === 'string') {
      const reason = `what the inbox has under ${attempt.id} cannot be read: ${stored}`
      return this.#park(answerFor('RINGHOOK_DELIVERY_UNREADABLE', { reason }))
    }
    const colleague = this.#colleagues.get(nameOf(stored))
    if (colleague !== undefined) return await colleague.process(stored, attempt)
    const reason = 'no receiver in this process is for its provider and namespace'
    return this.#park(answerFor('RINGHOOK_RECEIVER_MISSING', { reason }), stored.provider)
  }

  #park(answer: Answer, provider?: string): AttemptResult {
    const anybody = this.#anybody()
    anybody?.onParked(answer, provider)
    return { state: 'dead', failure: failureOf(answer, anybody?.now() ?? Date.now()) }
  }

  #anybody(): Colleague | undefined {
    const [first] = this.#colleagues.values()
    return first
  }
}

function notStarted(): void {
  // Whoever started it has the error.
}

function nameOf({
  provider,
  namespace,
}: {
  readonly provider: string
  readonly namespace: string
}) {
  return `${provider}\n${namespace}`
}
