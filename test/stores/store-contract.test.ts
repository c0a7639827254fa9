import { type Claim, type HeldClaim, type IdempotencyStore, memoryStore } from 'ringhook'
import { storeContract } from 'ringhook/testing'
import { describe, expect, it } from 'vitest'

/** Runs the contract by hand and gives the names of the rules that a store breaks. */
async function brokenRules(
  create: Parameters<typeof storeContract>[0]['create'],
): Promise<string[]> {
  const rules: [string, () => Promise<void>][] = []
  storeContract({ test: (name, run) => void rules.push([name, run]), create })
  const found: string[] = []
  for (const [name, run] of rules) {
    await run().catch(() => found.push(name))
  }
  return found
}

/** A store with one operation replaced: the kind of mistake that the contract is there to catch. */
function broken(mistake: (store: IdempotencyStore) => Partial<IdempotencyStore>) {
  return brokenRules(({ clock }) => {
    const store = memoryStore({ clock })
    return {
      claim: (key, options) => store.claim(key, options),
      extend: (claim, options) => store.extend(claim, options),
      complete: (claim, options) => store.complete(claim, options),
      release: (claim) => store.release(claim),
      ...mistake(store),
    }
  })
}

describe('storeContract', () => {
  it('is kept by the memory store', async () => {
    expect(await brokenRules(({ clock }) => memoryStore({ clock }))).toEqual([])
  })

  it('catches a store that reads and then writes', async () => {
    const found = await broken((store) => {
      const free = new Set<string>()
      return {
        async claim(key, options) {
          const before: Claim = free.has(key)
            ? await store.claim(key, options)
            : { state: 'claimed', key, owner: options.owner, fence: 1, attempt: 1 }
          await new Promise<void>((resolve) => setImmediate(resolve))
          free.add(key)
          return before
        },
      }
    })
    expect(found).toContain('one of 50 simultaneous claims wins, the others see it in flight')
  })

  it('catches a store that releases whatever it is told to', async () => {
    const holders = new Map<string, HeldClaim>()
    const found = await broken((store) => ({
      async claim(key, options) {
        const claim = await store.claim(key, options)
        if (claim.state === 'claimed') holders.set(key, claim)
        return claim
      },
      async release(claim) {
        return store.release(holders.get(claim.key) ?? claim)
      },
    }))
    expect(found).toContain(
      'an owner that was taken over changes nothing: not by complete, release or extend',
    )
    expect(found).toContain('the same owner with an old fence changes nothing')
  })

  it('catches a store whose leases never run out', async () => {
    const found = await broken((store) => ({
      claim: (key, options) => store.claim(key, { ...options, leaseMs: 1e12 }),
    }))
    expect(found).toContain('a lease that ran out is taken over with the next fence')
  })

  it('catches a store that forgets after a day', async () => {
    const found = await broken((store) => ({
      complete: (claim) => store.complete(claim, { retentionMs: 86_400_000 }),
    }))
    expect(found).toEqual([
      'a completed key is remembered for 30 days and can be claimed after them',
    ])
  })

  it('catches a store that takes an owner for a stranger when it claims again', async () => {
    let claims = 0
    const found = await broken((store) => ({
      claim: (key, options) =>
        store.claim(key, { ...options, owner: `${options.owner}${claims++}` }),
    }))
    expect(found).toContain(
      'a claim repeated by its owner, whose reply was lost, gives the same fence and attempt',
    )
  })
})
