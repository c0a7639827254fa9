import assert from 'node:assert/strict'
import { times } from '../times.ts'
import { assertInFlight, lease, margin, month, type Rule } from './harness.ts'

/** What can be asked of a key without claiming it. */
export function statusRules(rule: Rule): void {
  rule(
    'a key is unknown, then in flight during its lease, then completed during its retention',
    async ({ store, key, hold, pass }) => {
      assert.equal(await store.status(key), 'unknown')
      const mine = await hold(key, 'a')
      await pass(lease - margin)
      assert.equal(await store.status(key), 'in_flight')
      assert.equal(await store.complete(mine, { retentionMs: month }), true)
      await pass(month - margin)
      assert.equal(await store.status(key), 'completed')
      await pass(margin + 1)
      assert.equal(await store.status(key), 'unknown')
    },
  )

  rule(
    'a key that was released or forgotten, or whose lease expired, is unknown',
    async ({ store, key, hold, completeNew, pass }) => {
      await store.release(await hold(`${key}-released`, 'a'))
      assert.equal(await store.status(`${key}-released`), 'unknown')
      await completeNew(`${key}-forgotten`, 'a')
      await store.forget(`${key}-forgotten`)
      assert.equal(await store.status(`${key}-forgotten`), 'unknown')
      await hold(key, 'a')
      await pass(lease + 1)
      assert.equal(await store.status(key), 'unknown')
    },
  )

  rule(
    'status() changes nothing: no lease, no fence, no retention',
    async ({ store, key, claim, hold, completeNew, pass }) => {
      const ask = () => times(10, () => store.status(key))
      await ask()
      const mine = await hold(key, 'a')
      assert.equal(mine.fence, 1)
      await pass(lease - margin)
      await ask()
      assertInFlight(await claim(key, 'b'), margin)
      await pass(margin + 1)
      await ask()
      // The late owner is still the last one.
      assert.equal(await store.extend(mine, { leaseMs: lease }), true)
      await store.release(mine)
      await ask()
      const next = await completeNew(key, 'b')
      assert.deepEqual([next.fence, next.attempt], [2, 2])
      await pass(month - margin)
      await ask()
      await pass(margin + 1)
      assert.notEqual((await hold(key, 'c')).fence, 2)
    },
  )

  rule(
    'status() of many keys at once answers for each of them',
    async ({ store, key, hold, completeNew }) => {
      const count = 60
      await times(count / 3, (index) => hold(`${key}-${3 * index}`, 'a'))
      await times(count / 3, (index) => completeNew(`${key}-${3 * index + 1}`, 'a'))
      assert.deepEqual(
        await times(count, (index) => store.status(`${key}-${index}`)),
        Array.from({ length: count / 3 }, () => ['in_flight', 'completed', 'unknown']).flat(),
      )
    },
  )
}
