import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { PutOptions, StoredDelivery } from '../../inboxes/inbox.ts'
import { pause } from '../../testing/pause.ts'
import { newGate } from '../gate.ts'
import { untilState } from './attempt-results.ts'
import {
  completed,
  dead,
  hour,
  idsOf,
  newDeliveries,
  postponed,
  type Rule,
  retry,
} from './harness.ts'
import type { RecordingWorker, Run } from './recording-worker.ts'

type Order = NonNullable<PutOptions['order']>

/** Returns a unique ordering key, by default with a hold that outlasts every rule. */
function newOrder(maxHoldMs = 24 * hour): Order {
  return { key: randomBytes(32).toString('hex'), maxHoldMs }
}

/** Deliveries with an ordering key, which run one after another. */
export function orderingRules(rule: Rule): void {
  rule('runs deliveries with one ordering key in order, even if they fail', async (harness) => {
    const deliveries = newDeliveries(8)
    await harness.put(deliveries, newOrder())
    const worker = await harness.startWorker(harness.inbox, async ({ number }) => {
      await pause(2)
      return number < 3 ? retry(number * 10) : completed
    })
    await harness.untilIdle()
    const expected = deliveries.flatMap(({ key }) => [1, 2, 3].map((number) => [key, number]))
    assert.deepEqual(
      worker.runs.map(({ id, number }) => [id, number]),
      expected,
    )
    assert.equal(worker.most, 1)
  })

  rule(
    'runs one delivery per ordering key at a time, in order, across workers',
    async (harness) => {
      const other = await harness.reopen()
      const groups = Array.from({ length: 5 }, () => ({
        order: newOrder(),
        deliveries: newDeliveries(10),
      }))
      for (let index = 0; index < 10; index++) {
        for (const { order, deliveries } of groups) {
          await harness.put(
            deliveries.slice(index, index + 1),
            order,
            index % 2 === 0 ? other : harness.inbox,
          )
        }
      }
      const decide = async ({ number, id }: Run) => {
        await pause(3)
        return number === 1 && id < '8' ? retry(5) : completed
      }
      const workers = [
        await harness.startWorker(harness.inbox, decide),
        await harness.startWorker(other, decide),
      ]
      await harness.untilIdle()
      for (const { deliveries } of groups) assertInTurn(deliveries, workers)
    },
  )

  rule('a delivery put while earlier ones run waits its turn', async (harness) => {
    const order = newOrder()
    const gate = newGate()
    const deliveries = newDeliveries(6)
    await harness.put(deliveries.slice(0, 2), order)
    const worker = await harness.startWorker(harness.inbox, async () => {
      await gate.opened
      return completed
    })
    await harness.until('the first runs', () => worker.running.length === 1)
    await harness.put(deliveries.slice(2), order, await harness.reopen())
    await harness.runSentinels()
    assert.equal(worker.runs.length, 1)
    gate.open()
    await harness.untilIdle()
    assert.deepEqual(worker.ids, idsOf(deliveries))
  })

  rule(
    'a delivery waiting for its retry holds back its own ordering key and no other',
    async (harness) => {
      const [failing, behind, elsewhere, free] = newDeliveries(4)
      assert.ok(failing && behind && elsewhere && free)
      const order = newOrder()
      await harness.put([failing, behind], order)
      await harness.put(elsewhere, newOrder())
      await harness.put(free)
      const worker = await harness.startWorker(harness.inbox, ({ id }) =>
        id === failing.key ? retry(hour) : completed,
      )
      await harness.until('the others have run', () => worker.runs.length === 3)
      await harness.runSentinels()
      assert.deepEqual(worker.ids.toSorted(), idsOf([failing, elsewhere, free]).toSorted())
      assert.equal((await harness.inbox.entry(behind.key))?.state, 'waiting')
    },
  )

  rule('a long queue behind one ordering key holds back no other delivery', async (harness) => {
    const order = newOrder()
    const gate = newGate()
    const deliveries = newDeliveries(50)
    const [first] = deliveries
    await harness.put(deliveries, order)
    const worker = await harness.startWorker(
      harness.inbox,
      async ({ id }) => {
        if (id === first?.key) await gate.opened
        return completed
      },
      2,
    )
    await harness.runSentinels()
    assert.deepEqual(worker.ids, [first?.key])
    gate.open()
    await harness.untilIdle()
    assert.deepEqual(worker.ids, idsOf(deliveries))
  })

  rule(
    'a failing delivery holds back those behind it no longer than maxHoldMs',
    async (harness) => {
      const [failing, behind] = newDeliveries(2)
      assert.ok(failing && behind)
      await harness.put([failing, behind], newOrder(400))
      const worker = await harness.startWorker(harness.inbox, ({ id }) =>
        id === failing.key ? retry(hour) : completed,
      )
      await harness.until('the hold is over', () => worker.runs.length === 2)
      assert.deepEqual(worker.ids, idsOf([failing, behind]))
      await untilState('delayed', harness, failing.key)
    },
  )

  rule(
    'a hold starts at the first failure, and later failures do not extend it',
    async (harness) => {
      const [failing, behind] = newDeliveries(2)
      assert.ok(failing && behind)
      await harness.put([failing, behind], newOrder(400))
      const worker = await harness.startWorker(harness.inbox, ({ id }) =>
        id === failing.key ? retry(60) : completed,
      )
      await harness.until('the hold is over', () => worker.ids.includes(behind.key))
      assert.equal(worker.ids[0], failing.key)
    },
  )

  rule('dead and discarded deliveries hold back nothing', async (harness) => {
    const [deadLetter, unwanted, last] = newDeliveries(3)
    assert.ok(deadLetter && unwanted && last)
    await harness.put([deadLetter, unwanted, last], newOrder())
    const worker = await harness.startWorker(harness.inbox, ({ id }) => {
      if (id === last.key) return completed
      return id === deadLetter.key ? dead() : retry(hour)
    })
    await untilState('delayed', harness, unwanted.key)
    await harness.runSentinels()
    assert.deepEqual(worker.ids, idsOf([deadLetter, unwanted]))
    assert.equal(await harness.inbox.discard(unwanted.key), true)
    await harness.untilIdle()
    assert.deepEqual(worker.ids, idsOf([deadLetter, unwanted, last]))
  })

  rule('a postponed delivery keeps its place in the order', async (harness) => {
    const deliveries = newDeliveries(3)
    const [first] = deliveries
    await harness.put(deliveries, newOrder())
    let isAway = true
    const worker = await harness.startWorker(harness.inbox, ({ id }) => {
      if (id !== first?.key || !isAway) return completed
      isAway = false
      return postponed(200)
    })
    await harness.untilIdle()
    assert.deepEqual(worker.ids, [first?.key, ...idsOf(deliveries)])
  })

  rule('a delivery returned by a stopped worker keeps its place in the order', async (harness) => {
    const deliveries = newDeliveries(3)
    await harness.put(deliveries, newOrder())
    const worker = await harness.startWorker(harness.inbox)
    worker.wait(newGate().opened)
    await harness.until('the first runs', () => worker.running.length === 1)
    await harness.inbox.stop({ drainMs: 0 })
    const other = await harness.reopen()
    const next = await harness.startWorker(other)
    await harness.untilIdle(other)
    assert.deepEqual(next.ids, idsOf(deliveries))
  })

  rule('a replayed dead letter takes its place in the order again', async (harness) => {
    const [deadLetter, behind, last] = newDeliveries(3)
    assert.ok(deadLetter && behind && last)
    const order = newOrder()
    await harness.put(deadLetter, order)
    await harness.startWorker(harness.inbox, () => dead())
    await harness.untilIdle()
    await harness.inbox.stop()
    await harness.put([behind, last], order)
    assert.equal(await harness.inbox.replay(deadLetter.key), true)
    const next = await harness.startWorker(harness.inbox, async () => {
      await pause(5)
      return completed
    })
    await harness.untilIdle()
    assert.deepEqual(next.ids, idsOf([deadLetter, behind, last]))
    assert.equal(next.most, 1)
  })
}

/** Fails if runs with one key overlap or are out of order. */
function assertInTurn(
  deliveries: readonly StoredDelivery[],
  workers: readonly RecordingWorker[],
): void {
  const ids = idsOf(deliveries)
  const runs = workers
    .flatMap((worker) => worker.runs)
    .filter(({ id }) => ids.includes(id))
    .toSorted((one, other) => one.startedAt - other.startedAt)
  assert.deepEqual([...new Set(runs.map(({ id }) => id))], ids)
  for (const [index, run] of runs.entries()) {
    const next = runs[index + 1]
    if (next === undefined) continue
    assert.ok(Number(run.endedAt) <= next.startedAt, 'two deliveries of one key ran simultaneously')
    assert.ok(ids.indexOf(run.id) <= ids.indexOf(next.id), 'a delivery overtook another of its key')
  }
}
