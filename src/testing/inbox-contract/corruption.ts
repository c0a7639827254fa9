import assert from 'node:assert/strict'
import type { Inbox } from '../../inboxes/inbox.ts'
import { untilIn } from './attempt-results.ts'
import { all } from './entries.ts'
import {
  type Bench,
  dead,
  done,
  failureNow,
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
export function damageRules(rule: Rule, corrupt: Corrupt): void {
  rule('what cannot be read is given to process as it is, and can be parked', async (bench) => {
    bench.mayErr()
    const [before, damaged, after] = newDeliveries(3)
    assert.ok(before && damaged && after)
    await bench.put([before, damaged, after])
    await corrupt(bench.inbox, damaged.key)
    const failure = failureNow('it cannot be read')
    const crew = await bench.work(bench.inbox, ({ id }) =>
      id === damaged.key ? dead(failure) : done,
    )
    await bench.untilIdle()
    await bench.witness()
    assert.deepEqual([crew.numbersOf(before), crew.numbersOf(after)], [[1], [1]])
    assert.deepEqual(crew.numbersOf(damaged), [1])
    const { delivery, ...entry } = (await bench.inbox.entry(damaged.key)) ?? assert.fail()
    assert.deepEqual(entry, { id: damaged.key, state: 'dead', attempts: 1, failure })
    assert.notDeepEqual(delivery, damaged)
    assert.deepEqual(crew.runs.find(({ id }) => id === damaged.key)?.delivery, delivery)
  })

  rule('what cannot be read does not hide the others from a list, or from stats', async (bench) => {
    const deliveries = newDeliveries(5)
    await bench.put(deliveries)
    const damaged = deliveries[2]?.key ?? ''
    await corrupt(bench.inbox, damaged)
    const listed = await all(bench.inbox)
    assert.deepEqual(
      listed.map(({ id }) => id).toSorted(),
      deliveries.map(({ key }) => key).toSorted(),
    )
    for (const [index, delivery] of deliveries.entries()) {
      if (index !== 2) assert.deepEqual((await bench.inbox.entry(delivery.key))?.delivery, delivery)
    }
    assert.equal((await bench.inbox.stats()).waiting, 5)
    assert.equal((await all(bench.inbox, { type: 'call.completed' })).length >= 4, true)
    assert.equal(await bench.inbox.discard(damaged), true)
    assert.equal((await bench.inbox.stats()).waiting, 4)
  })

  rule('what cannot be read can be tried again, replayed and discarded', async (bench) => {
    bench.mayErr()
    const damaged = newDelivery()
    await bench.put(damaged)
    await corrupt(bench.inbox, damaged.key)
    const crew = await bench.work(bench.inbox, ({ number }) => (number < 3 ? retry(0) : dead()))
    await bench.untilIdle()
    assert.deepEqual(crew.numbersOf(damaged), [1, 2, 3])
    crew.change(() => retry(hour))
    assert.equal(await bench.inbox.replay(damaged.key), true)
    await untilIn('delayed', bench, damaged.key)
    assert.deepEqual(crew.numbersOf(damaged), [1, 2, 3, 1])
    assert.equal(await bench.inbox.discard(damaged.key), true)
    assert.equal(await bench.inbox.entry(damaged.key), undefined)
  })

  rule(
    'what is damaged while it is delayed or dead is still tried and replayed',
    async (bench: Bench) => {
      bench.mayErr()
      const [delayed, letter] = newDeliveries(2)
      assert.ok(delayed && letter)
      await bench.put([delayed, letter])
      const gate = newGate()
      const crew = await bench.work(bench.inbox, ({ id }) =>
        id === letter.key ? dead() : retry(50),
      )
      crew.wait(gate.opened)
      await bench.until('both run', () => crew.running.length === 2)
      const stopped = bench.inbox.stop({ drainMs: 60_000 })
      gate.open()
      await stopped
      for (const { key } of [delayed, letter]) await corrupt(bench.inbox, key)
      assert.equal(await bench.inbox.replay(letter.key), true)
      const next = await bench.work(bench.inbox)
      await bench.untilIdle()
      assert.deepEqual(
        [crew.runs.length, next.numbersOf(delayed), next.numbersOf(letter)],
        [2, [2], [1]],
      )
    },
  )
}
