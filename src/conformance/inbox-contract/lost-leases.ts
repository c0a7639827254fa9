import assert from 'node:assert/strict'
import type { AttemptResult, Inbox, StoredDelivery } from '../../inboxes/inbox.ts'
import {
  dead,
  done,
  failureNow,
  type Gate,
  type Harness,
  hour,
  later,
  newDelivery,
  newGate,
  type Rule,
  retry,
} from './harness.ts'
import type { TestWorker } from './test-worker.ts'

/** Makes the inbox believe that the worker which runs a delivery is dead. */
export type LoseLease = (inbox: Inbox, id: string) => Promise<void>

/** Workers that lose what they run, and decide about it all the same. */
export function lostLeaseRules(rule: Rule, loseLease: LoseLease): void {
  rule('what a worker has lost goes to another, and the attempt counts', async (harness) => {
    const { delivery, first, second, other, end } = await takenOver(harness, loseLease)
    assert.deepEqual(first.numbersOf(delivery), [1])
    assert.deepEqual(second.runs[0]?.delivery, delivery)
    const expected = { id: delivery.key, state: 'running', attempts: 2, delivery }
    assert.deepEqual(await other.entry(delivery.key), expected)
    end.open()
    await harness.untilIdle(other)
    assert.deepEqual(second.numbersOf(delivery), [2])
  })

  for (const [name, verdict] of [
    ['is done', done],
    ['is to be tried again', retry(0, failureNow('of the worker that lost it'))],
    ['is dead', dead(failureNow('of the worker that lost it'))],
    ['comes later', later(0)],
  ] as const) {
    rule(
      `a worker that says of what it has lost that it ${name} changes nothing`,
      async (harness) => {
        const { delivery, second, other, halted, end } = await takenOver(
          harness,
          loseLease,
          verdict,
        )
        halted.open()
        // It has carried out its verdicts when it has stopped.
        await harness.inbox.stop({ drainMs: 60_000 })
        await harness.witness()
        const running = { id: delivery.key, state: 'running', attempts: 2, delivery }
        assert.deepEqual(await other.entry(delivery.key), running)
        const failure = failureNow('of the worker that has it')
        second.change(() => dead(failure))
        end.open()
        await harness.untilIdle(other)
        const expected = { id: delivery.key, state: 'dead', attempts: 2, failure, delivery }
        assert.deepEqual(await other.entry(delivery.key), expected)
        assert.deepEqual(second.numbersOf(delivery), [2])
      },
    )
  }

  rule('a worker that is stopped gives back nothing that it has lost', async (harness) => {
    const { delivery, second, other, end } = await takenOver(harness, loseLease)
    await harness.inbox.stop({ drainMs: 0 })
    await harness.witness()
    const running = { id: delivery.key, state: 'running', attempts: 2, delivery }
    assert.deepEqual(await other.entry(delivery.key), running)
    end.open()
    await harness.untilIdle(other)
    assert.deepEqual(second.numbersOf(delivery), [2])
  })

  rule(
    'a verdict about what was lost changes nothing after the next one either',
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
      await harness.witness()
      assert.deepEqual(await other.entry(delivery.key), before)
    },
  )

  rule('a delivery whose workers all die comes to its next attempt each time', async (harness) => {
    harness.mayErr()
    const delivery = newDelivery()
    await harness.put(delivery)
    for (let number = 1; number <= 3; number++) {
      const inbox = await harness.another()
      // It never says a word, like a process that was killed.
      const worker = await harness.work(inbox, () => new Promise<AttemptResult>(() => {}), 1)
      await harness.until('it runs', () => worker.running.length === 1)
      assert.deepEqual(worker.numbersOf(delivery), [number])
      await loseLease(inbox, delivery.key)
    }
    const worker = await harness.work(harness.inbox, () => dead())
    await harness.untilIdle()
    assert.deepEqual(worker.numbersOf(delivery), [4])
    assert.equal((await harness.inbox.entry(delivery.key))?.attempts, 4)
  })
}

export interface TakenOver {
  readonly delivery: StoredDelivery
  /** The worker of `harness.inbox`, which has lost the delivery and runs it until `halted` opens. */
  readonly first: TestWorker
  readonly halted: Gate
  /** The worker of `other`, which has it and runs it until `end` opens. */
  readonly second: TestWorker
  readonly other: Inbox
  readonly end: Gate
}

/** A delivery that a worker lost to another, both of which run it. */
export async function takenOver(
  harness: Harness,
  loseLease: LoseLease,
  verdict: AttemptResult = done,
): Promise<TakenOver> {
  harness.mayErr()
  const halted = newGate()
  const end = newGate()
  const delivery = newDelivery()
  await harness.put(delivery)
  const decide = async () => {
    await halted.opened
    return verdict
  }
  const first = await harness.work(harness.inbox, decide, 1)
  await harness.until('it runs', () => first.running.length === 1)
  const other = await harness.another()
  const second = await harness.work(other)
  second.wait(end.opened)
  await loseLease(harness.inbox, delivery.key)
  await harness.until('another worker runs it', () => second.running.length === 1)
  return { delivery, first, halted, second, other, end }
}
