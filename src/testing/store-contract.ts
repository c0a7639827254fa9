import assert from 'node:assert/strict'
import type { Claim, HeldClaim, IdempotencyStore } from '../stores/store.ts'
import { type ManualClock, manualClock } from './manual-clock.ts'

/** The runner's `test`: that of vitest, Jest and node:test fit. */
export type TestFunction = (name: string, run: () => Promise<void>) => unknown

/** What {@link storeContract} needs. */
export interface StoreContractOptions {
  readonly test: TestFunction
  /**
   * Makes a store, empty or with other data in it. A store that goes by its server's clock ignores
   * `clock`, and gives `passTime` instead.
   */
  create(options: { readonly clock: ManualClock }): IdempotencyStore | Promise<IdempotencyStore>
  /** Makes `ms` pass for the store. Default: the clock goes on. */
  passTime?(ms: number, store: IdempotencyStore, clock: ManualClock): Promise<void>
}

const lease = 30_000
const month = 30 * 24 * 60 * 60_000
let keys = 0

/**
 * Holds an idempotency store to its contract, in the words of {@link IdempotencyStore}.
 *
 * @example
 * ```ts
 * import { memoryStore } from 'ringhook'
 * import { storeContract } from 'ringhook/testing'
 * import { test } from 'vitest'
 *
 * storeContract({ test, create: ({ clock }) => memoryStore({ clock }) })
 * ```
 */
