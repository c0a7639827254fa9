import assert from 'node:assert/strict'
import type { AttemptResult, Inbox, StoredDelivery } from '../../inboxes/inbox.ts'
import { type Gate, newGate } from '../gate.ts'
import {
  completed,
  dead,
  failureNow,
  type Harness,
  hour,
  newDelivery,
  postponed,
  type Rule,
  retry,
} from './harness.ts'
import type { RecordingWorker } from './recording-worker.ts'

/** Makes the inbox believe that the worker running a delivery is dead. */
export type LoseLease = (inbox: Inbox, id: string) => Promise<void>

/** Workers that lose their lease and still report a result. */
export function lostLeaseRules(rule: Rule, loseLease: LoseLease): void {
  rule(
    'a delivery whose lease is lost goes to another worker, and the attempt counts',
    async (harness) => {
      const { delivery, first, second, other, end } = await takenOver(harness, loseLease)
      assert.deepEqual(first.numbersOf(delivery), [1])
      assert.deepEqual(second.runs[0]?.delivery, delivery)
      const expected = { id: delivery.key, state: 'running', attempts: 2, delivery }
      assert.deepEqual(await other.entry(delivery.key), expected)
      end.open()
      await harness.untilIdle(other)
      assert.deepEqual(second.numbersOf(delivery), [2])
    },
  )

  for (const [name, result] of [
    ['completed', completed],
    ['retry', retry(0, failureNow('from the worker that lost it'))],
    ['dead', dead(failureNow('from the worker that lost it'))],
    ['postponed', postponed(0)],
  ] as const) {
    rule(`ignores "${name}" from a worker that lost its lease`, async (harness) => {
      const { delivery, second, other, halted, end } = await takenOver(harness, loseLease, result)
      halted.open()
      // Once it has stopped, it has reported its result.
      await harness.inbox.stop({ drainMs: 60_000 })
      await harness.runSentinels()
      const running = { id: delivery.key, state: 'running', attempts: 2, delivery }
      assert.deepEqual(await other.entry(delivery.key), running)
      const failure = failureNow('from the worker that has it')
      second.change(() => dead(failure))
      end.open()
      await harness.untilIdle(other)
      const expected = { id: delivery.key, state: 'dead', attempts: 2, failure, delivery }
      assert.deepEqual(await other.entry(delivery.key), expected)
      assert.deepEqual(second.numbersOf(delivery), [2])
    })
  }

  rule('a stopping worker does not return a delivery whose lease it lost', async (harness) => {
    const { delivery, second, other, end } = await takenOver(harness, loseLease)
    await harness.inbox.stop({ drainMs: 0 })
    await harness.runSentinels()
    const running = { id: delivery.key, state: 'running', attempts: 2, delivery }
    assert.deepEqual(await other.entry(delivery.key), running)
    end.open()
    await harness.untilIdle(other)
    assert.deepEqual(second.numbersOf(delivery), [2])
  })

  rule(
    'ignores the result of a lost lease even after the next worker reported its own',
    async (harness) => {
      const { delivery, second, other, halted, end } = await takenOver(harness, loseLease)
      second.change(() => retry(hour))
      end.open()
      await harness.until('it is delayed', async () => {
        return (await other.entry(delivery.key))?.state === 'delayed'
      })
      const before = await other.entry(delivery.key)
      halted.open()
      await harness.inbox.stop({ drainMs: 60_000 })
      await harness.runSentinels()
      assert.deepEqual(await other.entry(delivery.key), before)
    },
  )

  rule('a delivery reaches its next attempt each time its worker dies', async (harness) => {
    harness.allowErrors()
    const delivery = newDelivery()
    await harness.put(delivery)
    for (let number = 1; number <= 3; number++) {
      const inbox = await harness.reopen()
      // It never reports a result, like a killed process.
      const worker = await harness.startWorker(inbox, () => new Promise<AttemptResult>(() => {}), 1)
      await harness.until('it runs', () => worker.running.length === 1)
      assert.deepEqual(worker.numbersOf(delivery), [number])
      await loseLease(inbox, delivery.key)
    }
    const worker = await harness.startWorker(harness.inbox, () => dead())
    await harness.untilIdle()
    assert.deepEqual(worker.numbersOf(delivery), [4])
    assert.equal((await harness.inbox.entry(delivery.key))?.attempts, 4)
  })
}

export interface TakenOver {
  readonly delivery: StoredDelivery
  /** The worker of `harness.inbox`, which has lost the delivery and runs it until `halted` opens. */
  readonly first: RecordingWorker
  readonly halted: Gate
  /** The worker of `other`, which has it and runs it until `end` opens. */
  readonly second: RecordingWorker
  readonly other: Inbox
  readonly end: Gate
}

/** A delivery that a worker lost to another, both of which run it. */
export async function takenOver(
  harness: Harness,
  loseLease: LoseLease,
  result: AttemptResult = completed,
): Promise<TakenOver> {
  harness.allowErrors()
  const halted = newGate()
  const end = newGate()
  const delivery = newDelivery()
  await harness.put(delivery)
  const decide = async () => {
    await halted.opened
    return result
  }
  const first = await harness.startWorker(harness.inbox, decide, 1)
  await harness.until('it runs', () => first.running.length === 1)
  const other = await harness.reopen()
  const second = await harness.startWorker(other)
  second.wait(end.opened)
  await loseLease(harness.inbox, delivery.key)
  await harness.until('another worker runs it', () => second.running.length === 1)
  return { delivery, first, halted, second, other, end }
}
