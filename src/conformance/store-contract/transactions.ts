import assert from 'node:assert/strict'
import type { HeldClaim, IdempotencyStore } from '../../stores/store.ts'
import { times } from '../times.ts'
import { eventually } from './connections.ts'
import { assertInFlight, type Harness, held, lease, month, type Rule } from './harness.ts'

/** What a store can do that opens transactions. */
type TransactionalStore = IdempotencyStore & Required<Pick<IdempotencyStore, 'transaction'>>

/** Transactions that a store opens itself. A store without them has nothing to keep here. */
export function transactionRules(rule: Rule): void {
  const ruleOf = ruleFor(rule)

  ruleOf('a completion in a transaction counts once it is committed', async (harness) => {
    const { store, key, claim, hold } = harness
    const mine = await hold(key, 'a')
    const result = await store.transaction((transaction) =>
      then(completeIn(store, mine, transaction), (isMarked) => ({ isMarked })),
    )
    assert.deepEqual(result, { isMarked: true })
    assert.equal((await claim(key, 'b')).state, 'completed')
  })

  ruleOf(
    'a transaction whose work throws is rolled back and rejects with the same error',
    async ({ store, key, claim, hold }) => {
      const mine = await hold(key, 'a')
      const failure = new Error('the work failed')
      const failing = store.transaction((transaction) =>
        then(completeIn(store, mine, transaction), () => {
          throw failure
        }),
      )
      await assert.rejects(failing, (error) => error === failure)
      assertInFlight(await claim(key, 'b'))
      assert.equal(await store.extend(mine, { leaseMs: lease }), true)
      assert.equal(await store.complete(mine, { retentionMs: month }), true)
    },
  )

  ruleOf(
    'a completion in a transaction is refused to an owner that lost its key',
    async ({ store, key, hold, pass }) => {
      const late = await hold(key, 'a')
      await pass(lease + 1)
      const mine = await hold(key, 'b')
      const isMarked = await store.transaction((transaction) =>
        completeIn(store, late, transaction),
      )
      assert.equal(isMarked, false)
      assert.equal(await store.extend(mine, { leaseMs: lease }), true)
    },
  )

  ruleOf(
    '20 simultaneous transactions complete their keys, except those that fail',
    async ({ store, key, claim, hold }) => {
      const claims = await times(20, (index) => hold(`${key}-${index}`, 'a'))
      const ends = await Promise.allSettled(
        claims.map((mine, index) =>
          store.transaction((transaction) =>
            then(completeIn(store, mine, transaction), (isMarked) => {
              if (index % 2 === 0) return isMarked
              throw new Error('the work failed')
            }),
          ),
        ),
      )
      const states = await times(20, async (index) => (await claim(`${key}-${index}`, 'b')).state)
      for (const [index, { status }] of ends.entries()) {
        const isEven = index % 2 === 0
        assert.equal(status, isEven ? 'fulfilled' : 'rejected')
        assert.equal(states[index], isEven ? 'completed' : 'in_flight')
      }
    },
  )
}

/** Transactions whose connections are lost. */
export function lostTransactionRules(
  rule: Rule,
  breakConnection: (store: IdempotencyStore) => Promise<void>,
): void {
  ruleFor(rule)(
    'a transaction whose connection is lost rejects, is rolled back, and can be repeated',
    async ({ store, key, hold }) => {
      const mine = await hold(key, 'a')
      const cut = store.transaction(async (transaction) => {
        await completeIn(store, mine, transaction)
        await breakConnection(store)
        return await completeIn(store, mine, transaction)
      })
      await assert.rejects(cut)
      const isMarked = await eventually(() =>
        store.transaction((transaction) => completeIn(store, mine, transaction)),
      )
      assert.equal(isMarked, true)
      assert.equal(await store.status(key), 'completed')
    },
  )
}

type TransactionHarness = Harness & { readonly store: TransactionalStore }

function ruleFor(rule: Rule) {
  return (name: string, run: (harness: TransactionHarness) => Promise<void>) =>
    rule(name, async (harness) => {
      const { store } = harness
      if (hasTransactions(store)) await run({ ...harness, store })
    })
}

function hasTransactions(store: IdempotencyStore): store is TransactionalStore {
  return store.transaction !== undefined
}

function completeIn(store: IdempotencyStore, claim: HeldClaim, transaction: unknown) {
  return store.complete(held(claim), { retentionMs: month, transaction })
}

/** Continues synchronously without a promise: work on a synchronous driver must not be awaited. */
function then<Value, Result>(
  value: Value | Promise<Value>,
  next: (value: Value) => Result,
): Result | Promise<Result> {
  return value instanceof Promise ? value.then(next) : next(value)
}
