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
  rule('a worker runs what was put before and after its start, anywhere', async (bench) => {
    const other = await bench.another()
    const deliveries = newDeliveries(30)
    await bench.put(deliveries.slice(0, 10))
    await bench.put(deliveries.slice(10, 20), undefined, other)
    const crew = await bench.work(bench.inbox)
    await bench.put(deliveries.slice(20, 25))
    await bench.put(deliveries.slice(25), undefined, other)
    await bench.untilIdle()
    assert.deepEqual(crew.ids.toSorted(), idsOf(deliveries).toSorted())
    assert.deepEqual(new Set(crew.runs.map(({ number }) => number)), new Set([1]))
  })

  for (const concurrency of [1, 3]) {
    rule(
      `with a concurrency of ${concurrency}, as many run at a time, and no more`,
      async (bench) => {
        const gate = newGate()
        await bench.put(newDeliveries(12))
        const crew = await bench.work(
          bench.inbox,
          async () => {
            await gate.opened
            // Long enough for one too many to be seen beside it.
            await pause(20)
            return done
          },
          concurrency,
        )
        await bench.until('as many run', () => crew.running.length >= concurrency)
        gate.open()
        await bench.untilIdle()
        assert.deepEqual([crew.runs.length, crew.most], [12, concurrency])
      },
    )
  }

  rule('workers on two instances share the work, and run each delivery once', async (bench) => {
    const other = await bench.another()
    const gate = newGate()
    const deliveries = newDeliveries(100)
    await bench.put(deliveries)
    const wait = async () => {
      await gate.opened
      return done
    }
    const first = await bench.work(bench.inbox, wait, 3)
    const second = await bench.work(other, wait, 3)
    await bench.until('both have work', () => {
      return first.running.length > 0 && second.running.length > 0
    })
    gate.open()
    await bench.untilIdle()
    await bench.witness()
    assert.deepEqual([...first.ids, ...second.ids].toSorted(), idsOf(deliveries).toSorted())
  })

  rule('stop waits for what runs, whose verdicts count, and claims nothing more', async (bench) => {
    const gate = newGate()
    const [finished, failed, waiting] = newDeliveries(3)
    assert.ok(finished && failed && waiting)
    await bench.put([finished, failed])
    const crew = await bench.work(
      bench.inbox,
      async ({ id }) => {
        await gate.opened
        await pause(20)
        return id === failed.key ? dead() : done
      },
      2,
    )
    await bench.until('both run', () => crew.running.length === 2)
    await bench.put(waiting)
    const stopped = bench.inbox.stop({ drainMs: 60_000 })
    gate.open()
    await stopped
    assert.deepEqual([crew.runs.length, crew.running.length], [2, 0])
    assert.equal(await bench.inbox.entry(finished.key), undefined)
    assert.equal((await bench.inbox.entry(failed.key))?.state, 'dead')
    const next = await bench.work(await bench.another())
    await bench.untilIdle()
    await bench.witness()
    assert.deepEqual([next.ids, next.numbersOf(waiting)], [[waiting.key], [1]])
  })

  rule(
    'stop gives back what is not done in time, to be claimed at once and uncounted',
    async (bench) => {
      const other = await bench.another()
      const gate = newGate()
      const [fresh, retried] = newDeliveries(2)
      assert.ok(fresh && retried)
      await bench.put([fresh, retried])
      const crew = await bench.work(bench.inbox, async ({ id, number }) => {
        if (id === retried.key && number === 1) return retry(0)
        await gate.opened
        return dead()
      })
      await bench.until('both run', () => {
        return crew.running.length === 2 && crew.numbersOf(retried).includes(2)
      })
      await bench.inbox.stop({ drainMs: 20 })
      for (const [delivery, attempts] of [
        [fresh, 0],
        [retried, 1],
      ] as const) {
        const entry = await other.entry(delivery.key)
        assert.deepEqual([entry?.state, entry?.attempts], ['waiting', attempts])
      }
      const next = await bench.work(other)
      await bench.untilIdle(other)
      assert.deepEqual([next.numbersOf(fresh), next.numbersOf(retried)], [[1], [2]])
      gate.open()
      await bench.witness()
      assert.equal((await other.stats()).dead, 0)
    },
  )

  rule(
    'what was given back belongs to whoever claims it next, whatever the first decides',
    async (bench) => {
      const other = await bench.another()
      const gate = newGate()
      const delivery = newDelivery()
      await bench.put(delivery)
      const crew = await bench.work(bench.inbox, async () => {
        await gate.opened
        return dead()
      })
      await bench.until('it runs', () => crew.running.length === 1)
      await bench.inbox.stop({ drainMs: 0 })
      const nextGate = newGate()
      const next = await bench.work(other, async () => {
        await nextGate.opened
        return done
      })
      await bench.until('it runs again', () => next.running.length === 1)
      gate.open()
      await bench.witness()
      const entry = await other.entry(delivery.key)
      assert.deepEqual([entry?.state, entry?.attempts], ['running', 1])
      nextGate.open()
      await bench.untilIdle(other)
      assert.deepEqual([next.runs.length, await other.entry(delivery.key)], [1, undefined])
    },
  )

  rule('a worker that was stopped claims nothing, and put still works', async (bench) => {
    const other = await bench.another()
    const crew = await bench.work(bench.inbox)
    await bench.inbox.stop()
    const deliveries = newDeliveries(10)
    await bench.put(deliveries)
    assert.equal((await bench.inbox.stats()).waiting, 10)
    const next = await bench.work(other)
    await bench.untilIdle()
    await bench.witness()
    assert.deepEqual([crew.ids, next.ids.toSorted()], [[], idsOf(deliveries).toSorted()])
  })

  rule('a worker can be stopped and started again', async (bench) => {
    await bench.inbox.stop()
    for (let round = 0; round < 3; round++) {
      const deliveries = newDeliveries(5)
      await bench.put(deliveries)
      const crew = await bench.work(bench.inbox)
      await bench.untilIdle()
      assert.deepEqual(crew.ids.toSorted(), idsOf(deliveries).toSorted())
      await bench.inbox.stop()
      await bench.inbox.stop({ drainMs: 10 })
    }
  })

  rule('migrate changes nothing where it was called before', async (bench) => {
    const delivery = newDelivery()
    await bench.put(delivery)
    await bench.inbox.migrate()
    await (await bench.another()).migrate()
    const expected = { id: delivery.key, state: 'waiting', attempts: 0, delivery }
    assert.deepEqual(await bench.inbox.entry(delivery.key), expected)
  })
}
