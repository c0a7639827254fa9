import { performance } from 'node:perf_hooks'
import { krosai } from 'ringhook'
import type { SignedRequest } from 'ringhook/testing'
import type { CallLog } from '../shared/call-log.ts'
import {
  type Attempt,
  type AttemptBook,
  attemptText,
  isAsPromised,
  type MadeAttempt,
} from './attempts.ts'
import { type Answer, brokenPromises, timesInJournal, wrongEffects } from './check.ts'
import { answerText, type Line, type Paper, type Row } from './paper.ts'
import { fetchAnswer } from './post.ts'

/** One delivery to make, and what is promised about it. */
export interface Shipment {
  readonly name: string
  readonly request: SignedRequest
  /** Where it goes. Default: the endpoint that is shown. */
  readonly url?: string
  readonly promised: Answer
  /** What the worker's attempts at it are to come to. Default: there is none. */
  readonly attempts?: readonly Attempt[]
  /** How often the event is to be in the journal in the end. Default: as often as before. */
  readonly effects?: number
  readonly note?: string
}

interface Chapter {
  readonly title: string
  readonly journalBefore: number
  deliveries: number
  promisedEffects: number
}

interface StageParts {
  readonly paper: Paper
  readonly log: CallLog
  readonly attempts: AttemptBook
  readonly url: string
  /** Resolves when the inbox has been told what became of every attempt. */
  settled(): Promise<void>
}

/** Makes deliveries to the endpoint, prints each, and keeps the books about what was promised. */
export class Stage {
  readonly surprises: string[] = []
  readonly #parts: StageParts
  readonly #effects = new Map<string, { readonly name: string; readonly times: number }>()
  readonly #rows: Row[] = []
  #chapter: Chapter | undefined

  constructor(parts: StageParts) {
    this.#parts = parts
  }

  chapter(title: string, explanation: string): void {
    this.#endChapter()
    const journalBefore = this.#parts.log.journal.length
    this.#chapter = { title, journalBefore, deliveries: 0, promisedEffects: 0 }
    this.#parts.paper.heading(title, explanation)
  }

  /** Makes deliveries one after the other, and waits for what the worker does with each. */
  async send(...shipments: readonly Shipment[]): Promise<void> {
    for (const shipment of shipments) await this.sendTogether([shipment])
  }

