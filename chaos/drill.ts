import { setTimeout as pause } from 'node:timers/promises'
import type { Journal, StampedLine } from './journal.ts'
import type { Sender, SentEvent } from './sender.ts'
import type { WorkerPool } from './worker-pool.ts'

/** What the drills need. */
export interface DrillStage {
  readonly workers: WorkerPool
  readonly sender: Sender
  readonly journal: Journal
}

/**
 * The situations that every run must have been in, each brought about on purpose, so that no run
 * depends on chance for them: many deliveries of one event at once, and owners that come back after
 * others took over, one with a result and one with a failure. Gives `false` if they did not come
 * about.
 */
export async function drill(stage: DrillStage): Promise<boolean> {
  await crowd(stage)
  for (let attempt = 1; attempt <= 5; attempt++) if (await comeBack(stage)) return true
  return false
}

/** Every worker gets the same event at once. No handler ends before all deliveries are answered. */
async function crowd({ workers, sender, journal }: DrillStage): Promise<void> {
  const event = sender.create([{ act: 'hold' }])
  const slots = Array.from({ length: workers.slots }, (_, slot) => slot)
  // On a machine under load the claims may come too late to be used, all of them.
  while (runsOf(await journal.read(), event).length === 0) {
    await Promise.all([...slots, ...slots].map((slot) => sender.deliver(event, slot)))
  }
  workers.open(event.id)
}

/**
 * The first worker is stopped while it runs two events, and a second takes both over. Then the first
 * goes on: one of its handlers returns, the other throws. While the second still runs them a third
 * asks for both. Gives `false` if nobody could take over: the first was stopped while it held a lock
 * of the database.
 */
async function comeBack(stage: DrillStage): Promise<boolean> {
  const { workers, sender, journal } = stage
  const returning = sender.create([{ act: 'hold' }])
  const throwing = sender.create([{ act: 'hold' }])
  const events = [returning, throwing]

  const first = events.map((event) => new Persistence(stage, event, 0))
  await Promise.all(first.map((deliveries) => deliveries.untilRuns(1, 180_000)))
  await workers.stop(0)
  workers.openIn(0, returning.id)
  workers.openIn(0, throwing.id, { fails: true })
  const second = events.map((event) => new Persistence(stage, event, 1))
  const found = await Promise.all(second.map((deliveries) => deliveries.untilRuns(2, 20_000)))
  await workers.continue(0)
  const isTakenOver = !found.includes(false)
  if (isTakenOver) {
    await seen(journal, (lines) => events.every((event) => isSettled(lines, event)), 180_000)
    await Promise.all(events.map((event) => sender.deliver(event, 2)))
  }
  for (const { id } of events) workers.open(id)
  await Promise.all([...first, ...second].map(({ over }) => over))
  return isTakenOver
}

/** Sends an event to one worker again and again, until it runs. */
class Persistence {
  /** Resolves when the last delivery has been answered. */
  readonly over: Promise<void>
  readonly #stage: DrillStage
  readonly #event: SentEvent
  #isEnough = false

  constructor(stage: DrillStage, event: SentEvent, slot: number) {
    this.#stage = stage
    this.#event = event
    this.over = this.#deliver(slot)
  }

  /** Resolves when the event has been run so many times, with `false` if that takes too long. */
  async untilRuns(times: number, patienceMs: number): Promise<boolean> {
    const { journal } = this.#stage
    const isThere = (lines: readonly StampedLine[]) => runsOf(lines, this.#event).length >= times
    const found = await seen(journal, isThere, patienceMs)
    this.#isEnough = true
    return found
  }

  async #deliver(slot: number): Promise<void> {
    while (!this.#isEnough) {
      await this.#stage.sender.deliver(this.#event, slot)
      await pause(50)
    }
  }
}

type RunLine = Extract<StampedLine, { kind: 'started' }>

export function runsOf(lines: readonly StampedLine[], { id }: SentEvent): RunLine[] {
  return lines.filter((line): line is RunLine => line.kind === 'started' && line.event === id)
}

/** Whether the store has answered the first owner's complete or release. */
export function isSettled(lines: readonly StampedLine[], event: SentEvent): boolean {
  const [first] = runsOf(lines, event)
  const calls = new Set<string>()
  for (const line of lines) {
    if (line.kind === 'asked' && line.key === first?.key && line.fence === first.fence) {
      if (line.op === 'complete' || line.op === 'release') calls.add(line.call)
    }
    if (line.kind === 'answered' && calls.has(line.call)) return true
  }
  return false
}

/** Resolves once the journal has what is waited for, with `false` if that takes too long. */
export async function seen(
  journal: Journal,
  isThere: (lines: readonly StampedLine[]) => boolean,
  patienceMs: number,
): Promise<boolean> {
  const giveUpAt = performance.now() + patienceMs
  while (!isThere(await journal.read())) {
    if (performance.now() > giveUpAt) return false
    await pause(20)
  }
  return true
}
