import assert from 'node:assert/strict'
import type { Inbox } from '../../inboxes/inbox.ts'
import { completed, dead, type Harness, newDelivery, type Rule, retry } from './harness.ts'
import { type LoseLease, takenOver } from './lost-leases.ts'
import type { Decide, Run } from './recording-worker.ts'

/** An open transaction in the inbox's own database. */
export interface InboxTransaction {
  /** What a handler passes to `complete` of the attempt. */
  readonly transaction: unknown
  commit(): unknown
  rollback(): unknown
}

export type Begin = (inbox: Inbox) => InboxTransaction | Promise<InboxTransaction>

/** Deliveries that a handler completes in its own transaction. */
export function transactionRules(rule: Rule, begin: Begin, loseLease: LoseLease | undefined): void {
  for (const [name, result] of [
    ['', completed],
    [', even if its handler fails afterwards', retry(0)],
    [', even if it is dead-lettered afterwards', dead()],
  ] as const) {
    rule(
      `a delivery completed in a transaction is gone with its commit${name}`,
      async (harness) => {
        const { delivery, runs } = await runOne(harness, async (run) => {
          const { transaction, commit } = await begin(harness.inbox)
          const isMarked = await completeIn(run, transaction)
          await commit()
          assert.equal(isMarked, true)
          return result
        })
        assert.deepEqual([runs.length, await harness.inbox.entry(delivery.key)], [1, undefined])
      },
    )
  }

  rule('a rolled-back transaction completes nothing', async (harness) => {
    const { delivery, runs } = await runOne(harness, async (run) => {
      if (run.number > 1) return completed
      const { transaction, rollback } = await begin(harness.inbox)
      const isMarked = await completeIn(run, transaction)
      await rollback()
      assert.equal(isMarked, true)
      return retry(0)
    })
    assert.deepEqual(
      runs.map(({ number }) => number),
      [1, 2],
    )
    assert.equal(await harness.inbox.entry(delivery.key), undefined)
  })

  rule(
    'a delivery whose transaction was rolled back can still complete through its result',
    async (harness) => {
      const { delivery, runs } = await runOne(harness, async (run) => {
        const { transaction, rollback } = await begin(harness.inbox)
        await completeIn(run, transaction)
        await rollback()
        return completed
      })
      assert.deepEqual([runs.length, await harness.inbox.entry(delivery.key)], [1, undefined])
    },
  )

  rule('complete() does nothing without a transaction of its own database', async (harness) => {
    const { runs } = await runOne(harness, async (run) => {
      if (run.number > 1) return completed
      for (const other of [{}, undefined, 'BEGIN', new Map()]) {
        assert.equal(await completeIn(run, other), undefined)
      }
      return retry(0)
    })
    assert.equal(runs.length, 2)
  })

  if (loseLease === undefined) return
  rule(
    'a worker that lost its lease cannot complete the delivery in a transaction',
    async (harness) => {
      const { delivery, first, second, other, halted, end } = await takenOver(harness, loseLease)
      const { transaction, commit } = await begin(harness.inbox)
      const [run] = first.runs
      assert.ok(run)
      assert.equal(await completeIn(run, transaction), false)
      await commit()
      assert.equal((await other.entry(delivery.key))?.state, 'running')
      halted.open()
      second.change(() => dead())
      end.open()
      await harness.untilIdle(other)
      assert.equal((await other.entry(delivery.key))?.state, 'dead')
    },
  )

  rule('a worker that dies after the commit leaves nothing to run', async (harness) => {
    harness.allowErrors()
    const delivery = newDelivery()
    await harness.put(delivery)
    let isCommitted = false
    const worker = await harness.startWorker(
      harness.inbox,
      async (run) => {
        const { transaction, commit } = await begin(harness.inbox)
        await completeIn(run, transaction)
        await commit()
        isCommitted = true
        return await new Promise(() => {})
      },
      1,
    )
    await harness.until('it is completed', () => isCommitted)
    await loseLease(harness.inbox, delivery.key)
    const next = await harness.startWorker(await harness.reopen())
    await harness.runSentinels()
    assert.deepEqual([worker.runs.length, next.runs.length], [1, 0])
  })
}

/** Puts one delivery and runs it until it is completed or dead. Rethrows errors of `decide`. */
async function runOne(harness: Harness, decide: Decide) {
  const delivery = newDelivery()
  await harness.put(delivery)
  let problem: unknown
  const worker = await harness.startWorker(harness.inbox, async (run) => {
    try {
      return await decide(run)
    } catch (error) {
      problem = error
      return dead()
    }
  })
  await harness.untilIdle()
  if (problem !== undefined) throw problem
  await harness.runSentinels()
  return { delivery, runs: worker.runs }
}

async function completeIn({ attempt }: Run, transaction: unknown): Promise<boolean | undefined> {
  assert.ok(attempt.complete, 'the attempt has no complete()')
  return await attempt.complete(transaction)
}
