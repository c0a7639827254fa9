import { setTimeout as pause } from 'node:timers/promises'
import type { Inbox } from '../../src/inboxes/inbox.ts'
import type { DrillStage } from '../drill.ts'
import { isSettled, runsOf, seen } from '../drill.ts'
import type { StampedLine } from '../journal.ts'
import type { Receipt, SentEvent } from '../sender.ts'
import { retry } from './settings.ts'

/** What the drills need. */
export interface InboxDrillStage extends DrillStage {
  readonly inbox: Inbox
  readonly takeoverMs: number
  /** Whether a planted fault has shown already. */
  isEnough(): Promise<boolean>
  /** Runs something while no process gets through to the database. */
  whileDown(act: () => Promise<void>): Promise<void>
}

/** What the drills have shown beside the journal. */
export interface Drilled {
  /** Whether somebody took over, and the first came back. */
  readonly isTakenOver: boolean
  readonly whileDown: readonly Receipt[]
}

const patienceMs = 180_000

/**
 * The situations that every run must have been in, each brought about on purpose: many copies at
 * once, a call whose first event takes its time, an event that always fails, owners that come back
 * after others took over, and a database that nobody gets through to.
 */
export async function drillInbox(stage: InboxDrillStage): Promise<Drilled> {
  await Promise.all([crowd(stage), queue(stage), exhaust(stage)])
  let isTakenOver = false
  if (await stage.isEnough()) return { isTakenOver, whileDown: [] }
  for (let attempt = 1; attempt <= 5 && !isTakenOver; attempt++) isTakenOver = await comeBack(stage)
  return { isTakenOver, whileDown: isTakenOver ? await goDown(stage) : [] }
}

/** Every process gets the same event, twice at once, while it runs. */
async function crowd(stage: InboxDrillStage): Promise<void> {
  const { workers, sender, journal } = stage
  const event = sender.create([{ act: 'hold' }])
  await Promise.all([...workers.doors, ...workers.doors].map((slot) => sender.deliver(event, slot)))
  await deliver(stage, event)
  await seen(journal, (lines) => runsOf(lines, event).length > 0, patienceMs)
  await Promise.all(workers.doors.map((slot) => sender.deliver(event, slot)))
  workers.open(event.id)
}

/** While the first event of a call runs the second waits, and another call goes on. */
async function queue(stage: InboxDrillStage): Promise<void> {
  const { workers, sender, journal } = stage
  const first = sender.create([{ act: 'hold' }], { call: 'the first call' })
  const second = sender.create([{ act: 'finish', ms: 0 }], { call: 'the first call' })
  const other = sender.create([{ act: 'finish', ms: 0 }], { call: 'another call' })
  for (const event of [first, second, other]) await deliver(stage, event)
  await seen(journal, (lines) => runsOf(lines, other).length > 0, patienceMs)
  workers.open(first.id)
  await seen(journal, (lines) => runsOf(lines, second).length > 0, patienceMs)
}

/** One event fails at every attempt, and another for good. */
async function exhaust(stage: InboxDrillStage): Promise<void> {
  const { sender, inbox } = stage
  const failing = sender.create([{ act: 'throw', ms: 0 }])
  const final = sender.create([{ act: 'permanent', ms: 0 }])
  await Promise.all([deliver(stage, failing), deliver(stage, final)])
  const key = await keyOf(stage, failing)
  const giveUpAt = performance.now() + patienceMs
  for (;;) {
    const entry = await inbox.entry(key)
    const isOver = entry === undefined || entry.state === 'dead'
    const runs = runsOf(await stage.journal.read(), failing).length
    if (isOver || runs > retry.maxAttempts || performance.now() > giveUpAt) return
    await pause(50)
  }
}

/** The key that an event was put under. */
async function keyOf({ journal }: DrillStage, { id }: SentEvent): Promise<string> {
  for (const line of await journal.read()) {
    if (line.kind === 'putting' && line.event === id) return line.key
  }
  throw new Error('An event was accepted that nobody put into the inbox.')
}

/**
 * Those who run two events are stopped, and others take both over. Then they go on: one of their
 * handlers returns, the other throws, while the others still run them. Gives `false` if nobody
 * could take over: one was stopped while it held a lock of the database.
 */
async function comeBack(stage: InboxDrillStage): Promise<boolean> {
  const { workers, sender, journal, takeoverMs } = stage
  const returning = sender.create([{ act: 'hold' }])
  const throwing = sender.create([{ act: 'hold' }])
  const events = [returning, throwing]
  const haveRun = (times: number) => (all: readonly StampedLine[]) =>
    events.every((event) => runsOf(all, event).length >= times)
  await Promise.all(events.map((event) => deliver(stage, event)))
  await seen(journal, haveRun(1), patienceMs)
  const lines = await journal.read()
  const slots = events.map((event) => slotOf(runsOf(lines, event)[0]?.worker))
  for (const slot of slots) await workers.stop(slot)
  workers.openIn(slots[0] ?? 0, returning.id)
  workers.openIn(slots[1] ?? 0, throwing.id, { fails: true })
  const isTakenOver = await seen(journal, haveRun(2), takeoverMs)
  for (const slot of slots) await workers.continue(slot)
  if (isTakenOver) {
    await seen(journal, (all) => events.every((event) => isSettled(all, event)), patienceMs)
  }
  for (const { id } of events) workers.open(id)
  return isTakenOver
}

/** Every process is sent an event that nobody can keep. Gives their answers. */
async function goDown(stage: InboxDrillStage): Promise<Receipt[]> {
  const { workers, sender } = stage
  const receipts: Receipt[] = []
  const event = sender.create([{ act: 'finish', ms: 0 }])
  await stage.whileDown(async () => {
    const answers = workers.doors.map((slot) => sender.deliver(event, slot, patienceMs))
    receipts.push(...(await Promise.all(answers)))
  })
  await deliver(stage, event)
  return receipts
}

/** Sends an event until it is accepted. */
async function deliver({ sender }: DrillStage, event: SentEvent): Promise<void> {
  const giveUpAt = performance.now() + patienceMs
  while (!event.isAcknowledged && performance.now() < giveUpAt) {
    await sender.deliver(event)
    await pause(20)
  }
}

/** The slot of a worker, which its name begins with. */
function slotOf(worker = ''): number {
  return Number(/^w(\d+)\./.exec(worker)?.[1] ?? 0)
}
