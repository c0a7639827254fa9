import { setTimeout as pause } from 'node:timers/promises'
import type { Crew } from './crew.ts'
import type { Journal, StampedLine } from './journal.ts'
import type { Sender, SentEvent } from './sender.ts'

/** What the drills need. */
export interface DrillStage {
  readonly crew: Crew
  readonly sender: Sender
  readonly journal: Journal
}

/**
 * The situations that every run must have been in, each brought about on purpose, so that no run
 * depends on chance for them: many deliveries of one event at once, and owners that come back after
 * others took over, one with a result and one with a failure.
 */
export async function drill(stage: DrillStage): Promise<void> {
  await crowd(stage)
  for (let attempt = 1; !(await comeBack(stage)); attempt++) {
    if (attempt === 5) throw new Error('The drill did not bring about a takeover in five attempts.')
  }
  // Workers that come later know nothing of gates that were opened: all is to be finished by then.
  for (const event of stage.sender.events) {
    for (let attempt = 1; attempt < 20 && !event.isAcknowledged; attempt++) {
      await stage.sender.deliver(event)
    }
  }
}

/** Every worker gets the same event at once. Nobody's handler ends before all others are answered. */
async function crowd({ crew, sender, journal }: DrillStage): Promise<void> {
  const event = sender.create([{ act: 'hold' }])
  const slots = Array.from({ length: crew.slots }, (_, slot) => slot)
  const deliveries = [...slots, ...slots].map((slot) => sender.deliver(event, slot))
  await Promise.race([
    Promise.all(deliveries),
    // With a planted fault: the proof is complete.
    seen(journal, (lines) => runsOf(lines, event).length > 1),
  ])
  crew.open(event.id)
  await Promise.all(deliveries)
}

/**
 * The first worker is stopped while it runs two events, and a second takes both over. Then the first
 * goes on: one of its handlers returns, the other throws. While the second still runs them a third
 * asks for both. Gives `false` if nobody could take over: the first was stopped while it held a lock
 * of the database.
 */
async function comeBack({ crew, sender, journal }: DrillStage): Promise<boolean> {
  const returning = sender.create([{ act: 'hold' }])
  const throwing = sender.create([{ act: 'hold-throw' }, { act: 'hold' }])
  const events = [returning, throwing]
  const isRunning = (fence: number) => (lines: readonly StampedLine[]) =>
    events.every((event) => runsOf(lines, event).some((run) => run.fence >= fence))

  const first = events.map((event) => sender.deliver(event, 0))
  await seen(journal, isRunning(1))
  await crew.stop(0)
  for (const event of events) crew.open(event.id, [0])
  const second = events.map((event) => deliverUntilRunning(sender, journal, event))
  const isTakenOver = await within(20_000, seen(journal, isRunning(2)))
  await crew.continue(0)
  if (isTakenOver) {
    await seen(journal, (lines) => events.every((event) => isSettled(lines, event)))
    await Promise.all(events.map((event) => sender.deliver(event, 2)))
  }
  for (const event of events) crew.open(event.id)
  await Promise.all([...first, ...second])
  return isTakenOver
}

/** Until the second worker runs it, or somebody else has finished it. */
async function deliverUntilRunning(
  sender: Sender,
  journal: Journal,
  event: SentEvent,
): Promise<void> {
  while (runsOf(await journal.read(), event).length < 2) {
    const { status } = await sender.deliver(event, 1)
    if (status === 200) return
    await pause(50)
  }
}

type RunLine = Extract<StampedLine, { kind: 'started' }>

function runsOf(lines: readonly StampedLine[], { id }: SentEvent): RunLine[] {
  return lines.filter((line): line is RunLine => line.kind === 'started' && line.event === id)
}

/** Whether the store has answered the first owner's complete or release. */
function isSettled(lines: readonly StampedLine[], event: SentEvent): boolean {
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

/** Resolves once the journal has what is waited for. */
async function seen(
  journal: Journal,
  isThere: (lines: readonly StampedLine[]) => boolean,
): Promise<void> {
  const giveUpAt = performance.now() + 60_000
  while (!isThere(await journal.read())) {
    if (performance.now() > giveUpAt) throw new Error('The drill waited for a minute in vain.')
    await pause(20)
  }
}

async function within(ms: number, promise: Promise<void>): Promise<boolean> {
  return await Promise.race([promise.then(() => true), pause(ms, false, { ref: false })])
}
