import assert from 'node:assert/strict'
import { untilIn } from './attempt-results.ts'
import { all } from './entries.ts'
import {
  type Bench,
  dead,
  done,
  failureNow,
  hour,
  idsOf,
  newDeliveries,
  newDelivery,
  newGate,
  type Rule,
  retry,
  times,
} from './harness.ts'

/** What is done by hand: replaying and discarding. */
export function letterRules(rule: Rule): void {
  rule(
    'a dead letter that is replayed waits again, with all its attempts and bytes',
    async (bench) => {
      const delivery = newDelivery()
      await bench.put(delivery)
      await bench.work(bench.inbox, ({ number }) => (number < 4 ? retry(0) : dead()))
      await bench.untilIdle()
      await bench.inbox.stop()
      const other = await bench.another()
      assert.equal(await other.replay(delivery.key), true)
      const { failure: _, ...entry } = (await bench.inbox.entry(delivery.key)) ?? assert.fail()
      assert.deepEqual(entry, { id: delivery.key, state: 'waiting', attempts: 0, delivery })
      assert.equal(await bench.inbox.put(newDelivery(), { key: delivery.key }), 'duplicate')
      const crew = await bench.work(other, ({ number }) => (number < 6 ? retry(0) : done))
      await bench.untilIdle()
      assert.deepEqual(crew.numbersOf(delivery), [1, 2, 3, 4, 5, 6])
      for (const run of crew.runs) assert.deepEqual(run.delivery, delivery)
      assert.deepEqual(await all(bench.inbox), [])
    },
  )

  rule('a delivery that dies again can be replayed again', async (bench) => {
    const delivery = newDelivery()
    await bench.put(delivery)
    const crew = await bench.work(bench.inbox, () =>
      dead(failureNow(`failure ${crew.runs.length}`)),
    )
    for (let round = 1; round <= 4; round++) {
      await bench.untilIdle()
      const entry = await bench.inbox.entry(delivery.key)
      assert.deepEqual([entry?.state, entry?.attempts], ['dead', 1])
      assert.equal(entry?.failure?.reason, `failure ${round}`)
      assert.equal(await bench.inbox.replay(delivery.key), true)
    }
    await bench.untilIdle()
    assert.deepEqual(crew.numbersOf(delivery), [1, 1, 1, 1, 1])
  })

  rule('of 20 that replay a dead letter at once one does, and it runs once', async (bench) => {
    const inboxes = [bench.inbox, await bench.another()]
    const delivery = newDelivery()
    await bench.put(delivery)
    const crew = await bench.work(bench.inbox, () => dead())
    await bench.untilIdle()
    await bench.inbox.stop()
    const replayed = await times(20, (index) =>
      (inboxes[index % 2] ?? bench.inbox).replay(delivery.key),
    )
    assert.equal(replayed.filter((isMine) => isMine).length, 1)
    const next = await bench.work(bench.inbox)
    await bench.untilIdle()
    await bench.witness()
    assert.deepEqual([crew.numbersOf(delivery), next.numbersOf(delivery)], [[1], [1]])
    assert.equal(await bench.inbox.replay(delivery.key), false)
  })

  rule(
    'only a dead letter is replayed: not what waits, runs, is delayed or is done',
    async (bench) => {
      const { running, delayed, waiting, finished, gate } = await withoutDead(bench)
      const before = await all(bench.inbox)
      for (const id of [running, delayed, waiting, finished]) {
        assert.equal(await bench.inbox.replay(id), false)
      }
      assert.deepEqual(await all(bench.inbox), before)
      gate.open()
    },
  )

  rule(
    'what waits, is delayed or is dead can be discarded, once, and never runs',
    async (bench) => {
      const { running, delayed, waiting, finished, gate } = await withoutDead(bench)
      const other = await bench.another()
      const letter = newDelivery()
      await bench.put(letter)
      const parking = await bench.work(other, ({ id }) =>
        id === letter.key ? dead() : retry(hour),
      )
      await untilIn('dead', bench, letter.key)
      await untilIn('delayed', bench, waiting)
      await other.stop()
      const fresh = newDelivery()
      await bench.put(fresh)
      for (const id of [delayed, waiting, letter.key, fresh.key]) {
        const discarded = await times(10, () => bench.inbox.discard(id))
        assert.equal(discarded.filter((isMine) => isMine).length, 1)
        assert.equal(await bench.inbox.entry(id), undefined)
        assert.equal(await bench.inbox.replay(id), false)
      }
      assert.equal(await bench.inbox.discard(finished), false)
      assert.deepEqual(
        (await all(bench.inbox)).map(({ id }) => id),
        [running],
      )
      const next = await bench.work(other)
      gate.open()
      await bench.untilIdle()
      await bench.witness()
      assert.deepEqual([parking.runs.length, next.runs.length], [2, 0])
    },
  )

  rule('what runs is not discarded, and its verdict counts', async (bench) => {
    const gate = newGate()
    const delivery = newDelivery()
    await bench.put(delivery)
    const crew = await bench.work(bench.inbox, () => dead())
    crew.wait(gate.opened)
    await bench.until('it runs', () => crew.running.length === 1)
    assert.equal(await bench.inbox.discard(delivery.key), false)
    assert.equal(await (await bench.another()).discard(delivery.key), false)
    gate.open()
    await untilIn('dead', bench, delivery.key)
    assert.equal(await bench.inbox.discard(delivery.key), true)
  })

  rule('what was discarded can be put again, and is as new', async (bench) => {
    const delivery = newDelivery()
    await bench.put(delivery)
    const crew = await bench.work(bench.inbox, ({ number }) => (number < 2 ? retry(0) : dead()))
    await bench.untilIdle()
    assert.equal(await bench.inbox.discard(delivery.key), true)
    const again = { ...delivery, body: 'YWdhaW4=' }
    await bench.put(again)
    await bench.untilIdle()
    assert.deepEqual(crew.numbersOf(delivery), [1, 2, 1, 2])
    assert.deepEqual(crew.runs.at(-1)?.delivery, again)
  })

  rule('300 dead letters replayed at once are run once each', async (bench) => {
    const deliveries = newDeliveries(300)
    await bench.put(deliveries)
    const crew = await bench.work(bench.inbox, () => dead())
    await bench.untilIdle()
    crew.change(() => done)
    const ids = idsOf(deliveries)
    const replayed = await times(300, (index) => bench.inbox.replay(ids[index] ?? ''))
    assert.deepEqual(new Set(replayed), new Set([true]))
    await bench.untilIdle()
    await bench.witness()
    assert.equal(crew.runs.length, 600)
    assert.deepEqual(new Set(crew.runs.slice(300).map(({ id }) => id)), new Set(ids))
  })
}

/** Deliveries in every state but dead. The worker that runs one has stopped claiming. */
async function withoutDead(bench: Bench) {
  const gate = newGate()
  const [running, delayed, waiting, finished] = newDeliveries(4)
  assert.ok(running && delayed && waiting && finished)
  await bench.put([delayed, finished, running])
  const crew = await bench.work(
    bench.inbox,
    async ({ id }) => {
      if (id === running.key) await gate.opened
      return id === delayed.key ? retry(hour) : done
    },
    1,
  )
  await bench.until('one runs', () => crew.running.some(({ id }) => id === running.key))
  await bench.put(waiting)
  return {
    gate,
    running: running.key,
    delayed: delayed.key,
    waiting: waiting.key,
    finished: finished.key,
  }
}
