import assert from 'node:assert/strict'
import type { Inbox } from '../../inboxes/inbox.ts'
import { all } from './entries.ts'
import {
  type Bench,
  dead,
  done,
  idsOf,
  newDeliveries,
  newDelivery,
  pause,
  type Rule,
  retry,
} from './harness.ts'
import type { LoseLease } from './lost-leases.ts'

/** Cuts the connections of an inbox to its server, which stays up. */
export type BreakConnection = (inbox: Inbox) => Promise<void>

/** Connections that are lost in the middle. A delivery may run twice then, and none may be lost. */
export function connectionRules(
  rule: Rule,
  breakConnection: BreakConnection,
  loseLease: LoseLease = async () => {},
): void {
  async function loseAll(inbox: Inbox): Promise<void> {
    for (const { id } of await all(inbox, { state: 'running' })) await loseLease(inbox, id)
  }

  rule('puts whose connection is lost reject or count, and can be repeated', async (bench) => {
    bench.mayErr()
    const deliveries = newDeliveries(20)
    const cut = deliveries.map((delivery) => bench.inbox.put(delivery, { key: delivery.key }))
    const settled = Promise.allSettled(cut)
    await breakConnection(bench.inbox)
    const accepted: string[] = []
    for (const [index, one] of (await settled).entries()) {
      if (one.status === 'fulfilled') accepted.push(deliveries[index]?.key ?? '')
    }
    const other = await bench.another()
    for (const id of accepted) assert.ok(await other.entry(id), 'what was accepted is not there')
    for (const delivery of deliveries) {
      await inTheEnd(bench, () => bench.inbox.put(delivery, { key: delivery.key }))
    }
    const crew = await bench.work(other)
    await bench.untilIdle(other)
    assert.deepEqual([...new Set(crew.ids)].toSorted(), idsOf(deliveries).toSorted())
  })

  rule('a worker whose connections are lost goes on by itself', async (bench) => {
    bench.mayErr()
    const other = await bench.another()
    const deliveries = newDeliveries(60)
    await bench.put(deliveries.slice(0, 50))
    const crew = await bench.work(
      bench.inbox,
      async ({ number }) => {
        await pause(5)
        return number === 1 ? retry(10) : done
      },
      5,
    )
    for (const runs of [10, 40]) {
      await bench.until('some have run', () => crew.runs.length >= runs)
      await breakConnection(bench.inbox)
    }
    for (const delivery of deliveries.slice(50)) {
      await inTheEnd(bench, () => bench.inbox.put(delivery, { key: delivery.key }))
    }
    const isRunAgain = (id: string) => crew.runs.some((run) => run.id === id && run.number > 1)
    await bench.until('each has come to its second attempt', async () => {
      if (idsOf(deliveries).every(isRunAgain)) return true
      const { waiting, delayed } = await other.stats()
      // What is left was claimed, and the answer was lost: it comes when its lease is over.
      if (waiting + delayed + crew.running.length === 0) await loseAll(other)
      return false
    })
  })

  rule('a worker that finds its connection gone has work when something is put', async (bench) => {
    bench.mayErr()
    const crew = await bench.work(bench.inbox, () => dead())
    await bench.witness()
    await breakConnection(bench.inbox)
    const delivery = newDelivery()
    const other = await bench.another()
    await bench.put(delivery, undefined, other)
    await bench.until('it is dead', async () => (await other.entry(delivery.key))?.state === 'dead')
    assert.ok(crew.numbersOf(delivery).length > 0)
  })
}

/** Repeats an operation for as long as it rejects: the inbox may need new connections first. */
async function inTheEnd<Result>(bench: Bench, run: () => Promise<Result>): Promise<void> {
  await bench.until('an operation works again', async () => {
    try {
      await run()
      return true
    } catch {
      return false
    }
  })
}
