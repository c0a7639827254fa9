import assert from 'node:assert/strict'
import type { Inbox } from '../../inboxes/inbox.ts'
import { dead, done, type Harness, newDelivery, type Rule, retry } from './harness.ts'
import { type LoseLease, takenOver } from './lost-leases.ts'
import type { Decide, Run } from './test-worker.ts'

/** A transaction in the inbox's own database, open. */
export interface InboxTransaction {
  /** What a handler has in hand: what `complete` of the attempt is given. */
  readonly transaction: unknown
  commit(): unknown
  rollback(): unknown
}

export type Begin = (inbox: Inbox) => InboxTransaction | Promise<InboxTransaction>

/** Deliveries that are done by the transaction of a handler. */
export function transactionRules(rule: Rule, begin: Begin, loseLease: LoseLease | undefined): void {
  for (const [name, verdict] of [
    ['', done],
    [', although its handler failed after that', retry(0)],
    [', although it was parked after that', dead()],
  ] as const) {
    rule(`what is completed in a transaction is done by its commit${name}`, async (harness) => {
      const { delivery, runs } = await runOne(harness, async (run) => {
        const { transaction, commit } = await begin(harness.inbox)
        const isMarked = await completed(run, transaction)
        await commit()
        assert.equal(isMarked, true)
        return verdict
      })
      assert.deepEqual([runs.length, await harness.inbox.entry(delivery.key)], [1, undefined])
    })
  }

  rule('a transaction that is rolled back completes nothing', async (harness) => {
    const { delivery, runs } = await runOne(harness, async (run) => {
      if (run.number > 1) return done
      const { transaction, rollback } = await begin(harness.inbox)
      const isMarked = await completed(run, transaction)
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

  rule('what was rolled back is done when process says so', async (harness) => {
    const { delivery, runs } = await runOne(harness, async (run) => {
      const { transaction, rollback } = await begin(harness.inbox)
      await completed(run, transaction)
      await rollback()
      return done
    })
    assert.deepEqual([runs.length, await harness.inbox.entry(delivery.key)], [1, undefined])
  })

  rule('what is no transaction of its database completes nothing', async (harness) => {
    const { runs } = await runOne(harness, async (run) => {
      if (run.number > 1) return done
      for (const other of [{}, undefined, 'BEGIN', new Map()]) {
        assert.equal(await completed(run, other), undefined)
      }
      return retry(0)
    })
    assert.equal(runs.length, 2)
  })

  if (loseLease === undefined) return
  rule('a worker cannot complete what it has lost', async (harness) => {
    const { delivery, first, second, other, halted, end } = await takenOver(harness, loseLease)
    const { transaction, commit } = await begin(harness.inbox)
    const [run] = first.runs
    assert.ok(run)
    assert.equal(await completed(run, transaction), false)
    await commit()
    assert.equal((await other.entry(delivery.key))?.state, 'running')
    halted.open()
    second.change(() => dead())
    end.open()
    await harness.untilIdle(other)
    assert.equal((await other.entry(delivery.key))?.state, 'dead')
  })

  rule('a worker that dies after the commit leaves nothing to do', async (harness) => {
    harness.mayErr()
    const delivery = newDelivery()
    await harness.put(delivery)
    let isCommitted = false
    const worker = await harness.work(
      harness.inbox,
      async (run) => {
        const { transaction, commit } = await begin(harness.inbox)
        await completed(run, transaction)
        await commit()
        isCommitted = true
        return await new Promise(() => {})
      },
      1,
    )
    await harness.until('it is completed', () => isCommitted)
    await loseLease(harness.inbox, delivery.key)
    const next = await harness.work(await harness.another())
    await harness.witness()
    assert.deepEqual([worker.runs.length, next.runs.length], [1, 0])
  })
}

/** Puts one delivery, and runs it until it is done or dead. What goes wrong in `decide` is thrown. */
async function runOne(harness: Harness, decide: Decide) {
  const delivery = newDelivery()
  await harness.put(delivery)
  let problem: unknown
  const worker = await harness.work(harness.inbox, async (run) => {
    try {
      return await decide(run)
    } catch (error) {
      problem = error
      return dead()
    }
  })
  await harness.untilIdle()
  if (problem !== undefined) throw problem
  await harness.witness()
  return { delivery, runs: worker.runs }
}

async function completed({ attempt }: Run, transaction: unknown): Promise<boolean | undefined> {
  assert.ok(attempt.complete, 'the attempt has no complete()')
  return await attempt.complete(transaction)
}
