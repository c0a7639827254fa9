import assert from 'node:assert/strict'
import { times } from '../times.ts'
import { assertInFlight, held, lease, month, type Rule, wonOf } from './harness.ts'

/** Who gets a key: races, and claims that are repeated. */
export function claimRules(rule: Rule): void {
  rule(
    'one of 50 simultaneous claims wins, and the others see it in flight',
    async ({ key, claim }) => {
      const claims = await times(50, (index) => claim(key, `owner-${index}`))
      const [won, ...others] = wonOf(claims)
      assert.deepEqual(others, [])
      assert.deepEqual([held(won).fence, held(won).attempt], [1, 1])
      for (const other of claims) if (other !== won) assertInFlight(other)
    },
  )

  rule(
    'one of 50 simultaneous claims wins a key whose lease has expired',
    async ({ key, claim, hold, pass }) => {
      await hold(key, 'gone')
      await pass(lease + 1)
      const won = wonOf(await times(50, (index) => claim(key, `owner-${index}`)))
      assert.equal(won.length, 1)
      assert.equal(won[0]?.fence, 2)
    },
  )

  rule(
    'two claims of one key in the same tick get their own answers',
    async ({ store, key, claim, completeNew }) => {
      const [first, second] = await Promise.all([claim(key, 'a'), claim(key, 'b')])
      assert.equal(wonOf([first, second]).length, 1)
      assertInFlight(first.state === 'claimed' ? second : first)
      await completeNew(`${key}-finished`, 'a')
      assert.deepEqual(await times(2, (index) => claim(`${key}-finished`, `owner-${index}`, 'g')), [
        { state: 'completed', fingerprint: 'f' },
        { state: 'completed', fingerprint: 'f' },
      ])
      await store.release(held(wonOf([first, second])[0]))
      const again = await Promise.all([claim(key, 'c'), claim(key, 'd')])
      assert.deepEqual(
        wonOf(again).map(({ fence }) => fence),
        [2],
      )
    },
  )

  rule(
    'a holder that repeats its claim behind that of another owner, in the same tick, keeps it',
    async ({ key, claim, hold }) => {
      const { fence } = await hold(key, 'a')
      const [stranger, holder] = await Promise.all([claim(key, 'b'), claim(key, 'a')])
      assertInFlight(stranger)
      assert.equal(held(holder).fence, fence)
    },
  )

  rule(
    'a claim repeated by its owner after a lost reply returns the same fence and attempt',
    async ({ key, hold }) => {
      const first = await hold(key, 'a')
      const again = await hold(key, 'a')
      assert.deepEqual([again.fence, again.attempt], [first.fence, first.attempt])
    },
  )

  rule(
    '50 simultaneous repeats of a claim by its owner all return the same fence',
    async ({ key, hold }) => {
      const claims = await times(50, () => hold(key, 'a'))
      assert.deepEqual(new Set(claims.map(({ fence }) => fence)), new Set([1]))
    },
  )

  rule('a claim carries the key and owner it was made with', async ({ key, hold }) => {
    const long = `${key}${'x'.repeat(300)}é`
    for (const [name, owner] of [
      [key, 'a'],
      [`${key} ü`, 'B '],
      [long, 'o'.repeat(128)],
    ] as const) {
      const { state, fence, attempt, ...its } = await hold(name, owner)
      assert.deepEqual([state, fence, attempt], ['claimed', 1, 1])
      assert.deepEqual(its, { key: name, owner })
    }
  })

  rule(
    'owners and fingerprints of 128 characters are told apart by the last one',
    async ({ store, key, claim, hold }) => {
      const long = 'x'.repeat(127)
      const mine = held(await claim(key, `${long}a`, `${long}f`))
      assertInFlight(await claim(key, `${long}b`))
      assert.equal(await store.extend({ ...mine, owner: `${long}b` }, { leaseMs: lease }), false)
      assert.equal((await hold(key, `${long}a`)).fence, 1)
      assert.equal(await store.complete(mine, { retentionMs: month }), true)
      const completed = { state: 'completed', fingerprint: `${long}f` }
      assert.deepEqual(await claim(key, 'b', `${long}g`), completed)
    },
  )

  rule(
    'returns a fingerprint unchanged, whatever its characters',
    async ({ store, key, claim }) => {
      const fingerprints = ['', ' ', 'F', 'f ', `'"\\%_`, '007', '1e3', 'null', '{}', '~!@#$^&*()']
      for (const [index, fingerprint] of fingerprints.entries()) {
        const mine = held(await claim(`${key}-${index}`, 'a', fingerprint))
        await store.complete(mine, { retentionMs: month })
        const completed = { state: 'completed', fingerprint }
        assert.deepEqual(await claim(`${key}-${index}`, 'b', 'another'), completed)
      }
    },
  )

  rule(
    'a later claim of a key replaces the fingerprint of an earlier one',
    async ({ store, key, claim }) => {
      await store.release(held(await claim(key, 'a', 'first')))
      const mine = held(await claim(key, 'b', 'second'))
      await store.complete(mine, { retentionMs: month })
      assert.deepEqual(await claim(key, 'c'), { state: 'completed', fingerprint: 'second' })
    },
  )
}
