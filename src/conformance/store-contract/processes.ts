import assert from 'node:assert/strict'
import type { Claim, IdempotencyStore } from '../../stores/store.ts'
import { type Harness, held, lease, month, type Rule, wonOf } from './harness.ts'
import { StoreProcess, type StoreProgram } from './store-program.ts'

/** Two processes on one key, and one that is killed. */
export function processRules(
  rule: Rule,
  programFor: (store: IdempotencyStore) => StoreProgram,
  shiftMs: number,
): void {
  /** A rule with two processes; the clock of the second one's machine is `shiftMs` ahead. */
  function processRule(name: string, run: (harness: Harness, pair: Pair) => Promise<void>): void {
    rule(name, async (harness) => {
      const program = programFor(harness.store)
      const starts = await Promise.allSettled([
        StoreProcess.start(program, harness.clock),
        StoreProcess.start(program, harness.clock, shiftMs),
      ])
      try {
        const [first, second] = starts
        if (first.status === 'rejected') throw first.reason
        if (second.status === 'rejected') throw second.reason
        await run(harness, { first: first.value, second: second.value })
      } finally {
        for (const start of starts) if (start.status === 'fulfilled') await start.value.kill()
      }
    })
  }

  processRule(
    'when two processes claim the same keys simultaneously, each key has one winner',
    async ({ key }, { first, second }) => {
      const keys = Array.from({ length: 200 }, (_, index) => `${key}-${index}`)
      const [ofFirst, ofSecond] = await Promise.all([
        first.claimAll(keys, 'first'),
        second.claimAll(keys, 'second'),
      ])
      for (const [index, name] of keys.entries()) {
        const won = wonOf([answerOf(ofFirst, index), answerOf(ofSecond, index)])
        assert.deepEqual(
          won.map((claim) => [claim.key, claim.fence]),
          [[name, 1]],
        )
      }
    },
  )

  processRule(
    'a process sees what another holds or has completed',
    async ({ store, key, claim, pass }, { first, second }) => {
      const [mine] = wonOf(await first.claimAll([key], 'first'))
      assert.equal((await second.claimAll([key], 'second'))[0]?.state, 'in_flight')
      assert.equal((await claim(key, 'third')).state, 'in_flight')
      await pass(lease - 10_000)
      await Promise.all([first.advance(lease - 10_000), second.advance(lease - 10_000)])
      assert.equal((await second.claimAll([key], 'second'))[0]?.state, 'in_flight')
      assert.equal(await first.complete(held(mine), { retentionMs: month }), true)
      const completed = { state: 'completed', fingerprint: 'f' }
      assert.deepEqual(await second.claimAll([key], 'second'), [completed])
      assert.equal(await store.status(key), 'completed')
      assert.equal(await store.forget(key), 'forgotten')
      const [next] = await second.claimAll([key], 'second')
      assert.equal(held(next).fence, 2)
    },
  )

  processRule(
    'the keys of a killed process are taken over when their leases expire',
    async ({ key, pass }, { first, second }) => {
      const heldKeys = Array.from({ length: 20 }, (_, index) => `${key}-held-${index}`)
      const others = Array.from({ length: 500 }, (_, index) => `${key}-${index}`)
      const mine = wonOf(await first.claimAll(heldKeys, 'first'))
      assert.equal(mine.length, heldKeys.length)
      // It is killed in the middle of these claims, or was quicker: some may stand.
      const cut = first.claimAll(others, 'first').catch(() => [])
      await first.kill()
      await cut
      const early = await second.claimAll(heldKeys, 'second')
      assert.deepEqual(new Set(early.map(({ state }) => state)), new Set(['in_flight']))
      const all = [...heldKeys, ...others]
      let left = all
      // The server may still execute what the process sent before it was killed.
      for (let round = 0; left.length > 0 && round < 100; round++) {
        await pass(lease + 1)
        await second.advance(lease + 1)
        const won = new Set(wonOf(await second.claimAll(left, 'second')).map((claim) => claim.key))
        left = left.filter((name) => !won.has(name))
      }
      assert.deepEqual(left, [])
      const fences = wonOf(await second.claimAll(heldKeys, 'second')).map(({ fence }) => fence)
      assert.deepEqual(new Set(fences), new Set([2]))
      for (const zombie of mine) {
        assert.equal(await second.complete(zombie, { retentionMs: month }), false)
      }
    },
  )
}

interface Pair {
  readonly first: StoreProcess
  readonly second: StoreProcess
}

function answerOf(claims: readonly Claim[], index: number): Claim {
  return claims[index] ?? assert.fail('a claim was not answered')
}
