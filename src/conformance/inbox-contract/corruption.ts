import assert from 'node:assert/strict'
import type { Inbox } from '../../inboxes/inbox.ts'
import { untilIn } from './attempt-results.ts'
import { all } from './entries.ts'
import {
  dead,
  done,
  failureNow,
  type Harness,
  hour,
  newDeliveries,
  newDelivery,
  newGate,
  type Rule,
  retry,
} from './harness.ts'

/** Damages the delivery that is stored under an id: the inbox's own data, as by a hand that slipped. */
export type Corrupt = (inbox: Inbox, id: string) => Promise<void>

/** What cannot be read. */
export function corruptionRules(rule: Rule, corrupt: Corrupt): void {
  rule('what cannot be read is given to process as it is, and can be parked', async (harness) => {
    harness.mayErr()
    const [before, damaged, after] = newDeliveries(3)
    assert.ok(before && damaged && after)
    await harness.put([before, damaged, after])
    await corrupt(harness.inbox, damaged.key)
    const failure = failureNow('it cannot be read')
    const worker = await harness.work(harness.inbox, ({ id }) =>
      id === damaged.key ? dead(failure) : done,
    )
    await harness.untilIdle()
    await harness.witness()
    assert.deepEqual([worker.numbersOf(before), worker.numbersOf(after)], [[1], [1]])
    assert.deepEqual(worker.numbersOf(damaged), [1])
    const { delivery, ...entry } = (await harness.inbox.entry(damaged.key)) ?? assert.fail()
    assert.deepEqual(entry, { id: damaged.key, state: 'dead', attempts: 1, failure })
    assert.notDeepEqual(delivery, damaged)
    assert.deepEqual(worker.runs.find(({ id }) => id === damaged.key)?.delivery, delivery)
  })

  rule(
    'what cannot be read does not hide the others from a list, or from stats',
    async (harness) => {
      const deliveries = newDeliveries(5)
      await harness.put(deliveries)
      const damaged = deliveries[2]?.key ?? ''
      await corrupt(harness.inbox, damaged)
      const listed = await all(harness.inbox)
      assert.deepEqual(
        listed.map(({ id }) => id).toSorted(),
        deliveries.map(({ key }) => key).toSorted(),
      )
      for (const [index, delivery] of deliveries.entries()) {
        if (index !== 2)
          assert.deepEqual((await harness.inbox.entry(delivery.key))?.delivery, delivery)
      }
      assert.equal((await harness.inbox.stats()).waiting, 5)
      assert.equal((await all(harness.inbox, { type: 'call.completed' })).length >= 4, true)
      assert.equal(await harness.inbox.discard(damaged), true)
      assert.equal((await harness.inbox.stats()).waiting, 4)
    },
  )

  rule('what cannot be read can be tried again, replayed and discarded', async (harness) => {
    harness.mayErr()
    const damaged = newDelivery()
    await harness.put(damaged)
    await corrupt(harness.inbox, damaged.key)
    const worker = await harness.work(harness.inbox, ({ number }) =>
      number < 3 ? retry(0) : dead(),
    )
    await harness.untilIdle()
    assert.deepEqual(worker.numbersOf(damaged), [1, 2, 3])
    worker.change(() => retry(hour))
    assert.equal(await harness.inbox.replay(damaged.key), true)
    await untilIn('delayed', harness, damaged.key)
    assert.deepEqual(worker.numbersOf(damaged), [1, 2, 3, 1])
    assert.equal(await harness.inbox.discard(damaged.key), true)
    assert.equal(await harness.inbox.entry(damaged.key), undefined)
  })

  rule(
    'what is damaged while it is delayed or dead is still tried and replayed',
    async (harness: Harness) => {
      harness.mayErr()
      const [delayed, letter] = newDeliveries(2)
      assert.ok(delayed && letter)
      await harness.put([delayed, letter])
      const gate = newGate()
      const worker = await harness.work(harness.inbox, ({ id }) =>
        id === letter.key ? dead() : retry(50),
      )
      worker.wait(gate.opened)
      await harness.until('both run', () => worker.running.length === 2)
      const stopped = harness.inbox.stop({ drainMs: 60_000 })
      gate.open()
      await stopped
      for (const { key } of [delayed, letter]) await corrupt(harness.inbox, key)
      assert.equal(await harness.inbox.replay(letter.key), true)
      const next = await harness.work(harness.inbox)
      await harness.untilIdle()
      assert.deepEqual(
        [worker.runs.length, next.numbersOf(delayed), next.numbersOf(letter)],
        [2, [2], [1]],
      )
    },
  )
}