export function storeContract({ test, create, passTime }: StoreContractOptions): void {
  /** One test with a store, a key of its own, and short ways to claim it and to let time pass. */
  function rule(name: string, run: (bench: Bench) => Promise<void>): void {
    test(name, async () => {
      const clock = manualClock()
      const store = await create({ clock })
      await run({
        store,
        key: `contract-${process.pid}-${Date.now()}-${keys++}`,
        claim: (key, owner, fingerprint = 'f') =>
          store.claim(key, { owner, leaseMs: lease, fingerprint }),
        hold: async (key, owner) =>
          held(await store.claim(key, { owner, leaseMs: lease, fingerprint: 'f' })),
        pass: (ms) => (passTime === undefined ? clock.advance(ms) : passTime(ms, store, clock)),
      })
    })
  }

  rule(
    'one of 50 simultaneous claims wins, the others see it in flight',
    async ({ key, claim }) => {
      const claims = await Promise.all(
        Array.from({ length: 50 }, (_, index) => claim(key, `owner-${index}`)),
      )
      const won = claims.filter(({ state }) => state === 'claimed')
      assert.equal(won.length, 1)
      assert.equal(held(won[0]).fence, 1)
      assert.equal(held(won[0]).attempt, 1)
      for (const other of claims) {
        if (other.state === 'claimed') continue
        assert.equal(other.state, 'in_flight')
        if (other.state === 'in_flight') assertBetween(other.retryAfterMs, 1, lease)
      }
    },
  )

  rule(
    'one of 50 simultaneous claims wins a key whose lease ran out',
    async ({ key, claim, hold, pass }) => {
      await hold(key, 'gone')
      await pass(lease + 1)
      const claims = await Promise.all(
        Array.from({ length: 50 }, (_, index) => claim(key, `owner-${index}`)),
      )
      const won = claims.filter(({ state }) => state === 'claimed')
      assert.equal(won.length, 1)
      assert.equal(held(won[0]).fence, 2)
    },
  )

  rule(
    'a claim repeated by its owner, whose reply was lost, gives the same fence and attempt',
    async ({ key, hold }) => {
      const first = await hold(key, 'a')
      const again = await hold(key, 'a')
      assert.deepEqual([again.fence, again.attempt], [first.fence, first.attempt])
    },
  )

  rule(
    '50 repeats of a claim at once by one owner all get the same fence',
    async ({ key, hold }) => {
      const claims = await Promise.all(Array.from({ length: 50 }, () => hold(key, 'a')))
      assert.deepEqual(new Set(claims.map(({ fence }) => fence)), new Set([1]))
    },
  )

  rule(
    'a completed key stays completed, with the fingerprint of the delivery that finished',
    async ({ store, key, claim, hold }) => {
      const mine = await hold(key, 'a')
      assert.equal(await store.complete(mine, { retentionMs: month }), true)
      assert.deepEqual(await claim(key, 'b', 'another'), { state: 'completed', fingerprint: 'f' })
      assert.deepEqual(await claim(key, 'a'), { state: 'completed', fingerprint: 'f' })
    },
  )

  rule('a completion whose reply was lost may be repeated', async ({ store, key, claim, hold }) => {
    const mine = await hold(key, 'a')
    await store.complete(mine, { retentionMs: month })
    assert.equal(await store.complete(mine, { retentionMs: month }), true)
    assert.equal((await claim(key, 'b')).state, 'completed')
  })

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

  rule('an owner that released its key changes nothing any more', async ({ store, key, hold }) => {
    const mine = await hold(key, 'a')
    await store.release(mine)
    assert.equal(await store.complete(mine, { retentionMs: month }), false)
    assert.equal(await store.extend(mine, { leaseMs: lease }), false)
    assert.equal((await hold(key, 'b')).fence, 2)
  })

  rule(
    'a released key keeps its fence while other keys come and go',
    async ({ store, key, hold }) => {
      await store.release(await hold(key, 'a'))
      for (let index = 0; index < 20; index++) {
        await store.complete(await hold(`${key}-${index}`, 'x'), { retentionMs: month })
      }
      assert.equal((await hold(key, 'b')).fence, 2)
    },
  )

  rule(
    'a lease that ran out is taken over with the next fence',
    async ({ key, claim, hold, pass }) => {
      await hold(key, 'a')
      await pass(lease - 1_000)
      assert.equal((await claim(key, 'b')).state, 'in_flight')
      await pass(1_001)
      assert.equal((await hold(key, 'b')).fence, 2)
    },
  )

  rule(
    'a lease that was extended holds for the new time',
    async ({ store, key, claim, hold, pass }) => {
      const mine = await hold(key, 'a')
      await pass(lease - 1_000)
      assert.equal(await store.extend(mine, { leaseMs: lease }), true)
      await pass(lease - 1_000)
      assert.equal((await claim(key, 'b')).state, 'in_flight')
      await pass(1_001)
      assert.equal((await hold(key, 'b')).fence, 2)
    },
  )

  rule(
    'an owner that was taken over changes nothing: not by complete, release or extend',
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
    'an owner that was taken over changes nothing after its successor finished',
    async ({ store, key, claim, hold, pass }) => {
      const zombie = await hold(key, 'a')
      await pass(lease + 1)
      await store.complete(await hold(key, 'b'), { retentionMs: month })
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
    assert.equal(await store.complete(first, { retentionMs: month }), false)
    assert.equal((await claim(key, 'b')).state, 'in_flight')
  })

  rule(
    'a late completion counts if nobody took over',
    async ({ store, key, claim, hold, pass }) => {
      const late = await hold(key, 'a')
      await pass(10 * lease)
      assert.equal(await store.complete(late, { retentionMs: month }), true)
      assert.equal((await claim(key, 'b')).state, 'completed')
    },
  )

  rule(
    'a completed key is remembered for 30 days and can be claimed after them',
    async ({ store, key, claim, hold, pass }) => {
      await store.complete(await hold(key, 'a'), { retentionMs: month })
      await pass(month - 1_000)
      assert.equal((await claim(key, 'b')).state, 'completed')
      await pass(1_001)
      assert.equal((await claim(key, 'b')).state, 'claimed')
    },
  )

  rule('keys that look alike are different keys', async ({ key, hold }) => {
    const odd = [
      '',
      ' ',
      '%',
      '_',
      '*',
      '?',
      ':',
      '{}',
      "'",
      '"',
      '\\',
      '\n',
      'é',
      'e\u0301',
      'A',
      'a',
      'a ',
      '0',
      '00',
      '__proto__',
      'constructor',
      '💥',
    ]
    for (const suffix of odd) {
      assert.equal((await hold(`${key}${suffix}`, 'a')).fence, 1, JSON.stringify(suffix))
    }
  })
}

interface Bench {
  readonly store: IdempotencyStore
  readonly key: string
  claim(key: string, owner: string, fingerprint?: string): Promise<Claim>
  /** Claims a key that must be free. */
  hold(key: string, owner: string): Promise<HeldClaim>
  pass(ms: number): Promise<void>
}

function held(claim: Claim | undefined): HeldClaim {
  if (claim?.state === 'claimed') return claim
  return assert.fail(`the claim was not won: ${claim?.state}`)
}

function assertBetween(value: number, least: number, most: number): void {
  assert.ok(value >= least && value <= most, `${value} is not between ${least} and ${most}`)
}
