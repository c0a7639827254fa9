import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { PutOptions, StoredDelivery } from '../../inboxes/inbox.ts'
import { untilIn } from './attempt-results.ts'
import {
  dead,
  done,
  hour,
  idsOf,
  later,
  newDeliveries,
  newGate,
  pause,
  type Rule,
  retry,
} from './harness.ts'
import type { Run, TestWorker } from './test-worker.ts'

type Order = NonNullable<PutOptions['order']>

/** An ordering key of its own. It is held for longer than any rule has a delivery wait. */
function newOrder(maxHoldMs = 24 * hour): Order {
  return { key: randomBytes(32).toString('hex'), maxHoldMs }
}

/** Deliveries that run one after another. */
export function orderRules(rule: Rule): void {
  rule(
    'deliveries of one key run in the order in which they were put, also when they fail',
    async (harness) => {
      const deliveries = newDeliveries(8)
      await harness.put(deliveries, newOrder())
      const worker = await harness.work(harness.inbox, async ({ number }) => {
        await pause(2)
        return number < 3 ? retry(number * 10) : done
      })
      await harness.untilIdle()
      const expected = deliveries.flatMap(({ key }) => [1, 2, 3].map((number) => [key, number]))
      assert.deepEqual(
        worker.runs.map(({ id, number }) => [id, number]),
        expected,
      )
      assert.equal(worker.most, 1)
    },
  )

  rule('of each key one runs at a time, in order, whoever works', async (harness) => {
    const other = await harness.another()
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
      return number === 1 && id < '8' ? retry(5) : done
    }
    const crews = [await harness.work(harness.inbox, decide), await harness.work(other, decide)]
    await harness.untilIdle()
    for (const { deliveries } of groups) assertInTurn(deliveries, crews)
  })

  rule('what is put behind others while they run takes its turn', async (harness) => {
    const order = newOrder()
    const gate = newGate()
    const deliveries = newDeliveries(6)
    await harness.put(deliveries.slice(0, 2), order)
    const worker = await harness.work(harness.inbox, async () => {
      await gate.opened
      return done
    })
    await harness.until('the first runs', () => worker.running.length === 1)
    await harness.put(deliveries.slice(2), order, await harness.another())
    await harness.witness()
    assert.equal(worker.runs.length, 1)
    gate.open()
    await harness.untilIdle()
    assert.deepEqual(worker.ids, idsOf(deliveries))
  })

  rule('one that is tried again holds back those of its key, and no others', async (harness) => {
    const [failing, behind, elsewhere, free] = newDeliveries(4)
    assert.ok(failing && behind && elsewhere && free)
    const order = newOrder()
    await harness.put([failing, behind], order)
    await harness.put(elsewhere, newOrder())
    await harness.put(free)
    const worker = await harness.work(harness.inbox, ({ id }) =>
      id === failing.key ? retry(hour) : done,
    )
    await harness.until('the others have run', () => worker.runs.length === 3)
    await harness.witness()
    assert.deepEqual(worker.ids.toSorted(), idsOf([failing, elsewhere, free]).toSorted())
    assert.equal((await harness.inbox.entry(behind.key))?.state, 'waiting')
  })

  rule('a full worker of those behind it does not hold back other keys', async (harness) => {
    const order = newOrder()
    const gate = newGate()
    const deliveries = newDeliveries(50)
    const [first] = deliveries
    await harness.put(deliveries, order)
    const worker = await harness.work(
      harness.inbox,
      async ({ id }) => {
        if (id === first?.key) await gate.opened
        return done
      },
      2,
    )
    await harness.witness()
    assert.deepEqual(worker.ids, [first?.key])
    gate.open()
    await harness.untilIdle()
    assert.deepEqual(worker.ids, idsOf(deliveries))
  })

  rule('one that is tried again after its hold holds back nobody for longer', async (harness) => {
    const [failing, behind] = newDeliveries(2)
    assert.ok(failing && behind)
    await harness.put([failing, behind], newOrder(400))
    const worker = await harness.work(harness.inbox, ({ id }) =>
      id === failing.key ? retry(hour) : done,
    )
    await harness.until('the hold is over', () => worker.runs.length === 2)
    assert.deepEqual(worker.ids, idsOf([failing, behind]))
    await untilIn('delayed', harness, failing.key)
  })

  rule(
    'a hold begins with the first failure, and later ones do not prolong it',
    async (harness) => {
      const [failing, behind] = newDeliveries(2)
      assert.ok(failing && behind)
      await harness.put([failing, behind], newOrder(400))
      const worker = await harness.work(harness.inbox, ({ id }) =>
        id === failing.key ? retry(60) : done,
      )
      await harness.until('the hold is over', () => worker.ids.includes(behind.key))
      assert.equal(worker.ids[0], failing.key)
    },
  )

  rule(
    'neither a dead letter nor one that was discarded holds back what is behind it',
    async (harness) => {
      const [letter, unwanted, last] = newDeliveries(3)
      assert.ok(letter && unwanted && last)
      await harness.put([letter, unwanted, last], newOrder())
      const worker = await harness.work(harness.inbox, ({ id }) => {
        if (id === last.key) return done
        return id === letter.key ? dead() : retry(hour)
      })
      await untilIn('delayed', harness, unwanted.key)
      await harness.witness()
      assert.deepEqual(worker.ids, idsOf([letter, unwanted]))
      assert.equal(await harness.inbox.discard(unwanted.key), true)
      await harness.untilIdle()
      assert.deepEqual(worker.ids, idsOf([letter, unwanted, last]))
    },
  )

  rule('what could not be tried is not overtaken', async (harness) => {
    const deliveries = newDeliveries(3)
    const [first] = deliveries
    await harness.put(deliveries, newOrder())
    let isAway = true
    const worker = await harness.work(harness.inbox, ({ id }) => {
      if (id !== first?.key || !isAway) return done
      isAway = false
      return later(200)
    })
    await harness.untilIdle()
    assert.deepEqual(worker.ids, [first?.key, ...idsOf(deliveries)])
  })

  rule('what a stopped worker gave back keeps its place', async (harness) => {
    const deliveries = newDeliveries(3)
    await harness.put(deliveries, newOrder())
    const worker = await harness.work(harness.inbox)
    worker.wait(newGate().opened)
    await harness.until('the first runs', () => worker.running.length === 1)
    await harness.inbox.stop({ drainMs: 0 })
    const other = await harness.another()
    const next = await harness.work(other)
    await harness.untilIdle(other)
    assert.deepEqual(next.ids, idsOf(deliveries))
  })

  rule('a dead letter that is replayed comes to its place again', async (harness) => {
    const [letter, behind, last] = newDeliveries(3)
    assert.ok(letter && behind && last)
    const order = newOrder()
    await harness.put(letter, order)
    await harness.work(harness.inbox, () => dead())
    await harness.untilIdle()
    await harness.inbox.stop()
    await harness.put([behind, last], order)
    assert.equal(await harness.inbox.replay(letter.key), true)
    const next = await harness.work(harness.inbox, async () => {
      await pause(5)
      return done
    })
    await harness.untilIdle()
    assert.deepEqual(next.ids, idsOf([letter, behind, last]))
    assert.equal(next.most, 1)
  })
}

/** Refuses runs of one key that overlap, or that overtake one another. */
function assertInTurn(deliveries: readonly StoredDelivery[], crews: readonly TestWorker[]): void {
  const ids = idsOf(deliveries)
  const runs = crews
    .flatMap((worker) => worker.runs)
    .filter(({ id }) => ids.includes(id))
    .toSorted((one, other) => one.startedAt - other.startedAt)
  assert.deepEqual([...new Set(runs.map(({ id }) => id))], ids)
  for (const [index, run] of runs.entries()) {
    const next = runs[index + 1]
    if (next === undefined) continue
    assert.ok(Number(run.endedAt) <= next.startedAt, 'two of one key ran at once')
    assert.ok(ids.indexOf(run.id) <= ids.indexOf(next.id), 'one of a key overtook another')
  }
}
