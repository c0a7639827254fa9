import assert from 'node:assert/strict'
import type { Inbox } from '../../inboxes/inbox.ts'
import type { Decide, Run } from './crew.ts'
import { type Bench, dead, done, newDelivery, type Rule, retry } from './harness.ts'
import { type LoseLease, takenOver } from './lost-leases.ts'

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
    rule(`what is completed in a transaction is done by its commit${name}`, async (bench) => {
      const { delivery, runs } = await runOne(bench, async (run) => {
        const { transaction, commit } = await begin(bench.inbox)
        const isMarked = await completed(run, transaction)
        await commit()
        assert.equal(isMarked, true)
        return verdict
      })
      assert.deepEqual([runs.length, await bench.inbox.entry(delivery.key)], [1, undefined])
    })
  }

  rule('a transaction that is rolled back completes nothing', async (bench) => {
    const { delivery, runs } = await runOne(bench, async (run) => {
      if (run.number > 1) return done
      const { transaction, rollback } = await begin(bench.inbox)
      const isMarked = await completed(run, transaction)
      await rollback()
      assert.equal(isMarked, true)
      return retry(0)
    })
    assert.deepEqual(
      runs.map(({ number }) => number),
      [1, 2],
    )
    assert.equal(await bench.inbox.entry(delivery.key), undefined)
  })

  rule('what was rolled back is done when process says so', async (bench) => {
    const { delivery, runs } = await runOne(bench, async (run) => {
      const { transaction, rollback } = await begin(bench.inbox)
      await completed(run, transaction)
      await rollback()
      return done
    })
    assert.deepEqual([runs.length, await bench.inbox.entry(delivery.key)], [1, undefined])
  })

  rule('what is no transaction of its database completes nothing', async (bench) => {
    const { runs } = await runOne(bench, async (run) => {
      if (run.number > 1) return done
      for (const other of [{}, undefined, 'BEGIN', new Map()]) {
        assert.equal(await completed(run, other), undefined)
      }
      return retry(0)
    })
    assert.equal(runs.length, 2)
  })

  if (loseLease === undefined) return
  rule('a worker cannot complete what it has lost', async (bench) => {
    const { delivery, first, second, other, halted, end } = await takenOver(bench, loseLease)
    const { transaction, commit } = await begin(bench.inbox)
    const [run] = first.runs
    assert.ok(run)
    assert.equal(await completed(run, transaction), false)
    await commit()
    assert.equal((await other.entry(delivery.key))?.state, 'running')
    halted.open()
    second.change(() => dead())
    end.open()
    await bench.untilIdle(other)
    assert.equal((await other.entry(delivery.key))?.state, 'dead')
  })

  rule('a worker that dies after the commit leaves nothing to do', async (bench) => {
    bench.mayErr()
    const delivery = newDelivery()
    await bench.put(delivery)
    let isCommitted = false
    const crew = await bench.work(
      bench.inbox,
      async (run) => {
        const { transaction, commit } = await begin(bench.inbox)
        await completed(run, transaction)
        await commit()
        isCommitted = true
        return await new Promise(() => {})
      },
      1,
    )
    await bench.until('it is completed', () => isCommitted)
    await loseLease(bench.inbox, delivery.key)
    const next = await bench.work(await bench.another())
    await bench.witness()
    assert.deepEqual([crew.runs.length, next.runs.length], [1, 0])
  })
}

/** Puts one delivery, and runs it until it is done or dead. What goes wrong in `decide` is thrown. */
async function runOne(bench: Bench, decide: Decide) {
  const delivery = newDelivery()
  await bench.put(delivery)
  let problem: unknown
  const crew = await bench.work(bench.inbox, async (run) => {
    try {
      return await decide(run)
    } catch (error) {
      problem = error
      return dead()
    }
  })
  await bench.untilIdle()
  if (problem !== undefined) throw problem
  await bench.witness()
  return { delivery, runs: crew.runs }
}

async function completed({ attempt }: Run, transaction: unknown): Promise<boolean | undefined> {
  assert.ok(attempt.complete, 'the attempt has no complete()')
  return await attempt.complete(transaction)
}
