import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { PutOptions, StoredDelivery } from '../../inboxes/inbox.ts'
import { untilIn } from './attempt-results.ts'
import type { Crew, Run } from './crew.ts'
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

type Order = NonNullable<PutOptions['order']>

/** An ordering key of its own. It is held for longer than any rule has a delivery wait. */
function newOrder(maxHoldMs = 24 * hour): Order {
  return { key: randomBytes(32).toString('hex'), maxHoldMs }
}

/** Deliveries that run one after another. */
export function orderRules(rule: Rule): void {
  rule(
    'deliveries of one key run in the order in which they were put, also when they fail',
    async (bench) => {
      const deliveries = newDeliveries(8)
      await bench.put(deliveries, newOrder())
      const crew = await bench.work(bench.inbox, async ({ number }) => {
        await pause(2)
        return number < 3 ? retry(number * 10) : done
      })
      await bench.untilIdle()
      const expected = deliveries.flatMap(({ key }) => [1, 2, 3].map((number) => [key, number]))
      assert.deepEqual(
        crew.runs.map(({ id, number }) => [id, number]),
        expected,
      )
      assert.equal(crew.most, 1)
    },
  )

  rule('of each key one runs at a time, in order, whoever works', async (bench) => {
    const other = await bench.another()
    const groups = Array.from({ length: 5 }, () => ({
      order: newOrder(),
      deliveries: newDeliveries(10),
    }))
    for (let index = 0; index < 10; index++) {
      for (const { order, deliveries } of groups) {
        await bench.put(
          deliveries.slice(index, index + 1),
          order,
          index % 2 === 0 ? other : bench.inbox,
        )
      }
    }
    const decide = async ({ number, id }: Run) => {
      await pause(3)
      return number === 1 && id < '8' ? retry(5) : done
    }
    const crews = [await bench.work(bench.inbox, decide), await bench.work(other, decide)]
    await bench.untilIdle()
    for (const { deliveries } of groups) assertInTurn(deliveries, crews)
  })

  rule('what is put behind others while they run takes its turn', async (bench) => {
    const order = newOrder()
    const gate = newGate()
    const deliveries = newDeliveries(6)
    await bench.put(deliveries.slice(0, 2), order)
    const crew = await bench.work(bench.inbox, async () => {
      await gate.opened
      return done
    })
    await bench.until('the first runs', () => crew.running.length === 1)
    await bench.put(deliveries.slice(2), order, await bench.another())
    await bench.witness()
    assert.equal(crew.runs.length, 1)
    gate.open()
    await bench.untilIdle()
    assert.deepEqual(crew.ids, idsOf(deliveries))
  })

  rule('one that is tried again holds back those of its key, and no others', async (bench) => {
    const [failing, behind, elsewhere, free] = newDeliveries(4)
    assert.ok(failing && behind && elsewhere && free)
    const order = newOrder()
    await bench.put([failing, behind], order)
    await bench.put(elsewhere, newOrder())
    await bench.put(free)
    const crew = await bench.work(bench.inbox, ({ id }) =>
      id === failing.key ? retry(hour) : done,
    )
    await bench.until('the others have run', () => crew.runs.length === 3)
    await bench.witness()
    assert.deepEqual(crew.ids.toSorted(), idsOf([failing, elsewhere, free]).toSorted())
    assert.equal((await bench.inbox.entry(behind.key))?.state, 'waiting')
  })

  rule('a full crew of those behind it does not hold back other keys', async (bench) => {
    const order = newOrder()
    const gate = newGate()
    const deliveries = newDeliveries(50)
    const [first] = deliveries
    await bench.put(deliveries, order)
    const crew = await bench.work(
      bench.inbox,
      async ({ id }) => {
        if (id === first?.key) await gate.opened
        return done
      },
      2,
    )
    await bench.witness()
    assert.deepEqual(crew.ids, [first?.key])
    gate.open()
    await bench.untilIdle()
    assert.deepEqual(crew.ids, idsOf(deliveries))
  })

  rule('one that is tried again after its hold holds back nobody for longer', async (bench) => {
    const [failing, behind] = newDeliveries(2)
    assert.ok(failing && behind)
    await bench.put([failing, behind], newOrder(400))
    const crew = await bench.work(bench.inbox, ({ id }) =>
      id === failing.key ? retry(hour) : done,
    )
    await bench.until('the hold is over', () => crew.runs.length === 2)
    assert.deepEqual(crew.ids, idsOf([failing, behind]))
    await untilIn('delayed', bench, failing.key)
  })

  rule('a hold begins with the first failure, and later ones do not prolong it', async (bench) => {
    const [failing, behind] = newDeliveries(2)
    assert.ok(failing && behind)
    await bench.put([failing, behind], newOrder(400))
    const crew = await bench.work(bench.inbox, ({ id }) => (id === failing.key ? retry(60) : done))
    await bench.until('the hold is over', () => crew.ids.includes(behind.key))
    assert.equal(crew.ids[0], failing.key)
  })

  rule(
    'neither a dead letter nor one that was discarded holds back what is behind it',
    async (bench) => {
      const [letter, unwanted, last] = newDeliveries(3)
      assert.ok(letter && unwanted && last)
      await bench.put([letter, unwanted, last], newOrder())
      const crew = await bench.work(bench.inbox, ({ id }) => {
        if (id === last.key) return done
        return id === letter.key ? dead() : retry(hour)
      })
      await untilIn('delayed', bench, unwanted.key)
      await bench.witness()
      assert.deepEqual(crew.ids, idsOf([letter, unwanted]))
      assert.equal(await bench.inbox.discard(unwanted.key), true)
      await bench.untilIdle()
      assert.deepEqual(crew.ids, idsOf([letter, unwanted, last]))
    },
  )

  rule('what could not be tried is not overtaken', async (bench) => {
    const deliveries = newDeliveries(3)
    const [first] = deliveries
    await bench.put(deliveries, newOrder())
    let isAway = true
    const crew = await bench.work(bench.inbox, ({ id }) => {
      if (id !== first?.key || !isAway) return done
      isAway = false
      return later(200)
    })
    await bench.untilIdle()
    assert.deepEqual(crew.ids, [first?.key, ...idsOf(deliveries)])
  })

  rule('what a stopped worker gave back keeps its place', async (bench) => {
    const deliveries = newDeliveries(3)
    await bench.put(deliveries, newOrder())
    const crew = await bench.work(bench.inbox)
    crew.wait(newGate().opened)
    await bench.until('the first runs', () => crew.running.length === 1)
    await bench.inbox.stop({ drainMs: 0 })
    const other = await bench.another()
    const next = await bench.work(other)
    await bench.untilIdle(other)
    assert.deepEqual(next.ids, idsOf(deliveries))
  })

  rule('a dead letter that is replayed comes to its place again', async (bench) => {
    const [letter, behind, last] = newDeliveries(3)
    assert.ok(letter && behind && last)
    const order = newOrder()
    await bench.put(letter, order)
    await bench.work(bench.inbox, () => dead())
    await bench.untilIdle()
    await bench.inbox.stop()
    await bench.put([behind, last], order)
    assert.equal(await bench.inbox.replay(letter.key), true)
    const next = await bench.work(bench.inbox, async () => {
      await pause(5)
      return done
    })
    await bench.untilIdle()
    assert.deepEqual(next.ids, idsOf([letter, behind, last]))
    assert.equal(next.most, 1)
  })
}

/** Refuses runs of one key that overlap, or that overtake one another. */
function assertInTurn(deliveries: readonly StoredDelivery[], crews: readonly Crew[]): void {
  const ids = idsOf(deliveries)
  const runs = crews
    .flatMap((crew) => crew.runs)
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
