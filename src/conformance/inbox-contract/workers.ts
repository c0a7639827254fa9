import assert from 'node:assert/strict'
import {
  dead,
  done,
  idsOf,
  newDeliveries,
  newDelivery,
  newGate,
  pause,
  type Rule,
  retry,
} from './harness.ts'

/** Starting and stopping, and how much runs at a time. */
export function workerRules(rule: Rule): void {
  rule('a worker runs what was put before and after its start, anywhere', async (harness) => {
    const other = await harness.another()
    const deliveries = newDeliveries(30)
    await harness.put(deliveries.slice(0, 10))
    await harness.put(deliveries.slice(10, 20), undefined, other)
    const worker = await harness.work(harness.inbox)
    await harness.put(deliveries.slice(20, 25))
    await harness.put(deliveries.slice(25), undefined, other)
    await harness.untilIdle()
    assert.deepEqual(worker.ids.toSorted(), idsOf(deliveries).toSorted())
    assert.deepEqual(new Set(worker.runs.map(({ number }) => number)), new Set([1]))
  })

  for (const concurrency of [1, 3]) {
    rule(
      `with a concurrency of ${concurrency}, as many run at a time, and no more`,
      async (harness) => {
        const gate = newGate()
        await harness.put(newDeliveries(12))
        const worker = await harness.work(
          harness.inbox,
          async () => {
            await gate.opened
            // Long enough for one too many to be seen beside it.
            await pause(20)
            return done
          },
          concurrency,
        )
        await harness.until('as many run', () => worker.running.length >= concurrency)
        gate.open()
        await harness.untilIdle()
        assert.deepEqual([worker.runs.length, worker.most], [12, concurrency])
      },
    )
  }

  rule('workers on two instances share the work, and run each delivery once', async (harness) => {
    const other = await harness.another()
    const gate = newGate()
    const deliveries = newDeliveries(100)
    await harness.put(deliveries)
    const wait = async () => {
      await gate.opened
      return done
    }
    const first = await harness.work(harness.inbox, wait, 3)
    const second = await harness.work(other, wait, 3)
    await harness.until('both have work', () => {
      return first.running.length > 0 && second.running.length > 0
    })
    gate.open()
    await harness.untilIdle()
    await harness.witness()
    assert.deepEqual([...first.ids, ...second.ids].toSorted(), idsOf(deliveries).toSorted())
  })

  rule(
    'stop waits for what runs, whose verdicts count, and claims nothing more',
    async (harness) => {
      const gate = newGate()
      const [finished, failed, waiting] = newDeliveries(3)
      assert.ok(finished && failed && waiting)
      await harness.put([finished, failed])
      const worker = await harness.work(
        harness.inbox,
        async ({ id }) => {
          await gate.opened
          await pause(20)
          return id === failed.key ? dead() : done
        },
        2,
      )
      await harness.until('both run', () => worker.running.length === 2)
      await harness.put(waiting)
      const stopped = harness.inbox.stop({ drainMs: 60_000 })
      gate.open()
      await stopped
      assert.deepEqual([worker.runs.length, worker.running.length], [2, 0])
      assert.equal(await harness.inbox.entry(finished.key), undefined)
      assert.equal((await harness.inbox.entry(failed.key))?.state, 'dead')
      const next = await harness.work(await harness.another())
      await harness.untilIdle()
      await harness.witness()
      assert.deepEqual([next.ids, next.numbersOf(waiting)], [[waiting.key], [1]])
    },
  )

  rule(
    'stop gives back what is not done in time, to be claimed at once and uncounted',
    async (harness) => {
      const other = await harness.another()
      const gate = newGate()
      const [fresh, retried] = newDeliveries(2)
      assert.ok(fresh && retried)
      await harness.put([fresh, retried])
      const worker = await harness.work(harness.inbox, async ({ id, number }) => {
        if (id === retried.key && number === 1) return retry(0)
        await gate.opened
        return dead()
      })
      await harness.until('both run', () => {
        return worker.running.length === 2 && worker.numbersOf(retried).includes(2)
      })
      await harness.inbox.stop({ drainMs: 20 })
      for (const [delivery, attempts] of [
        [fresh, 0],
        [retried, 1],
      ] as const) {
        const entry = await other.entry(delivery.key)
        assert.deepEqual([entry?.state, entry?.attempts], ['waiting', attempts])
      }
      const next = await harness.work(other)
      await harness.untilIdle(other)
      assert.deepEqual([next.numbersOf(fresh), next.numbersOf(retried)], [[1], [2]])
      gate.open()
      await harness.witness()
      assert.equal((await other.stats()).dead, 0)
    },
  )

  rule(
    'what was given back belongs to whoever claims it next, whatever the first decides',
    async (harness) => {
      const other = await harness.another()
      const gate = newGate()
      const delivery = newDelivery()
      await harness.put(delivery)
      const worker = await harness.work(harness.inbox, async () => {
        await gate.opened
        return dead()
      })
      await harness.until('it runs', () => worker.running.length === 1)
      await harness.inbox.stop({ drainMs: 0 })
      const nextGate = newGate()
      const next = await harness.work(other, async () => {
        await nextGate.opened
        return done
      })
      await harness.until('it runs again', () => next.running.length === 1)
      gate.open()
      await harness.witness()
      const entry = await other.entry(delivery.key)
      assert.deepEqual([entry?.state, entry?.attempts], ['running', 1])
      nextGate.open()
      await harness.untilIdle(other)
      assert.deepEqual([next.runs.length, await other.entry(delivery.key)], [1, undefined])
    },
  )

  rule('a worker that was stopped claims nothing, and put still works', async (harness) => {
    const other = await harness.another()
    const worker = await harness.work(harness.inbox)
    await harness.inbox.stop()
    const deliveries = newDeliveries(10)
    await harness.put(deliveries)
    assert.equal((await harness.inbox.stats()).waiting, 10)
    const next = await harness.work(other)
    await harness.untilIdle()
    await harness.witness()
    assert.deepEqual([worker.ids, next.ids.toSorted()], [[], idsOf(deliveries).toSorted()])
  })

  rule('a worker can be stopped and started again', async (harness) => {
    await harness.inbox.stop()
    for (let round = 0; round < 3; round++) {
      const deliveries = newDeliveries(5)
      await harness.put(deliveries)
      const worker = await harness.work(harness.inbox)
      await harness.untilIdle()
      assert.deepEqual(worker.ids.toSorted(), idsOf(deliveries).toSorted())
      await harness.inbox.stop()
      await harness.inbox.stop({ drainMs: 10 })
    }
  })

  rule('migrate changes nothing where it was called before', async (harness) => {
    const delivery = newDelivery()
    await harness.put(delivery)
    await harness.inbox.migrate()
    await (await harness.another()).migrate()
    const expected = { id: delivery.key, state: 'waiting', attempts: 0, delivery }
    assert.deepEqual(await harness.inbox.entry(delivery.key), expected)
  })
}
