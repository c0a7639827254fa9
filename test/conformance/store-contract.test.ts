import { type Claim, type HeldClaim, type IdempotencyStore, memoryStore } from 'ringhook'
import { type StoreContractOptions, storeContract } from 'ringhook/conformance'
import { describe, expect, it } from 'vitest'

type Rules = readonly (readonly [name: string, run: () => Promise<void>])[]

/** The rules of the contract, to be run by hand. */
function rulesOf(options: Omit<StoreContractOptions, 'test'>): Rules {
  const rules: [string, () => Promise<void>][] = []
  storeContract({ test: (name, run) => void rules.push([name, run]), ...options })
  return rules
}

/** The names of the rules that a store breaks. */
async function brokenRules(options: Omit<StoreContractOptions, 'test'>): Promise<string[]> {
  const found: string[] = []
  for (const [name, run] of rulesOf(options)) await run().catch(() => found.push(name))
  return found
}

/** A store with one operation replaced: the kind of mistake that the contract is there to catch. */
function broken(mistake: (store: IdempotencyStore) => Partial<IdempotencyStore>) {
  return brokenRules({ create: ({ clock }) => withMistake(memoryStore({ clock }), mistake) })
}

function withMistake(
  store: IdempotencyStore,
  mistake: (store: IdempotencyStore) => Partial<IdempotencyStore>,
): IdempotencyStore {
  return {
    claim: (key, options) => store.claim(key, options),
    extend: (claim, options) => store.extend(claim, options),
    complete: (claim, options) => store.complete(claim, options),
    release: (claim) => store.release(claim),
    forget: (key) => store.forget(key),
    status: (key) => store.status(key),
    ...mistake(store),
  }
}

/** A store that sees every key through a function, as a database column may. */
function withColumn(store: IdempotencyStore, stored: (key: string) => string): IdempotencyStore {
  const there = (claim: HeldClaim): HeldClaim => ({ ...claim, key: stored(claim.key) })
  return {
    claim: async (key, options) => {
      const claim = await store.claim(stored(key), options)
      return claim.state === 'claimed' ? { ...claim, key } : claim
    },
    extend: (claim, options) => store.extend(there(claim), options),
    complete: (claim, options) => store.complete(there(claim), options),
    release: (claim) => store.release(there(claim)),
    forget: (key) => store.forget(stored(key)),
    status: (key) => store.status(stored(key)),
  }
}

const bytes = (key: string) => Buffer.from(key, 'utf8')
const lookAlike = 'keys that look alike are different keys'
const long = 'long keys that differ only in their last character are different keys'