  /**
   * Makes deliveries at the same moment. Which of them gets which of the promised answers is open.
   *
   * @param onAnswered - Called when all have been answered, before the worker is waited for.
   */
  async sendTogether(shipments: readonly Shipment[], onAnswered = () => {}): Promise<void> {
    const lines = await Promise.all(shipments.map((shipment) => this.#post(shipment)))
    onAnswered()
    await this.#note(shipments, lines)
  }

  /** Delivers as KrosAI does: the same bytes again until they are taken, or its five attempts are over. */
  async sendUntilTaken(shipment: Shipment, promised: readonly Answer[]): Promise<void> {
    let minutes = 0
    for (const [index, delayMs] of krosai.delivery.retryDelaysMs.entries()) {
      minutes += delayMs / 60_000
      const delivery = {
        ...shipment,
        promised: promised[index] ?? { status: 0, outcome: 'no delivery' },
        note: `delivery ${index + 1}, +${minutes} min`,
      }
      const line = await this.#post(delivery)
      await this.#note([delivery], [line])
      if (line.answer.status >= 200 && line.answer.status < 300) return
    }
  }

  /** Waits for the worker's attempts at an event that was delivered before, and prints each. */
  async watch({ name, request }: Shipment, promised: readonly Attempt[]): Promise<void> {
    const attempts = await this.#attemptsAt(name, request, promised)
    for (const attempt of attempts) this.#parts.paper.attempt(attempt, name)
  }

  /** Prints what an operator did, and what it was to come to. */
  act(what: string, result: string, promised: string): void {
    this.#parts.paper.act(new Date(), what, result)
    if (result !== promised) this.surprises.push(`${what}: promised ${promised}, got ${result}`)
  }

  /** Prints the summary, and compares every event with the journal. */
  conclude(): void {
    this.#endChapter()
    const { paper, log, attempts } = this.#parts
    paper.heading('Summary', 'how many events the handlers wrote into their journal')
    paper.table(this.#rows)
    this.surprises.push(...wrongEffects(this.#effects, log.journal))
    if (attempts.left > 0) {
      this.surprises.push(`the worker made ${attempts.left} attempts that nobody was promised`)
    }
  }

  /** How many deliveries there were, and how many events the handlers wrote into the journal. */
  get totals(): { readonly deliveries: number; readonly handled: number } {
    const sum = (of: (row: Row) => number) => this.#rows.reduce((all, row) => all + of(row), 0)
    return { deliveries: sum((row) => row.deliveries), handled: sum((row) => row.effects) }
  }

  /** How many of these events are in the journal once. */
  countHandledOnce(eventIds: readonly string[]): number {
    const times = timesInJournal(this.#parts.log.journal)
    return eventIds.filter((eventId) => times.get(eventId) === 1).length
  }

  async #post({ name, request, url = this.#parts.url, note = '' }: Shipment): Promise<Line> {
    const at = new Date()
    const start = performance.now()
    const answer = await fetchAnswer(url, request)
    const took = (performance.now() - start).toFixed(1)
    return { at, name, answer, took, note }
  }

  async #note(shipments: readonly Shipment[], lines: readonly Line[]): Promise<void> {
    const broken = brokenPromises(
      lines.map(({ answer }) => answer),
      shipments.map(({ promised }) => promised),
    )
    // An answer that was not kept has its own surprise, and perhaps no attempt.
    const isAccepted = lines.some(({ answer }) => answer.outcome === 'accepted')
    const [first, ...others] = isAccepted ? await this.#attemptsAfter(shipments) : []
    lines.forEach((line, index) => {
      const promise = broken[index]
      const isIts = line.answer.outcome === 'accepted' && first !== undefined
      this.#parts.paper.line({ ...line, broken: promise, ...(isIts && { attempt: first }) })
      if (promise === undefined) return
      this.surprises.push(
        `${line.name}: promised ${answerText(promise)}, got ${answerText(line.answer)}`,
      )
    })
    for (const attempt of others) this.#parts.paper.attempt(attempt)
    for (const each of shipments) this.#promise(each)
  }

  /** The worker's attempts at an event that was delivered once or several times. */
  async #attemptsAfter(shipments: readonly Shipment[]): Promise<readonly MadeAttempt[]> {
    const promised = shipments.flatMap(({ attempts = [] }) => attempts)
    const [shipment] = shipments
    return shipment ? await this.#attemptsAt(shipment.name, shipment.request, promised) : []
  }

  async #attemptsAt(
    name: string,
    request: SignedRequest,
    promised: readonly Attempt[],
  ): Promise<readonly MadeAttempt[]> {
    const made = await this.#parts.attempts.take(eventIdOf(request), promised.length)
    await this.#parts.settled()
    for (let index = 0; index < Math.max(made.length, promised.length); index++) {
      if (isAsPromised(made[index], promised[index])) continue
      const words = [promised[index], made[index]].map((one) => (one ? attemptText(one) : 'none'))
      this.surprises.push(`${name}: promised the attempt ${words[0]}, got ${words[1]}`)
    }
    return made
  }

  #promise({ name, request, effects }: Shipment): void {
    const eventId = eventIdOf(request)
    const before = this.#effects.get(eventId)?.times ?? 0
    const times = Math.max(before, effects ?? 0)
    this.#effects.set(eventId, { name, times })
    if (this.#chapter === undefined) return
    this.#chapter.deliveries++
    this.#chapter.promisedEffects += times - before
  }

  #endChapter(): void {
    if (this.#chapter === undefined) return
    const { title, deliveries, promisedEffects, journalBefore } = this.#chapter
    const effects = this.#parts.log.journal.length - journalBefore
    this.#rows.push({ title, deliveries, promisedEffects, effects })
    this.#chapter = undefined
  }
}

/** The id in a body that was made here. */
export function eventIdOf({ body }: SignedRequest): string {
  return String(JSON.parse(body).id)
}
