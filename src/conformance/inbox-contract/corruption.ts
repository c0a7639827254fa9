import assert from 'node:assert/strict'
import type { Inbox } from '../../inboxes/inbox.ts'
import { newGate } from '../gate.ts'
import { untilState } from './attempt-results.ts'
import { allEntries } from './entries.ts'
import {
  completed,
  dead,
  failureNow,
  type Harness,
  hour,
  newDeliveries,
  newDelivery,
  type Rule,
  retry,
} from './harness.ts'

/** Corrupts the delivery stored under an id, in the inbox's own data. */
export type Corrupt = (inbox: Inbox, id: string) => Promise<void>

/** Stored deliveries that cannot be read. */
export function corruptionRules(rule: Rule, corrupt: Corrupt): void {
  rule(
    'hands an unreadable delivery to process() as it is stored, and can dead-letter it',
    async (harness) => {
      harness.allowErrors()
      const [before, damaged, after] = newDeliveries(3)
      assert.ok(before && damaged && after)
      await harness.put([before, damaged, after])
      await corrupt(harness.inbox, damaged.key)
      const failure = failureNow('it cannot be read')
      const worker = await harness.startWorker(harness.inbox, ({ id }) =>
        id === damaged.key ? dead(failure) : completed,
      )
      await harness.untilIdle()
      await harness.runSentinels()
      assert.deepEqual([worker.numbersOf(before), worker.numbersOf(after)], [[1], [1]])
      assert.deepEqual(worker.numbersOf(damaged), [1])
      const { delivery, ...entry } = (await harness.inbox.entry(damaged.key)) ?? assert.fail()
      assert.deepEqual(entry, { id: damaged.key, state: 'dead', attempts: 1, failure })
      assert.notDeepEqual(delivery, damaged)
      assert.deepEqual(worker.runs.find(({ id }) => id === damaged.key)?.delivery, delivery)
    },
  )

  rule('an unreadable delivery hides no other from lists or stats', async (harness) => {
    const deliveries = newDeliveries(5)
    await harness.put(deliveries)
    const damaged = deliveries[2]?.key ?? ''
    await corrupt(harness.inbox, damaged)
    const listed = await allEntries(harness.inbox)
    assert.deepEqual(
      listed.map(({ id }) => id).toSorted(),
      deliveries.map(({ key }) => key).toSorted(),
    )
    for (const [index, delivery] of deliveries.entries()) {
      if (index !== 2)
        assert.deepEqual((await harness.inbox.entry(delivery.key))?.delivery, delivery)
    }
    assert.equal((await harness.inbox.stats()).waiting, 5)
    assert.equal((await allEntries(harness.inbox, { type: 'call.completed' })).length >= 4, true)
    assert.equal(await harness.inbox.discard(damaged), true)
    assert.equal((await harness.inbox.stats()).waiting, 4)
  })

  rule('an unreadable delivery can be retried, replayed and discarded', async (harness) => {
    harness.allowErrors()
    const damaged = newDelivery()
    await harness.put(damaged)
    await corrupt(harness.inbox, damaged.key)
    const worker = await harness.startWorker(harness.inbox, ({ number }) =>
      number < 3 ? retry(0) : dead(),
    )
    await harness.untilIdle()
    assert.deepEqual(worker.numbersOf(damaged), [1, 2, 3])
    worker.change(() => retry(hour))
    assert.equal(await harness.inbox.replay(damaged.key), true)
    await untilState('delayed', harness, damaged.key)
    assert.deepEqual(worker.numbersOf(damaged), [1, 2, 3, 1])
    assert.equal(await harness.inbox.discard(damaged.key), true)
    assert.equal(await harness.inbox.entry(damaged.key), undefined)
  })

  rule(
    'a delivery corrupted while delayed or dead can still be retried and replayed',
    async (harness: Harness) => {
      harness.allowErrors()
      const [delayed, deadLetter] = newDeliveries(2)
      assert.ok(delayed && deadLetter)
      await harness.put([delayed, deadLetter])
      const gate = newGate()
      const worker = await harness.startWorker(harness.inbox, ({ id }) =>
        id === deadLetter.key ? dead() : retry(50),
      )
      worker.wait(gate.opened)
      await harness.until('both run', () => worker.running.length === 2)
      const stopped = harness.inbox.stop({ drainMs: 60_000 })
      gate.open()
      await stopped
      for (const { key } of [delayed, deadLetter]) await corrupt(harness.inbox, key)
      assert.equal(await harness.inbox.replay(deadLetter.key), true)
      const next = await harness.startWorker(harness.inbox)
      await harness.untilIdle()
      assert.deepEqual(
        [worker.runs.length, next.numbersOf(delayed), next.numbersOf(deadLetter)],
        [2, [2], [1]],
      )
    },
  )
}
