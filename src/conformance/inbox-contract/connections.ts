import assert from 'node:assert/strict'
import type { Inbox } from '../../inboxes/inbox.ts'
import { pause } from '../../testing/pause.ts'
import { allEntries } from './entries.ts'
import {
  completed,
  dead,
  type Harness,
  idsOf,
  newDeliveries,
  newDelivery,
  type Rule,
  retry,
} from './harness.ts'
import type { LoseLease } from './lost-leases.ts'

/** Cuts the connections of an inbox to its server, which stays up. */
export type BreakConnection = (inbox: Inbox) => Promise<void>

/** Lost connections. Deliveries may run twice then, but none may be lost. */
export function connectionRules(
  rule: Rule,
  breakConnection: BreakConnection,
  loseLease: LoseLease = async () => {},
): void {
  async function loseAll(inbox: Inbox): Promise<void> {
    for (const { id } of await allEntries(inbox, { state: 'running' })) await loseLease(inbox, id)
  }

  rule(
    'a put() that loses its connection rejects or counts, and can be repeated',
    async (harness) => {
      harness.allowErrors()
      const deliveries = newDeliveries(20)
      const cut = deliveries.map((delivery) => harness.inbox.put(delivery, { key: delivery.key }))
      const settled = Promise.allSettled(cut)
      await breakConnection(harness.inbox)
      const accepted: string[] = []
      for (const [index, one] of (await settled).entries()) {
        if (one.status === 'fulfilled') accepted.push(deliveries[index]?.key ?? '')
      }
      const other = await harness.reopen()
      for (const id of accepted) assert.ok(await other.entry(id), 'what was accepted is not there')
      for (const delivery of deliveries) {
        await eventually(harness, () => harness.inbox.put(delivery, { key: delivery.key }))
      }
      const worker = await harness.startWorker(other)
      await harness.untilIdle(other)
      assert.deepEqual([...new Set(worker.ids)].toSorted(), idsOf(deliveries).toSorted())
    },
  )

  rule('a worker recovers from lost connections by itself', async (harness) => {
    harness.allowErrors()
    const other = await harness.reopen()
    const deliveries = newDeliveries(60)
    await harness.put(deliveries.slice(0, 50))
    const worker = await harness.startWorker(
      harness.inbox,
      async ({ number }) => {
        await pause(5)
        return number === 1 ? retry(10) : completed
      },
      5,
    )
    for (const runs of [10, 40]) {
      await harness.until('some have run', () => worker.runs.length >= runs)
      await breakConnection(harness.inbox)
    }
    for (const delivery of deliveries.slice(50)) {
      await eventually(harness, () => harness.inbox.put(delivery, { key: delivery.key }))
    }
    const isRunAgain = (id: string) => worker.runs.some((run) => run.id === id && run.number > 1)
    await harness.until('each has reached its second attempt', async () => {
      if (idsOf(deliveries).every(isRunAgain)) return true
      const { waiting, delayed } = await other.stats()
      // The rest was claimed but the answer got lost. It runs again when its lease expires.
      if (waiting + delayed + worker.running.length === 0) await loseAll(other)
      return false
    })
  })

  rule('an idle worker that lost its connection picks up the next delivery', async (harness) => {
    harness.allowErrors()
    const worker = await harness.startWorker(harness.inbox, () => dead())
    await harness.runSentinels()
    await breakConnection(harness.inbox)
    const delivery = newDelivery()
    const other = await harness.reopen()
    await harness.put(delivery, undefined, other)
    await harness.until(
      'it is dead',
      async () => (await other.entry(delivery.key))?.state === 'dead',
    )
    assert.ok(worker.numbersOf(delivery).length > 0)
  })
}

/** Repeats an operation while it rejects: the inbox may need new connections first. */
async function eventually<Result>(harness: Harness, run: () => Promise<Result>): Promise<void> {
  await harness.until('an operation works again', async () => {
    try {
      await run()
      return true
    } catch {
      return false
    }
  })
}
