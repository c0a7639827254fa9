import assert from 'node:assert/strict'
import type { Inbox } from '../../inboxes/inbox.ts'
import { type Harness, idsOf, newDeliveries, newDelivery, type Rule } from './harness.ts'
import { InboxProcess, type InboxProgram } from './inbox-program.ts'
import type { LoseLease } from './lost-leases.ts'

type Start = () => Promise<InboxProcess>

/** Processes that share an inbox, and get killed. */
export function processRules(
  rule: Rule,
  programFor: (inbox: Inbox) => InboxProgram,
  loseLease: LoseLease | undefined,
): void {
  function processRule(name: string, run: (harness: Harness, start: Start) => Promise<void>): void {
    rule(name, async (harness) => {
      harness.allowErrors()
      const processes: InboxProcess[] = []
      try {
        await run(harness, async () => {
          const started = await InboxProcess.start(programFor(harness.inbox))
          processes.push(started)
          return started
        })
      } finally {
        for (const started of processes) await started.kill()
      }
    })
  }

  processRule('an accepted delivery survives its process being killed', async (harness, start) => {
    const killed = await start()
    const deliveries = newDeliveries(400)
    const accepted: string[] = []
    const puts = deliveries.map(async (delivery) => {
      if ((await killed.put(delivery)) === 'accepted') accepted.push(delivery.key)
    })
    const settled = Promise.allSettled(puts)
    await harness.until('some are accepted', () => accepted.length >= 20)
    await killed.kill()
    await settled
    for (const id of accepted)
      assert.ok(await harness.inbox.entry(id), 'an accepted delivery is lost')
    const worker = await harness.startWorker(harness.inbox)
    await harness.untilIdle()
    const run = new Set(worker.ids)
    assert.equal(run.size, worker.runs.length, 'a delivery ran twice')
    assert.deepEqual(
      accepted.filter((id) => !run.has(id)),
      [],
    )
    for (const { delivery } of worker.runs)
      assert.ok(deliveries.some(({ key }) => isKey(delivery, key)))
  })

  processRule('two processes run each delivery once', async (harness, start) => {
    const workers = await Promise.all([start(), start()])
    const deliveries = newDeliveries(300)
    await harness.put(deliveries)
    await Promise.all(workers.map((worker) => worker.work('finish', 5)))
    await harness.untilIdle()
    const runs = (await Promise.all(workers.map((worker) => worker.runs()))).flat()
    assert.deepEqual(runs.map(({ id }) => id).toSorted(), idsOf(deliveries).toSorted())
    assert.deepEqual(new Set(runs.map(({ number }) => number)), new Set([1]))
  })

  processRule(
    'a delivery whose process is killed runs elsewhere, as the next attempt',
    async (harness, start) => {
      const delivery = newDelivery()
      await harness.put(delivery)
      for (let number = 1; number <= 2; number++) {
        const killed = await start()
        await killed.work('hang', 1)
        await harness.until('it runs', async () => (await killed.runs()).length === 1)
        assert.deepEqual(await killed.runs(), [{ id: delivery.key, number }])
        await killed.kill()
        await loseLease?.(harness.inbox, delivery.key)
      }
      const worker = await harness.startWorker(harness.inbox)
      await harness.untilIdle()
      assert.deepEqual(worker.numbersOf(delivery), [3])
      assert.deepEqual(worker.runs[0]?.delivery, delivery)
    },
  )
}

function isKey(delivery: unknown, key: string): boolean {
  return (delivery as { readonly key?: unknown }).key === key
}
