import assert from 'node:assert/strict'
import type { Claim, HeldClaim } from '../../stores/store.ts'
import { times } from '../times.ts'
import { assertBetween, assertInFlight, held, lease, month, type Rule, wonOf } from './harness.ts'

/** Many keys at once: a store that puts operations together must not mix them up. */
export function concurrencyRules(rule: Rule): void {
  rule(
    '500 keys claimed simultaneously each get their own answer',
    async ({ key, claim, store }) => {
      const claims = await times(500, (index) => claim(`${key}-${index}`, `o${index}`, `f${index}`))
      for (const [index, won] of claims.entries()) {
        const expected = { state: 'claimed', key: `${key}-${index}`, owner: `o${index}` }
        assert.deepEqual(won, { ...expected, fence: 1, attempt: 1 })
      }
      const done = await times(500, async (index) =>
        store.complete(held(claims[index]), { retentionMs: month }),
      )
      assert.deepEqual(new Set(done), new Set([true]))
      for (const [index, repeat] of (
        await times(500, (i) => claim(`${key}-${i}`, 'x'))
      ).entries()) {
        assert.deepEqual(repeat, { state: 'completed', fingerprint: `f${index}` })
      }
    },
  )

  rule('200 simultaneous claims of 20 keys have one winner per key', async ({ key, claim }) => {
    const claims = await times(200, (index) => claim(`${key}-${index % 20}`, `owner-${index}`))
    const keys = wonOf(claims).map((won) => won.key)
    assert.equal(keys.length, 20)
    assert.equal(new Set(keys).size, 20)
    for (const other of claims) if (other.state !== 'claimed') assertInFlight(other)
    for (const [index, won] of claims.entries()) {
      if (won.state !== 'claimed') continue
      assert.deepEqual([won.key, won.owner], [`${key}-${index % 20}`, `owner-${index}`])
    }
  })

  rule(
    'free, held, released and completed keys claimed simultaneously each get their own answer',
    async ({ store, key, claim, hold, completeNew }) => {
      const kinds = ['free', 'held', 'released', 'completed'] as const
      await times(40, async (index) => {
        const kind = kinds[index % 4]
        const name = `${key}-${index}`
        if (kind === 'held') await hold(name, 'first')
        if (kind === 'released') await store.release(await hold(name, 'first'))
        if (kind === 'completed') await completeNew(name, 'first')
      })
      const claims = await times(40, (index) => claim(`${key}-${index}`, `owner-${index}`))
      const expected = Array.from({ length: 10 }, () => [1, 'in_flight', 2, 'completed']).flat()
      assert.deepEqual(claims.map(seen), expected)
    },
  )

  rule(
    'leases of different lengths, claimed or extended simultaneously, each end on time',
    async ({ store, key, claim, pass }) => {
      const leaseOf = (index: number) => (index + 1) * 10_000
      const claims = await times(20, (index) =>
        store.claim(`${key}-${index}`, {
          owner: 'a',
          leaseMs: leaseOf(index),
          fingerprint: 'f',
        }),
      )
      await assertLeft(leaseOf)
      // The longest becomes the shortest.
      const extended = await times(20, (index) =>
        store.extend(held(claims[index]), { leaseMs: leaseOf(19 - index) }),
      )
      assert.deepEqual(new Set(extended), new Set([true]))
      await assertLeft((index) => leaseOf(19 - index))
      await pass(leaseOf(9) + 1)
      const later = await times(20, (index) => claim(`${key}-${index}`, 'b'))
      assert.deepEqual(
        later.map(({ state }) => state),
        [...new Array<string>(10).fill('in_flight'), ...new Array<string>(10).fill('claimed')],
      )

      async function assertLeft(expected: (index: number) => number): Promise<void> {
        for (const [index, other] of (
          await times(20, (i) => claim(`${key}-${i}`, 'b'))
        ).entries()) {
          assertInFlight(other, expected(index))
          if (other.state !== 'in_flight') continue
          // A slow server may have taken some of it.
          assertBetween(other.retryAfterMs, expected(index) - 9_000, expected(index))
        }
      }
    },
  )

  rule(
    'retention times of different lengths, set simultaneously, each end on time',
    async ({ store, key, claim, hold, pass }) => {
      const claims = await times(20, (index) => hold(`${key}-${index}`, 'a'))
      const done = await times(20, async (index) =>
        store.complete(held(claims[index]), { retentionMs: (20 - index) * 60_000 }),
      )
      assert.deepEqual(new Set(done), new Set([true]))
      await pass(10 * 60_000 + 1)
      const later = await times(20, (index) => claim(`${key}-${index}`, 'b'))
      assert.deepEqual(
        later.map(({ state }) => state),
        [...new Array<string>(10).fill('completed'), ...new Array<string>(10).fill('claimed')],
      )
    },
  )

  rule(
    'keys extended, completed, released and forgotten simultaneously are not mixed up',
    async ({ store, key, claim, hold, completeNew, pass }) => {
      const count = 60
      const stale = await times(count, (index) => hold(`${key}-${index}`, 'stale'))
      await pass(lease + 1)
      const current = await times(count, (index) =>
        index % 4 === 3 ? completeNew(`${key}-${index}`, 'a') : hold(`${key}-${index}`, 'a'),
      )
      const end = async (mine: HeldClaim, way: number): Promise<unknown> => {
        if (way === 0) return await store.extend(mine, { leaseMs: 3 * lease })
        if (way === 1) return await store.complete(mine, { retentionMs: month })
        if (way === 2) return await store.release(mine)
        return await store.forget(mine.key)
      }
      const [results, ignored] = await Promise.all([
        times(count, (index) => end(held(current[index]), index % 4)),
        times(count, (index) => end(held(stale[index]), index % 3)),
      ])
      const groups = count / 4
      assert.deepEqual(
        results,
        Array.from({ length: groups }, () => [true, true, true, 'forgotten']).flat(),
      )
      assert.deepEqual(new Set(ignored), new Set([false]))
      const claims = await times(count, (index) => claim(`${key}-${index}`, 'b'))
      assert.deepEqual(
        claims.map(seen),
        Array.from({ length: groups }, () => ['in_flight', 'completed', 3, 3]).flat(),
      )
    },
  )
}

/** What a claim was answered, with the fence of one that was won. */
function seen(claim: Claim): string | number {
  return claim.state === 'claimed' ? claim.fence : claim.state
}
