import { performance } from 'node:perf_hooks'
import { krosai } from 'ringhook'
import type { SignedRequest } from 'ringhook/testing'
import type { CallLog } from '../shared/call-log.ts'
import { type Answer, brokenPromises, timesInJournal, wrongEffects } from './check.ts'
import { answerText, type Line, type Paper, type Row } from './paper.ts'

/** How long to wait for an answer: longer than ringhook's own deadline, which is 10 s. */
const patienceMs = 12_000

/** One delivery to make, and what is promised about it. */
export interface Shipment {
  readonly name: string
  readonly request: SignedRequest
  /** Where it goes. Default: the endpoint that is shown. */
  readonly url?: string
  readonly promised: Answer
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

/** Makes deliveries to the endpoint, prints each, and keeps the books about what was promised. */
export class Stage {
  readonly paper: Paper
  readonly log: CallLog
  readonly surprises: string[] = []
  readonly #url: string
  readonly #effects = new Map<string, { readonly name: string; readonly times: number }>()
  readonly #rows: Row[] = []
  #chapter: Chapter | undefined

  constructor(options: { paper: Paper; log: CallLog; url: string }) {
    this.paper = options.paper
    this.log = options.log
    this.#url = options.url
  }

  chapter(title: string, explanation: string): void {
    this.#endChapter()
    const journalBefore = this.log.journal.length
    this.#chapter = { title, journalBefore, deliveries: 0, promisedEffects: 0 }
    this.paper.heading(title, explanation)
  }

  /** Makes deliveries one after the other. */
  async send(...shipments: readonly Shipment[]): Promise<void> {
    for (const shipment of shipments) await this.sendTogether([shipment])
  }

  /** Makes deliveries at the same moment. Which of them gets which of the promised answers is open. */
  async sendTogether(shipments: readonly Shipment[]): Promise<void> {
    const lines = await Promise.all(shipments.map((shipment) => this.#post(shipment)))
    this.#note(shipments, lines)
  }

  /** Delivers as KrosAI does: the same bytes again until they are taken, or its five attempts are over. */
  async sendUntilTaken(shipment: Shipment, promised: readonly Answer[]): Promise<void> {
    let minutes = 0
    for (const [index, delayMs] of krosai.delivery.retryDelaysMs.entries()) {
      minutes += delayMs / 60_000
      const attempt = {
        ...shipment,
        promised: promised[index] ?? { status: 0, outcome: 'no attempt' },
        note: `attempt ${index + 1}, +${minutes} min`,
      }
      const line = await this.#post(attempt)
      this.#note([attempt], [line])
      if (line.answer.status >= 200 && line.answer.status < 300) return
    }
  }

  /** Prints the summary, and compares every event with the journal. */
  conclude(): void {
    this.#endChapter()
    this.paper.heading('Summary', 'how many events the handlers wrote into their journal')
    this.paper.table(this.#rows)
    this.surprises.push(...wrongEffects(this.#effects, this.log.journal))
  }

  /** How many deliveries there were, and how many events the handlers wrote into the journal. */
  get totals(): { readonly deliveries: number; readonly handled: number } {
    const sum = (of: (row: Row) => number) => this.#rows.reduce((all, row) => all + of(row), 0)
    return { deliveries: sum((row) => row.deliveries), handled: sum((row) => row.effects) }
  }

  /** How many of these events are in the journal once. */
  countHandledOnce(eventIds: readonly string[]): number {
    const times = timesInJournal(this.log.journal)
    return eventIds.filter((eventId) => times.get(eventId) === 1).length
  }

  async #post({ name, request, url = this.#url, note = '' }: Shipment): Promise<Line> {
    const at = new Date()
    const start = performance.now()
    const answer = await fetchAnswer(url, request)
    const took = (performance.now() - start).toFixed(1)
    return { at, name, answer, took, note }
  }

  #note(shipments: readonly Shipment[], lines: readonly Line[]): void {
    const broken = brokenPromises(
      lines.map(({ answer }) => answer),
      shipments.map(({ promised }) => promised),
    )
    lines.forEach((line, index) => {
      const promise = broken[index]
      this.paper.line({ ...line, broken: promise })
      if (promise === undefined) return
      this.surprises.push(
        `${line.name}: promised ${answerText(promise)}, got ${answerText(line.answer)}`,
      )
    })
    for (const shipment of shipments) this.#promise(shipment)
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
    const effects = this.log.journal.length - journalBefore
    this.#rows.push({ title, deliveries, promisedEffects, effects })
    this.#chapter = undefined
  }
}

/** The id in a body that was made here. */
export function eventIdOf({ body }: SignedRequest): string {
  return String(JSON.parse(body).id)
}

async function fetchAnswer(url: string, request: SignedRequest): Promise<Answer> {
  try {
    const signal = AbortSignal.timeout(patienceMs)
    // Once more: a connection that was kept alive is gone when the endpoint has been restarted.
    const response = await post(url, request, signal).catch(() => post(url, request, signal))
    const text = await response.text()
    try {
      const { outcome, code } = JSON.parse(text)
      return { status: response.status, outcome: String(outcome), code }
    } catch {
      return { status: response.status, outcome: 'unreadable' }
    }
  } catch {
    return { status: 0, outcome: 'no answer' }
  }
}

function post(url: string, { method, headers, rawBody }: SignedRequest, signal: AbortSignal) {
  return fetch(url, { method, headers, body: rawBody, signal })
}
