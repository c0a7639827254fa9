import assert from 'node:assert/strict'
import { times } from '../times.ts'
import { assertInFlight, day, held, lease, margin, month, type Rule, wonOf } from './harness.ts'

/** How a key ends: completed, released or forgotten, and for how long. */
export function settlementRules(rule: Rule): void {
  rule(
    'a completed key stays completed, with the fingerprint of the delivery that completed it',
    async ({ key, claim, completeNew }) => {
      await completeNew(key, 'a')
      assert.deepEqual(await claim(key, 'b', 'another'), { state: 'completed', fingerprint: 'f' })
      assert.deepEqual(await claim(key, 'a'), { state: 'completed', fingerprint: 'f' })
    },
  )

  rule(
    'a completion can be repeated after a lost reply',
    async ({ store, key, claim, completeNew }) => {
      const mine = await completeNew(key, 'a')
      assert.equal(await store.complete(mine, { retentionMs: month }), true)
      const both = await times(2, async () => store.complete(mine, { retentionMs: month }))
      assert.deepEqual(both, [true, true])
      assert.equal((await claim(key, 'b')).state, 'completed')
    },
  )

  rule(
    'a completed key can no longer be extended or released',
    async ({ store, key, claim, completeNew }) => {
      const mine = await completeNew(key, 'a')
      assert.equal(await store.extend(mine, { leaseMs: lease }), false)
      assert.equal(await store.release(mine), false)
      assert.equal((await claim(key, 'b')).state, 'completed')
    },
  )

  rule(
    'a late completion counts if no other owner took over',
    async ({ store, key, claim, hold, pass }) => {
      const late = await hold(key, 'a')
      await pass(10 * lease)
      assert.equal(await store.complete(late, { retentionMs: month }), true)
      assert.equal((await claim(key, 'b')).state, 'completed')
    },
  )

  for (const [length, retentionMs] of [
    ['30 days', month],
    ['10 years', 3_652 * day],
  ] as const) {
    rule(
      `a completed key is remembered for ${length} and can be claimed afterwards`,
      async ({ store, key, claim, hold, pass }) => {
        await store.complete(await hold(key, 'a'), { retentionMs })
        await pass(retentionMs - margin)
        assert.equal((await claim(key, 'b')).state, 'completed')
        await pass(margin + 1)
        assert.equal((await claim(key, 'b')).state, 'claimed')
      },
    )
  }

  rule(
    'a completed key is forgotten when its retention ends, even if its lease was longer',
    async ({ store, key, claim, pass }) => {
      const options = { owner: 'a', leaseMs: 10 * day, fingerprint: 'f' }
      const mine = held(await store.claim(key, options))
      assert.equal(await store.complete(mine, { retentionMs: 5_000 }), true)
      assert.equal((await claim(key, 'b')).state, 'completed')
      await pass(5_001)
      assert.equal((await claim(key, 'b')).state, 'claimed')
    },
  )

  rule(
    'a released key can be claimed at once, with the next fence and attempt',
    async ({ store, key, hold }) => {
      const mine = await hold(key, 'a')
      assert.equal(await store.release(mine), true)
      const next = await hold(key, 'b')
      assert.deepEqual([next.fence, next.attempt], [2, 2])
      assert.equal(await store.release(mine), false)
    },
  )

  rule('an owner that released its key can no longer change it', async ({ store, key, hold }) => {
    const mine = await hold(key, 'a')
    await store.release(mine)
    assert.equal(await store.complete(mine, { retentionMs: month }), false)
    assert.equal(await store.extend(mine, { leaseMs: lease }), false)
    assert.equal((await hold(key, 'b')).fence, 2)
  })

  rule(
    'a released key keeps its fence while other keys come and go',
    async ({ store, key, hold, completeNew }) => {
      await store.release(await hold(key, 'a'))
      for (let index = 0; index < 20; index++) await completeNew(`${key}-${index}`, 'x')
      assert.equal((await hold(key, 'b')).fence, 2)
    },
  )
}

/** What an operator may do: make a finished event runnable again. */
export function forgetRules(rule: Rule): void {
  rule(
    'a completed key that is forgotten can be claimed, with the next fence and attempt',
    async ({ store, key, claim, hold, completeNew }) => {
      const mine = await completeNew(key, 'a')
      assert.equal(await store.forget(key), 'forgotten')
      assert.equal(await store.complete(mine, { retentionMs: month }), false)
      const next = await hold(key, 'b')
      assert.deepEqual([next.fence, next.attempt], [2, 2])
      assert.equal(await store.complete(mine, { retentionMs: month }), false)
      assertInFlight(await claim(key, 'c'))
    },
  )

  rule('a held key cannot be forgotten', async ({ store, key, claim, hold }) => {
    const mine = await hold(key, 'a')
    assert.equal(await store.forget(key), 'in_flight')
    assertInFlight(await claim(key, 'b'))
    assert.equal(await store.extend(mine, { leaseMs: lease }), true)
    assert.equal((await hold(key, 'a')).fence, 1)
    assert.equal(await store.complete(mine, { retentionMs: month }), true)
    assert.equal((await claim(key, 'b')).state, 'completed')
  })

  rule(
    'forgetting a key with an expired lease takes it from its owner',
    async ({ store, key, hold, pass }) => {
      const late = await hold(key, 'a')
      await pass(lease + 1)
      assert.equal(await store.forget(key), 'forgotten')
      assert.equal(await store.extend(late, { leaseMs: lease }), false)
      assert.equal(await store.complete(late, { retentionMs: month }), false)
      assert.equal(await store.release(late), false)
      assert.equal((await hold(key, 'b')).fence, 2)
    },
  )

  rule(
    'forget() answers unknown for a key that was never claimed, was released or forgotten, or is past its retention',
    async ({ store, key, hold, completeNew, pass }) => {
      assert.equal(await store.forget(key), 'unknown')
      assert.equal((await hold(key, 'a')).fence, 1)
      await store.release(await hold(`${key}-released`, 'a'))
      assert.equal(await store.forget(`${key}-released`), 'unknown')
      assert.equal((await hold(`${key}-released`, 'b')).fence, 2)
      await completeNew(`${key}-forgotten`, 'a')
      await store.forget(`${key}-forgotten`)
      assert.equal(await store.forget(`${key}-forgotten`), 'unknown')
      assert.equal((await hold(`${key}-forgotten`, 'b')).fence, 2)
      await completeNew(`${key}-old`, 'a')
      await pass(month + 1)
      assert.equal(await store.forget(`${key}-old`), 'unknown')
      assert.equal((await hold(`${key}-old`, 'b')).state, 'claimed')
    },
  )

  rule(
    'a key claimed and forgotten 20 times simultaneously has at most one winner',
    async ({ store, key, claim, hold, completeNew }) => {
      await completeNew(key, 'a')
      const [claims] = await Promise.all([
        times(20, (index) => claim(key, `owner-${index}`)),
        times(20, () => store.forget(key)),
      ])
      const won = wonOf(claims)
      assert.ok(won.length <= 1, `${won.length} claims were won`)
      const { fence } = won[0] ?? (await hold(key, 'b'))
      assert.equal(fence, 2)
    },
  )
}