describe('storeContract', () => {
  it('is kept by the memory store', async () => {
    expect(await brokenRules({ create: ({ clock }) => memoryStore({ clock }) })).toEqual([])
  })

  it('is kept by a store whose every operation takes a turn of the event loop', async () => {
    const late = () => new Promise<void>((resolve) => setImmediate(resolve))
    const found = await broken((store) => ({
      claim: (key, options) => late().then(() => store.claim(key, options)),
      extend: (claim, options) => late().then(() => store.extend(claim, options)),
      complete: (claim, options) => late().then(() => store.complete(claim, options)),
      release: (claim) => late().then(() => store.release(claim)),
      forget: (key) => late().then(() => store.forget(key)),
      status: (key) => late().then(() => store.status(key)),
    }))
    expect(found).toEqual([])
  })

  it('refuses an option that does not exist', () => {
    const options = { create: () => memoryStore(), passtime: async () => {} }
    expect(() => rulesOf(options)).toThrow(/no option "passtime".*Did you mean "passTime"/)
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
    expect(found).toContain('one of 50 simultaneous claims wins, and the others see it in flight')
    expect(found).toContain('200 simultaneous claims of 20 keys have one winner per key')
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
    expect(found).toContain('an owner that lost its key cannot complete, release or extend it')
    expect(found).toContain('the same owner with an old fence changes nothing')
  })

  it('catches a store whose leases never run out', async () => {
    const found = await broken((store) => ({
      claim: (key, options) => store.claim(key, { ...options, leaseMs: 1e12 }),
    }))
    expect(found).toContain('an expired lease is taken over with the next fence')
  })

  it('catches a store that forgets after a day', async () => {
    const found = await broken((store) => ({
      complete: (claim) => store.complete(claim, { retentionMs: 86_400_000 }),
    }))
    expect(found).toEqual([
      'a completed key is remembered for 30 days and can be claimed afterwards',
      'a completed key is remembered for 10 years and can be claimed afterwards',
      'a completed key is forgotten when its retention ends, even if its lease was longer',
      'a key is unknown, then in flight during its lease, then completed during its retention',
      'retention times of different lengths, set simultaneously, each end on time',
    ])
  })

  it('catches a store that keeps a completed key for as long as its lease', async () => {
    const leases = new Map<string, number>()
    const found = await broken((store) => ({
      claim: (key, options) => {
        leases.set(key, options.leaseMs)
        return store.claim(key, options)
      },
      complete: (claim, { retentionMs }) =>
        store.complete(claim, {
          retentionMs: Math.max(retentionMs, leases.get(claim.key) ?? 0),
        }),
    }))
    expect(found).toEqual([
      'a completed key is forgotten when its retention ends, even if its lease was longer',
    ])
  })

  it('catches a store that holds times in 31 bits', async () => {
    const most = 2 ** 31 - 1
    const found = await broken((store) => ({
      complete: (claim, { retentionMs }) =>
        store.complete(claim, { retentionMs: Math.min(retentionMs, most) }),
    }))
    expect(found).toContain(
      'a completed key is remembered for 30 days and can be claimed afterwards',
    )
  })

  it('catches a store that takes an owner for a stranger when it claims again', async () => {
    let claims = 0
    const found = await broken((store) => ({
      claim: (key, options) =>
        store.claim(key, { ...options, owner: `${options.owner}${claims++}` }),
    }))
    expect(found).toContain(
      'a claim repeated by its owner after a lost reply returns the same fence and attempt',
    )
  })

  it('catches a store that takes an owner for a stranger once its lease ran out', async () => {
    const found = await broken((store) => ({
      claim: async (key, options) => {
        const rival = await store.claim(key, { ...options, owner: `${options.owner}'` })
        if (rival.state === 'claimed') await store.release(rival)
        return await store.claim(key, options)
      },
    }))
    expect(found).toContain(
      'an owner whose expired lease was not taken over can claim or extend it again, with the same fence',
    )
  })

  it('catches a store that forgets a key that is held', async () => {
    const found = await broken((store) => {
      const holders = new Map<string, HeldClaim>()
      return {
        claim: async (key, options) => {
          const claim = await store.claim(key, options)
          if (claim.state === 'claimed') holders.set(key, claim)
          return claim
        },
        forget: async (key) => {
          const holder = holders.get(key)
          const isReleased = holder !== undefined && (await store.release(holder))
          return isReleased ? 'forgotten' : await store.forget(key)
        },
      }
    })
    expect(found).toContain('a held key cannot be forgotten')
  })

  it('catches a store that forgets the fence with the key', async () => {
    const generations = new Map<string, number>()
    const stored = (key: string) => `${key}/${generations.get(key) ?? 0}`
    const found = await brokenRules({
      create: ({ clock }) => {
        const store = withColumn(memoryStore({ clock }), stored)
        return withMistake(store, () => ({
          forget: async (key) => {
            const what = await store.forget(key)
            if (what === 'forgotten') generations.set(key, (generations.get(key) ?? 0) + 1)
            return what
          },
        }))
      },
    })
    expect(found).toContain(
      'a completed key that is forgotten can be claimed, with the next fence and attempt',
    )
    expect(found).toContain(
      'fences rise by one over 50 rounds of expiring, releasing and forgetting',
    )
  })

  it('catches a store that leaves a forgotten key to the owner whose lease ran out', async () => {
    const found = await broken(() => ({ forget: async () => 'forgotten' }))
    expect(found).toContain('forgetting a key with an expired lease takes it from its owner')
  })

  it('catches a store that takes a held key for one that has finished', async () => {
    const found = await broken((store) => ({
      status: async (key) => ((await store.status(key)) === 'unknown' ? 'unknown' : 'completed'),
    }))
    expect(found).toContain(
      'a key is unknown, then in flight during its lease, then completed during its retention',
    )
  })

  it('catches a store that remembers a status longer than the key', async () => {
    const completed = new Set<string>()
    const found = await broken((store) => ({
      status: async (key) => {
        const status = await store.status(key)
        if (status === 'completed') completed.add(key)
        return completed.has(key) ? 'completed' : status
      },
    }))
    expect(found).toContain(
      'a key is unknown, then in flight during its lease, then completed during its retention',
    )
  })

  it('catches a store that claims a key to find out about it', async () => {
    const found = await broken((store) => ({
      status: async (key) => {
        const claim = await store.claim(key, { owner: 'asker', leaseMs: 1, fingerprint: '' })
        if (claim.state !== 'claimed') return claim.state
        await store.release(claim)
        return 'unknown'
      },
    }))
    expect(found).toContain('status() changes nothing: no lease, no fence, no retention')
  })

  it('catches a store that answers a status with that of another key', async () => {
    let last = ''
    const found = await broken((store) => ({
      status: async (key) => {
        const asked = last === '' ? key : last
        last = key
        return store.status(asked)
      },
    }))
    expect(found).toContain('status() of many keys at once answers for each of them')
  })

  it('catches a store that mixes up two claims of one batch', async () => {
    const found = await broken((store) => {
      let batch: Promise<Claim>[] = []
      return {
        claim: async (key, options) => {
          const its = batch
          const mine = its.push(Promise.resolve(store.claim(key, options))) - 1
          await new Promise<void>((resolve) => setImmediate(resolve))
          batch = []
          const claims = await Promise.all(its)
          // The second gets the answer of the third, and so on.
          return claims[mine > 0 ? mine + 1 : mine] ?? (await store.claim(key, options))
        },
      }
    })
    expect(found).toContain('500 keys claimed simultaneously each get their own answer')
  })

  it('catches a store that gives all claims of one batch the lease of the first', async () => {
    const found = await broken((store) => {
      let leaseMs: number | undefined
      return {
        claim: (key, options) => {
          if (leaseMs === undefined) {
            leaseMs = options.leaseMs
            setImmediate(() => {
              leaseMs = undefined
            })
          }
          return store.claim(key, { ...options, leaseMs })
        },
      }
    })
    expect(found).toEqual([
      'leases of different lengths, claimed or extended simultaneously, each end on time',
    ])
  })

  it('catches a store that gives two claims of one key in a batch one answer', async () => {
    const found = await broken((store) => {
      const waiting = new Map<string, Promise<Claim>>()
      return {
        claim: (key, options) => {
          const first = waiting.get(key)
          if (first !== undefined) return first
          const claim = Promise.resolve(store.claim(key, options))
          waiting.set(key, claim)
          setImmediate(() => waiting.delete(key))
          return claim
        },
      }
    })
    expect(found).toContain('two claims of one key in the same tick get their own answers')
  })

  it('catches a store that answers with its own form of key and owner', async () => {
    const found = await broken((store) => ({
      claim: async (key, options) => {
        const claim = await store.claim(key, options)
        if (claim.state !== 'claimed') return claim
        return { ...claim, key: claim.key.slice(0, 128), owner: claim.owner.trim() }
      },
    }))
    expect(found).toContain('a claim carries the key and owner it was made with')
  })

  it.each([
    ['cuts keys at 255 characters', long, (key: string) => key.slice(0, 255)],
    ['cuts keys at 3072 bytes', long, (key: string) => bytes(key).subarray(0, 3_072).toString()],
    ['takes capitals for small letters', lookAlike, (key: string) => key.toLowerCase()],
    ['ignores spaces at the end', lookAlike, (key: string) => key.trimEnd()],
    ['ends keys at a NUL', lookAlike, (key: string) => key.split('\0')[0] ?? ''],
    ['drops NULs', lookAlike, (key: string) => key.replaceAll('\0', '')],
    ['writes lone surrogates as one character', lookAlike, (key: string) => key.toWellFormed()],
    ['keeps Latin-1', lookAlike, (key: string) => Buffer.from(key, 'latin1').toString('latin1')],
    ['normalizes', lookAlike, (key: string) => key.normalize()],
    ['folds accents', lookAlike, (key: string) => key.normalize('NFD').replace(/\p{M}/gu, '')],
    ['reads backslashes', lookAlike, (key: string) => key.replaceAll(/\\(.)/g, '$1')],
    [
      'has columns of three-byte characters',
      lookAlike,
      (key: string) => key.replaceAll(/[\u{10000}-\u{10ffff}]/gu, '?'),
    ],
  ])('catches a store that %s', async (_mistake, rule, stored) => {
    const create: StoreContractOptions['create'] = ({ clock }) =>
      withColumn(memoryStore({ clock }), stored)
    expect(await brokenRules({ create })).toContain(rule)
  })
})

