import assert from 'node:assert/strict'
import { assertInFlight, day, held, lease, margin, month, type Rule } from './harness.ts'

/** How long a key is held, and what is left to an owner that lost it. */
export function leaseRules(rule: Rule): void {
  rule('an expired lease is taken over with the next fence', async ({ key, claim, hold, pass }) => {
    await hold(key, 'a')
    await pass(lease - margin)
    assertInFlight(await claim(key, 'b'), margin)
    await pass(margin + 1)
    assert.equal((await hold(key, 'b')).fence, 2)
  })

  rule('an extended lease lasts for the new time', async ({ store, key, claim, hold, pass }) => {
    const mine = await hold(key, 'a')
    await pass(lease - margin)
    assert.equal(await store.extend(mine, { leaseMs: lease }), true)
    await pass(lease - margin)
    assert.equal((await claim(key, 'b')).state, 'in_flight')
    await pass(margin + 1)
    assert.equal((await hold(key, 'b')).fence, 2)
  })

  rule(
    'a claim repeated by its owner lasts for the new time',
    async ({ key, claim, hold, pass }) => {
      await hold(key, 'a')
      await pass(lease - margin)
      await hold(key, 'a')
      await pass(lease - margin)
      assert.equal((await claim(key, 'b')).state, 'in_flight')
      await pass(margin + 1)
      assert.equal((await hold(key, 'b')).fence, 2)
    },
  )

  rule(
    'an owner whose expired lease was not taken over can claim or extend it again, with the same fence',
    async ({ store, key, claim, hold, pass }) => {
      const mine = await hold(key, 'a')
      await pass(10 * lease)
      const again = await hold(key, 'a')
      assert.deepEqual([again.fence, again.attempt], [1, 1])
      assertInFlight(await claim(key, 'b'))
      await pass(10 * lease)
      assert.equal(await store.extend(mine, { leaseMs: lease }), true)
      assertInFlight(await claim(key, 'b'))
      assert.equal(await store.complete(mine, { retentionMs: month }), true)
    },
  )

  rule('a lease of 24 days lasts 24 days', async ({ store, key, claim, pass }) => {
    const leaseMs = 24 * day
    held(await store.claim(key, { owner: 'a', leaseMs, fingerprint: 'f' }))
    assertInFlight(await claim(key, 'b'), leaseMs)
    await pass(leaseMs - margin)
    assertInFlight(await claim(key, 'b'), margin)
    await pass(margin + 1)
    assert.equal(held(await claim(key, 'b')).fence, 2)
  })

  rule(
    'an owner that lost its key cannot complete, release or extend it',
    async ({ store, key, claim, hold, pass }) => {
      const zombie = await hold(key, 'a')
      await pass(lease + 1)
      const successor = await hold(key, 'b')
      assert.equal(await store.complete(zombie, { retentionMs: month }), false)
      assert.equal((await claim(key, 'c')).state, 'in_flight')
      assert.equal(await store.release(zombie), false)
      assert.equal((await claim(key, 'c')).state, 'in_flight')
      assert.equal(await store.extend(zombie, { leaseMs: 100 * lease }), false)
      await pass(lease + 1)
      assert.equal((await hold(key, 'c')).fence, successor.fence + 1)
    },
  )

  rule(
    'an owner that lost its key changes nothing after its successor completed it',
    async ({ store, key, claim, hold, completeNew, pass }) => {
      const zombie = await hold(key, 'a')
      await pass(lease + 1)
      await completeNew(key, 'b')
      assert.equal(await store.release(zombie), false)
      assert.equal(await store.complete(zombie, { retentionMs: 1 }), false)
      assert.equal(await store.extend(zombie, { leaseMs: lease }), false)
      assert.equal((await claim(key, 'c')).state, 'completed')
    },
  )

  rule('the same owner with an old fence changes nothing', async ({ store, key, claim, hold }) => {
    const first = await hold(key, 'a')
    await store.release(first)
    await hold(key, 'a')
    assert.equal(await store.release(first), false)
    assert.equal(await store.extend(first, { leaseMs: lease }), false)
    assert.equal(await store.complete(first, { retentionMs: month }), false)
    assert.equal((await claim(key, 'b')).state, 'in_flight')
  })

  rule(
    'a claim whose fence is not an integer changes nothing',
    async ({ store, key, claim, hold }) => {
      const mine = await hold(key, 'a')
      for (const fence of [1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '1', undefined]) {
        const odd = { ...mine, fence: fence as number }
        assert.equal(await store.extend(odd, { leaseMs: lease }), false)
        assert.equal(await store.complete(odd, { retentionMs: month }), false)
        assert.equal(await store.release(odd), false)
      }
      assert.equal((await claim(key, 'b')).state, 'in_flight')
    },
  )

  rule('a claim of an unknown key changes nothing', async ({ store, key, hold }) => {
    const never = { state: 'claimed', key, owner: 'a', fence: 1, attempt: 1 } as const
    assert.equal(await store.extend(never, { leaseMs: lease }), false)
    assert.equal(await store.complete(never, { retentionMs: month }), false)
    assert.equal(await store.release(never), false)
    assert.equal((await hold(key, 'b')).fence, 1)
  })

  rule(
    'fences rise by one over 50 rounds of expiring, releasing and forgetting',
    async ({ store, key, hold, completeNew, pass }) => {
      for (let round = 0; round < 50; round++) {
        const way = round % 4
        const mine = await (way === 0 ? completeNew(key, 'x') : hold(key, `owner-${round % 3}`))
        assert.deepEqual([mine.fence, mine.attempt], [round + 1, round + 1])
        if (way === 0) await store.forget(key)
        if (way === 1) await store.release(mine)
        if (way > 1) await pass(lease + 1)
        if (way === 3) await store.forget(key)
      }
    },
  )
}
