import assert from 'node:assert/strict'
import type { IdempotencyStore } from '../../stores/store.ts'
import { times } from '../times.ts'
import { assertInFlight, held, lease, margin, month, type Rule, wonOf } from './harness.ts'
import { shiftDate } from './shifted-date.ts'

/** How long a store may take until it works again on new connections, in ms. */
const recoveryMs = 10_000

/** How far the clocks of two machines are apart. */
export const hour = 60 * 60_000

/** Connections that are lost in the middle of an operation. */
export function connectionRules(
  rule: Rule,
  breakConnection: (store: IdempotencyStore) => Promise<void>,
): void {
  rule(
    'claims that lose their connection reject or win, and can be repeated by their owners',
    async ({ store, key, claim }) => {
      const cut = Array.from({ length: 20 }, (_, index) => claim(`${key}-${index}`, `o${index}`))
      const settled = Promise.allSettled(cut)
      await breakConnection(store)
      for (const one of await settled) {
        if (one.status === 'fulfilled') assert.equal(held(one.value).fence, 1)
      }
      const again = await times(20, (index) =>
        eventually(() => claim(`${key}-${index}`, `o${index}`)),
      )
      for (const [index, one] of again.entries()) {
        const { fence, owner } = held(one)
        assert.deepEqual([fence, owner], [1, `o${index}`])
      }
      for (const other of await times(20, (index) => claim(`${key}-${index}`, 'x'))) {
        assertInFlight(other)
      }
    },
  )

  rule(
    'a connection lost between two operations loses nothing',
    async ({ store, key, claim, hold, completeNew }) => {
      await completeNew(`${key}-finished`, 'a')
      const mine = await hold(key, 'a')
      await breakConnection(store)
      assert.equal((await eventually(() => claim(`${key}-finished`, 'b'))).state, 'completed')
      assert.equal(await eventually(() => store.status(`${key}-finished`)), 'completed')
      assertInFlight(await eventually(() => claim(key, 'b')))
      assert.equal(await eventually(() => store.extend(mine, { leaseMs: lease })), true)
    },
  )

  rule(
    'completions and releases that lose their connection reject or count, and can be repeated',
    async ({ store, key, claim, hold }) => {
      const claims = await times(20, (index) => hold(`${key}-${index}`, 'a'))
      const end = async (index: number) =>
        index % 2 === 0
          ? await store.complete(held(claims[index]), { retentionMs: month })
          : await store.release(held(claims[index]))
      const settled = Promise.allSettled(claims.map((_, index) => end(index)))
      await breakConnection(store)
      const results = await settled
      for (const one of results) if (one.status === 'fulfilled') assert.equal(one.value, true)
      for (let index = 0; index < 20; index++) {
        const isRepeated = await eventually(() => end(index))
        // A release that counted has nothing left to release.
        if (index % 2 === 0) assert.equal(isRepeated, true)
      }
      const after = await times(20, (index) => claim(`${key}-${index}`, 'b'))
      for (const [index, one] of after.entries()) {
        if (index % 2 === 0) assert.equal(one.state, 'completed')
        else assert.equal(held(one).fence, 2)
      }
    },
  )
}

/** Machines whose clocks are wrong. */
export function clockRules(rule: Rule): void {
  rule(
    'machines whose clocks are an hour apart agree on leases and retentions',
    async ({ store, key, claim, hold, pass }) => {
      const ahead = <Result>(run: () => Promise<Result> | Result) => withDate(hour, run)
      const behind = <Result>(run: () => Promise<Result> | Result) => withDate(-hour, run)
      await hold(key, 'a')
      assertInFlight(await ahead(() => claim(key, 'b')))
      assertInFlight(await behind(() => claim(key, 'b')))
      await pass(lease + 1)
      const mine = await behind(() => hold(key, 'b'))
      assert.equal(mine.fence, 2)
      assertInFlight(await claim(key, 'c'))
      assert.equal(await ahead(() => store.extend(mine, { leaseMs: lease })), true)
      await pass(lease - margin)
      assertInFlight(await behind(() => claim(key, 'c')), margin)
      assert.equal(await ahead(() => store.forget(key)), 'in_flight')
      assert.equal(await ahead(() => store.status(key)), 'in_flight')
      const retentionMs = hour / 2
      assert.equal(await behind(() => store.complete(mine, { retentionMs })), true)
      assert.equal((await ahead(() => claim(key, 'c'))).state, 'completed')
      assert.equal(await ahead(() => store.status(key)), 'completed')
      await pass(retentionMs + 1)
      assert.equal(wonOf([await behind(() => claim(key, 'c'))]).length, 1)
    },
  )
}

/** Runs with this process's `Date` set ahead. */
async function withDate<Result>(ms: number, run: () => Promise<Result> | Result): Promise<Result> {
  const setRight = shiftDate(ms)
  try {
    return await run()
  } finally {
    setRight()
  }
}

/** Repeats an operation for as long as it rejects: the store may need new connections first. */
export async function eventually<Result>(run: () => Promise<Result> | Result): Promise<Result> {
  const giveUpAt = Date.now() + recoveryMs
  for (;;) {
    try {
      return await run()
    } catch (error) {
      if (Date.now() > giveUpAt) throw error
      await new Promise<void>((resolve) => setTimeout(resolve, 20))
    }
  }
}
