import fc from 'fast-check'
import type { Claim, HeldClaim, IdempotencyStore } from 'ringhook'
import { expect, it } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { claimOptions, hold, month, postgresSchema } from './postgres-schema.ts'

describeOn('postgres', 'postgresStore beside an open transaction', (url) => {
  const { pool, store: storeOf, passTime } = postgresSchema(url)
  const its = pool()
  const store = storeOf({}, its)
  const other = storeOf()

  /** Runs while a transaction is open that has marked the claim. Then it is rolled back. */
  async function whileMarked(claim: HeldClaim, run: () => Promise<void>): Promise<void> {
    const client = await its.connect()
    try {
      await client.query('BEGIN')
      expect(await store.complete(claim, { retentionMs: month, transaction: client })).toBe(true)
      await run()
    } finally {
      await client.query('ROLLBACK')
      client.release()
    }
  }

  it('answers claims of the event that is marked there, and of others, without waiting', async () => {
    const marked = await hold(store, 'marked')
    await whileMarked(marked, async () => {
      const claims = ['marked', 'new-1', 'new-2'].map((key) => other.claim(key, claimOptions('b')))
      const states = (await Promise.all(claims)).map(({ state }) => state)
      expect(states).toEqual(['in_flight', 'claimed', 'claimed'])
      expect(await other.status('marked')).toBe('in_flight')
    })
  })

  it('lets nobody take over there, although the lease ran out', async () => {
    const late = await hold(store, 'late')
    await passTime(30_001)
    await whileMarked(late, async () => {
      const claims = ['late', 'new-3'].map((key) => other.claim(key, claimOptions('b')))
      expect(await Promise.all(claims)).toMatchObject([
        { state: 'in_flight', retryAfterMs: 1_000 },
        { state: 'claimed', fence: 1 },
      ])
      expect(await other.forget('late')).toBe('in_flight')
      expect(await other.status('late')).toBe('unknown')
    })
    expect(await hold(other, 'late', 'b')).toMatchObject({ fence: 2 })
  })

  it('says that it is busy to who renews, marks or gives back what is marked there, and to nobody else', async () => {
    const marked = await hold(store, 'renewed')
    const [renewed, finished] = await Promise.all([hold(store, 'free-1'), hold(store, 'free-2')])
    await whileMarked(marked, async () => {
      const busy = { code: 'RINGHOOK_STORE_BUSY' }
      await Promise.all([
        expect(store.extend(marked, { leaseMs: 1_000 })).rejects.toMatchObject(busy),
        expect(store.extend(renewed, { leaseMs: 1_000 })).resolves.toBe(true),
        expect(store.complete(marked, { retentionMs: 1 })).rejects.toMatchObject(busy),
        expect(store.complete(finished, { retentionMs: 1 })).resolves.toBe(true),
        expect(store.release(marked)).rejects.toMatchObject(busy),
      ])
    })
    expect(await store.extend(marked, { leaseMs: 1_000 })).toBe(true)
  })

  it('prunes around it', async () => {
    const marked = await hold(store, 'pruned later')
    const finished = await hold(store, 'pruned now')
    await store.complete(finished, { retentionMs: month })
    await passTime(month + 1)
    await whileMarked(marked, async () => {
      await other.prune()
    })
    expect((await hold(other, 'pruned now', 'b')).fence).toBe(1)
    expect((await hold(other, 'pruned later', 'b')).fence).toBe(2)
  })
})

describeOn('postgres', 'postgresStore under load on the same keys from two pools', (url) => {
  const { store, passTime } = postgresSchema(url)

  it('never fails, has one owner for each fence, and raises fences one by one', async () => {
    const stores = [store(), store()]
    const owners = new Map<string, string>()
    const highest = new Map<string, number>()
    function check(key: string, claim: Claim): void {
      if (claim.state !== 'claimed') return
      const at = `${key} ${claim.fence}`
      expect(owners.get(at) ?? claim.owner).toBe(claim.owner)
      owners.set(at, claim.owner)
      highest.set(key, Math.max(highest.get(key) ?? 0, claim.fence))
    }

    const steps = fc.sample(
      fc.record({
        key: fc.integer({ min: 0, max: 30 }),
        end: fc.constantFrom('complete', 'release', 'forget', 'leave', 'extend'),
        leaseMs: fc.constantFrom(0, 1, 30_000),
        store: fc.nat({ max: 1 }),
      }),
      { numRuns: 3_000, seed: 7 },
    )
    async function take(step: (typeof steps)[number], index: number): Promise<void> {
      const key = `key-${step.key}`
      const mine = stores[step.store] as IdempotencyStore
      const asked = { ...claimOptions(`o${index}`), leaseMs: step.leaseMs }
      const [claim, again] = await Promise.all([mine.claim(key, asked), mine.claim(key, asked)])
      check(key, claim)
      check(key, again)
      if (step.end === 'forget') await mine.forget(key)
      if (claim.state !== 'claimed') return
      if (step.end === 'complete') await mine.complete(claim, { retentionMs: 1 })
      if (step.end === 'extend') await mine.extend(claim, { leaseMs: 1 })
      if (step.end === 'release') await mine.release(claim)
    }
    let next = 0
    const lanes = Array.from({ length: 100 }, async () => {
      for (let index = next++; index < steps.length; index = next++) {
        const step = steps[index]
        if (step !== undefined) await take(step, index)
        if (index % 500 === 0) await passTime(30_000)
      }
    })
    await Promise.all(lanes)
    for (const [key, fence] of highest) {
      for (let one = 1; one <= fence; one++) expect(owners.has(`${key} ${one}`)).toBe(true)
    }
  })
})