describe('storeContract with createNamed', () => {
  const naming = 'a store can be named "\\"double\\", \'single\' and `back`"'

  it('is kept by stores that have their names in their keys', async () => {
    expect(await brokenNames((name) => name)).toEqual([])
  })

  it('catches a store that is not quoted', async () => {
    const found = await brokenNames((name) => {
      if (/["'`]/.test(name)) throw new Error('syntax error')
      return name
    })
    expect(found).toContain(naming)
  })

  it('catches a store whose names are cut', async () => {
    expect(await brokenNames((name) => name.slice(0, 20))).toContain(naming)
  })

  /** Stores that share one memory, each under its name. */
  async function brokenNames(stored: (name: string) => string): Promise<string[]> {
    const shared = memoryStore()
    return await brokenRules({
      create: ({ clock }) => memoryStore({ clock }),
      createNamed: (name) => {
        const table = stored(name)
        return withColumn(shared, (key) => `${table}/${key}`)
      },
    })
  }
})

describe('storeContract with sharedClock', () => {
  const apart = 'machines whose clocks are an hour apart agree on leases and retentions'

  it('is kept by a store that goes by a clock of its own', async () => {
    const found = await brokenRules({
      create: ({ clock }) => memoryStore({ clock }),
      sharedClock: true,
    })
    expect(found).toEqual([])
  })

  it('catches a store that goes by the clock of the machine', async () => {
    const skewed = await brokenRules({
      sharedClock: true,
      create: ({ clock }) => {
        const began = Date.now()
        const now = () => clock.now() + Date.now() - began
        return memoryStore({ clock: { ...clock, now } })
      },
    })
    expect(skewed).toEqual([apart])
  })

  it('leaves the Date of this process as it was', async () => {
    const right = Date
    const rules = rulesOf({ create: () => memoryStore(), sharedClock: true })
    await rules
      .find(([name]) => name === apart)?.[1]()
      .catch(() => {})
    expect(Date).toBe(right)
    expect(new Date()).toBeInstanceOf(right)
  })
})

describe('storeContract with breakConnection', () => {
  const claims =
    'claims that lose their connection reject or win, and can be repeated by their owners'
  const between = 'a connection lost between two operations loses nothing'
  const endings =
    'completions and releases that lose their connection reject or count, and can be repeated'

  it('is kept by a store whose operations reject, whether they counted or not, and then work again', async () => {
    expect(await brokenBy()).toEqual([])
  })

  it('catches a store that takes a claim that is repeated for that of a stranger', async () => {
    let repeats = 0
    const found = await brokenBy((store) => ({
      claim: (key, options) =>
        store.claim(key, { ...options, owner: `${options.owner}${repeats++}` }),
    }))
    expect(found).toContain(claims)
  })

  it('catches a store that forgets what it knew', async () => {
    let lost = 0
    const found = await brokenBy(
      (store) => withColumn(store, (key) => `${key}/${lost}`),
      () => void lost++,
    )
    expect(found).toContain(between)
  })

  it('catches a store that says of what it has lost that it was done', async () => {
    let isLost = false
    const found = await brokenBy(
      (store) => ({
        complete: async (claim, options) => isLost || (await store.complete(claim, options)),
      }),
      () => {
        isLost = true
      },
    )
    expect(found).toContain(endings)
  })

  /** A store on a connection: what is under way when it is cut rejects, and so do the next two. */
  async function brokenBy(
    mistake: (store: IdempotencyStore) => Partial<IdempotencyStore> = () => ({}),
    onBreak: () => void = () => {},
  ): Promise<string[]> {
    let cuts = 0
    let refusals = 0
    async function over<Result>(run: () => Promise<Result> | Result): Promise<Result> {
      const cutsBefore = cuts
      if (refusals > 0) {
        refusals--
        throw new Error('no connection')
      }
      const isSent = cutsBefore % 2 === 0
      const result = isSent ? await run() : undefined
      await new Promise<void>((resolve) => setImmediate(resolve))
      if (cuts > cutsBefore) throw new Error('the connection was cut')
      return isSent ? (result as Result) : await run()
    }
    const every = await brokenRules({
      create: ({ clock }) => {
        const memory = memoryStore({ clock })
        const store = withMistake(memory, mistake)
        return {
          claim: (key, options) => over(() => store.claim(key, options)),
          extend: (claim, options) => over(() => store.extend(claim, options)),
          complete: (claim, options) => over(() => store.complete(claim, options)),
          release: (claim) => over(() => store.release(claim)),
          forget: (key) => over(() => store.forget(key)),
          status: (key) => over(() => store.status(key)),
        }
      },
      breakConnection: () => {
        cuts++
        refusals = 2
        onBreak()
      },
    })
    return every.filter((name) => [claims, between, endings].includes(name))
  }
})

describe('storeContract with program', () => {
  const race = 'when two processes claim the same keys simultaneously, each key has one winner'

  it('catches a store whose processes know nothing of one another', {
    timeout: 60_000,
  }, async () => {
    const rules = rulesOf({
      create: ({ clock }) => memoryStore({ clock }),
      program: () => ({
        module: new URL('../stores/memory-program.ts', import.meta.url),
        execArgv: ['--import', 'tsx'],
      }),
    })
    const raceRule = rules.find(([name]) => name === race)
    await expect(raceRule?.[1]()).rejects.toThrow(/deep-equal/)
  })

  it('says what is wrong with a program that cannot be started', async () => {
    const rules = rulesOf({
      create: ({ clock }) => memoryStore({ clock }),
      program: () => ({ module: new URL('./no-such-program.js', import.meta.url) }),
    })
    const raceRule = rules.find(([name]) => name === race)
    await expect(raceRule?.[1]()).rejects.toThrow('the program says: ended with 1')
  })
})
