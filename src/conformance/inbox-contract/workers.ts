import assert from 'node:assert/strict'
import { pause } from '../../testing/pause.ts'
import { newGate } from '../gate.ts'
import { completed, dead, idsOf, newDeliveries, newDelivery, type Rule, retry } from './harness.ts'

/** Starting, stopping and concurrency. */
export function workerRules(rule: Rule): void {
  rule(
    'a worker runs deliveries put before and after it started, on any instance',
    async (harness) => {
      const other = await harness.reopen()
      const deliveries = newDeliveries(30)
      await harness.put(deliveries.slice(0, 10))
      await harness.put(deliveries.slice(10, 20), undefined, other)
      const worker = await harness.startWorker(harness.inbox)
      await harness.put(deliveries.slice(20, 25))
      await harness.put(deliveries.slice(25), undefined, other)
      await harness.untilIdle()
      assert.deepEqual(worker.ids.toSorted(), idsOf(deliveries).toSorted())
      assert.deepEqual(new Set(worker.runs.map(({ number }) => number)), new Set([1]))
    },
  )

  for (const concurrency of [1, 3]) {
    rule(
      `a worker with a concurrency of ${concurrency} runs that many deliveries at a time, never more`,
      async (harness) => {
        const gate = newGate()
        await harness.put(newDeliveries(12))
        const worker = await harness.startWorker(
          harness.inbox,
          async () => {
            await gate.opened
            // Long enough for a surplus run to be seen.
            await pause(20)
            return completed
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

  rule('workers on two instances share the deliveries and run each once', async (harness) => {
    const other = await harness.reopen()
    const gate = newGate()
    const deliveries = newDeliveries(100)
    await harness.put(deliveries)
    const wait = async () => {
      await gate.opened
      return completed
    }
    const first = await harness.startWorker(harness.inbox, wait, 3)
    const second = await harness.startWorker(other, wait, 3)
    await harness.until('both have work', () => {
      return first.running.length > 0 && second.running.length > 0
    })
    gate.open()
    await harness.untilIdle()
    await harness.runSentinels()
    assert.deepEqual([...first.ids, ...second.ids].toSorted(), idsOf(deliveries).toSorted())
  })

  rule(
    'stop() waits for running deliveries, records their results and claims nothing new',
    async (harness) => {
      const gate = newGate()
      const [finished, failed, waiting] = newDeliveries(3)
      assert.ok(finished && failed && waiting)
      await harness.put([finished, failed])
      const worker = await harness.startWorker(
        harness.inbox,
        async ({ id }) => {
          await gate.opened
          await pause(20)
          return id === failed.key ? dead() : completed
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
      const next = await harness.startWorker(await harness.reopen())
      await harness.untilIdle()
      await harness.runSentinels()
      assert.deepEqual([next.ids, next.numbersOf(waiting)], [[waiting.key], [1]])
    },
  )

  rule(
    'stop() returns unfinished deliveries after drainMs, without counting the attempt',
    async (harness) => {
      const other = await harness.reopen()
      const gate = newGate()
      const [fresh, retried] = newDeliveries(2)
      assert.ok(fresh && retried)
      await harness.put([fresh, retried])
      const worker = await harness.startWorker(harness.inbox, async ({ id, number }) => {
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
      const next = await harness.startWorker(other)
      await harness.untilIdle(other)
      assert.deepEqual([next.numbersOf(fresh), next.numbersOf(retried)], [[1], [2]])
      gate.open()
      await harness.runSentinels()
      assert.equal((await other.stats()).dead, 0)
    },
  )

  rule(
    'a returned delivery belongs to its next worker, even if the first still reports a result',
    async (harness) => {
      const other = await harness.reopen()
      const gate = newGate()
      const delivery = newDelivery()
      await harness.put(delivery)
      const worker = await harness.startWorker(harness.inbox, async () => {
        await gate.opened
        return dead()
      })
      await harness.until('it runs', () => worker.running.length === 1)
      await harness.inbox.stop({ drainMs: 0 })
      const nextGate = newGate()
      const next = await harness.startWorker(other, async () => {
        await nextGate.opened
        return completed
      })
      await harness.until('it runs again', () => next.running.length === 1)
      gate.open()
      await harness.runSentinels()
      const entry = await other.entry(delivery.key)
      assert.deepEqual([entry?.state, entry?.attempts], ['running', 1])
      nextGate.open()
      await harness.untilIdle(other)
      assert.deepEqual([next.runs.length, await other.entry(delivery.key)], [1, undefined])
    },
  )

  rule('a stopped worker claims nothing, and put() still works', async (harness) => {
    const other = await harness.reopen()
    const worker = await harness.startWorker(harness.inbox)
    await harness.inbox.stop()
    const deliveries = newDeliveries(10)
    await harness.put(deliveries)
    assert.equal((await harness.inbox.stats()).waiting, 10)
    const next = await harness.startWorker(other)
    await harness.untilIdle()
    await harness.runSentinels()
    assert.deepEqual([worker.ids, next.ids.toSorted()], [[], idsOf(deliveries).toSorted()])
  })

  rule('a worker can be stopped and restarted', async (harness) => {
    await harness.inbox.stop()
    for (let round = 0; round < 3; round++) {
      const deliveries = newDeliveries(5)
      await harness.put(deliveries)
      const worker = await harness.startWorker(harness.inbox)
      await harness.untilIdle()
      assert.deepEqual(worker.ids.toSorted(), idsOf(deliveries).toSorted())
      await harness.inbox.stop()
      await harness.inbox.stop({ drainMs: 10 })
    }
  })

  rule('migrate() can be called again and changes nothing', async (harness) => {
    const delivery = newDelivery()
    await harness.put(delivery)
    await harness.inbox.migrate()
    await (await harness.reopen()).migrate()
    const expected = { id: delivery.key, state: 'waiting', attempts: 0, delivery }
    assert.deepEqual(await harness.inbox.entry(delivery.key), expected)
  })
}
