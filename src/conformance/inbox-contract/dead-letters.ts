import assert from 'node:assert/strict'
import { newGate } from '../gate.ts'
import { times } from '../times.ts'
import { untilState } from './attempt-results.ts'
import { allEntries } from './entries.ts'
import {
  completed,
  dead,
  failureNow,
  type Harness,
  hour,
  idsOf,
  newDeliveries,
  newDelivery,
  type Rule,
  retry,
} from './harness.ts'

/** What operators do by hand: replaying and discarding. */
export function deadLetterRules(rule: Rule): void {
  rule(
    'a replayed dead letter waits again, with its bytes and all its attempts ahead',
    async (harness) => {
      const delivery = newDelivery()
      await harness.put(delivery)
      await harness.startWorker(harness.inbox, ({ number }) => (number < 4 ? retry(0) : dead()))
      await harness.untilIdle()
      await harness.inbox.stop()
      const other = await harness.reopen()
      assert.equal(await other.replay(delivery.key), true)
      const { failure: _, ...entry } = (await harness.inbox.entry(delivery.key)) ?? assert.fail()
      assert.deepEqual(entry, { id: delivery.key, state: 'waiting', attempts: 0, delivery })
      assert.equal(await harness.inbox.put(newDelivery(), { key: delivery.key }), 'duplicate')
      const worker = await harness.startWorker(other, ({ number }) =>
        number < 6 ? retry(0) : completed,
      )
      await harness.untilIdle()
      assert.deepEqual(worker.numbersOf(delivery), [1, 2, 3, 4, 5, 6])
      for (const run of worker.runs) assert.deepEqual(run.delivery, delivery)
      assert.deepEqual(await allEntries(harness.inbox), [])
    },
  )

  rule('a delivery that dies again can be replayed again', async (harness) => {
    const delivery = newDelivery()
    await harness.put(delivery)
    const worker = await harness.startWorker(harness.inbox, () =>
      dead(failureNow(`failure ${worker.runs.length}`)),
    )
    for (let round = 1; round <= 4; round++) {
      await harness.untilIdle()
      const entry = await harness.inbox.entry(delivery.key)
      assert.deepEqual([entry?.state, entry?.attempts], ['dead', 1])
      assert.equal(entry?.failure?.reason, `failure ${round}`)
      assert.equal(await harness.inbox.replay(delivery.key), true)
    }
    await harness.untilIdle()
    assert.deepEqual(worker.numbersOf(delivery), [1, 1, 1, 1, 1])
  })

  rule(
    'one of 20 simultaneous replays of a dead letter succeeds, and it runs once',
    async (harness) => {
      const inboxes = [harness.inbox, await harness.reopen()]
      const delivery = newDelivery()
      await harness.put(delivery)
      const worker = await harness.startWorker(harness.inbox, () => dead())
      await harness.untilIdle()
      await harness.inbox.stop()
      const replayed = await times(20, (index) =>
        (inboxes[index % 2] ?? harness.inbox).replay(delivery.key),
      )
      assert.equal(replayed.filter((isMine) => isMine).length, 1)
      const next = await harness.startWorker(harness.inbox)
      await harness.untilIdle()
      await harness.runSentinels()
      assert.deepEqual([worker.numbersOf(delivery), next.numbersOf(delivery)], [[1], [1]])
      assert.equal(await harness.inbox.replay(delivery.key), false)
    },
  )

  rule(
    'replays only dead letters, not waiting, running, delayed or completed deliveries',
    async (harness) => {
      const { running, delayed, waiting, finished, gate } = await withoutDead(harness)
      const before = await allEntries(harness.inbox)
      for (const id of [running, delayed, waiting, finished]) {
        assert.equal(await harness.inbox.replay(id), false)
      }
      assert.deepEqual(await allEntries(harness.inbox), before)
      gate.open()
    },
  )

  rule('discards a waiting, delayed or dead delivery once, and never runs it', async (harness) => {
    const { running, delayed, waiting, finished, gate } = await withoutDead(harness)
    const other = await harness.reopen()
    const deadLetter = newDelivery()
    await harness.put(deadLetter)
    const parking = await harness.startWorker(other, ({ id }) =>
      id === deadLetter.key ? dead() : retry(hour),
    )
    await untilState('dead', harness, deadLetter.key)
    await untilState('delayed', harness, waiting)
    await other.stop()
    const fresh = newDelivery()
    await harness.put(fresh)
    for (const id of [delayed, waiting, deadLetter.key, fresh.key]) {
      const discarded = await times(10, () => harness.inbox.discard(id))
      assert.equal(discarded.filter((isMine) => isMine).length, 1)
      assert.equal(await harness.inbox.entry(id), undefined)
      assert.equal(await harness.inbox.replay(id), false)
    }
    assert.equal(await harness.inbox.discard(finished), false)
    assert.deepEqual(
      (await allEntries(harness.inbox)).map(({ id }) => id),
      [running],
    )
    const next = await harness.startWorker(other)
    gate.open()
    await harness.untilIdle()
    await harness.runSentinels()
    assert.deepEqual([parking.runs.length, next.runs.length], [2, 0])
  })

  rule('does not discard a running delivery, and records its result', async (harness) => {
    const gate = newGate()
    const delivery = newDelivery()
    await harness.put(delivery)
    const worker = await harness.startWorker(harness.inbox, () => dead())
    worker.wait(gate.opened)
    await harness.until('it runs', () => worker.running.length === 1)
    assert.equal(await harness.inbox.discard(delivery.key), false)
    assert.equal(await (await harness.reopen()).discard(delivery.key), false)
    gate.open()
    await untilState('dead', harness, delivery.key)
    assert.equal(await harness.inbox.discard(delivery.key), true)
  })

  rule('accepts a discarded delivery again as a new one', async (harness) => {
    const delivery = newDelivery()
    await harness.put(delivery)
    const worker = await harness.startWorker(harness.inbox, ({ number }) =>
      number < 2 ? retry(0) : dead(),
    )
    await harness.untilIdle()
    assert.equal(await harness.inbox.discard(delivery.key), true)
    const again = { ...delivery, body: 'YWdhaW4=' }
    await harness.put(again)
    await harness.untilIdle()
    assert.deepEqual(worker.numbersOf(delivery), [1, 2, 1, 2])
    assert.deepEqual(worker.runs.at(-1)?.delivery, again)
  })

  rule('runs each of 300 dead letters replayed simultaneously once', async (harness) => {
    const deliveries = newDeliveries(300)
    await harness.put(deliveries)
    const worker = await harness.startWorker(harness.inbox, () => dead())
    await harness.untilIdle()
    worker.change(() => completed)
    const ids = idsOf(deliveries)
    const replayed = await times(300, (index) => harness.inbox.replay(ids[index] ?? ''))
    assert.deepEqual(new Set(replayed), new Set([true]))
    await harness.untilIdle()
    await harness.runSentinels()
    assert.equal(worker.runs.length, 600)
    assert.deepEqual(new Set(worker.runs.slice(300).map(({ id }) => id)), new Set(ids))
  })
}

/** Deliveries in every state but dead. The worker that runs one has stopped claiming. */
async function withoutDead(harness: Harness) {
  const gate = newGate()
  const [running, delayed, waiting, finished] = newDeliveries(4)
  assert.ok(running && delayed && waiting && finished)
  await harness.put([delayed, finished, running])
  const worker = await harness.startWorker(
    harness.inbox,
    async ({ id }) => {
      if (id === running.key) await gate.opened
      return id === delayed.key ? retry(hour) : completed
    },
    1,
  )
  await harness.until('one runs', () => worker.running.some(({ id }) => id === running.key))
  await harness.put(waiting)
  return {
    gate,
    running: running.key,
    delayed: delayed.key,
    waiting: waiting.key,
    finished: finished.key,
  }
}
