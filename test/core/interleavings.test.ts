import fc from 'fast-check'
import type { IdempotencyStore } from 'ringhook'
import { describe, expect, it } from 'vitest'
import { type Fault, type Interleaving, type Turns, TwoDeliveries } from './interleaving.ts'

type Setting = Omit<Interleaving, 'turns'>

/** Printed with a failure; with it the same schedules come again. */
const seed = 20_261_101

const long = { timeout: 60_000 }
/** Eight times half a lease. */
const halves = new Array<number>(8).fill(0.5)

describe.each([
  ['one instance', 1],
  ['two instances', 2],
] as const)('two deliveries of one event at %s', (_where, instances) => {
  it.each(['finish', 'throw'] as const)(
    'keep every promise in every order, if the first run is to %s',
    long,
    async (handler) => {
      const { count, offences } = await everyOrder({ instances, handlers: [handler, 'finish'] })
      expect(offences).toEqual([])
      expect(count).toBeGreaterThan(50)
    },
  )

  it.each(['finish', 'throw'] as const)(
    'keep every promise around a halt longer than the lease, if the first run is to %s',
    long,
    async (handler) => {
      const setting = { instances, handlers: [handler, 'finish'], pauses: [1.1] } as const
      const { count, offences } = await everyOrder(setting, 8)
      expect(offences).toEqual([])
      expect(count).toBeGreaterThan(500)
    },
  )

  it(
    'keep every promise around two halts that are longer than the lease together',
    long,
    async () => {
      const setting = { instances, handlers: ['overrun'], pauses: [0.6, 0.6] } as const
      const { count, offences } = await everyOrder(setting, 8)
      expect(offences).toEqual([])
      expect(count).toBeGreaterThan(1_000)
    },
  )

  it('keep every promise while time passes, handlers fail and overrun', long, async () => {
    expect(await randomOrders(300, { instances, pauses: halves })).toBeUndefined()
  })

  it('keep every promise while the store is away and its replies are lost', long, async () => {
    expect(await randomOrders(300, { instances, pauses: halves.slice(4) }, true)).toBeUndefined()
  })
})

describe('the interleavings', () => {
  it.each<[string, (store: IdempotencyStore) => Partial<IdempotencyStore>]>([
    [
      'that gives every claim',
      (store) => {
        let strangers = 0
        return {
          claim: async (key, options) => {
            const claim = await store.claim(key, options)
            if (claim.state !== 'in_flight') return claim
            const fence = 100 + strangers++
            return { state: 'claimed', key, owner: options.owner, fence, attempt: fence }
          },
        }
      },
    ],
    [
      'that ignores leases',
      (store) => ({ claim: (key, options) => store.claim(key, { ...options, leaseMs: 1 }) }),
    ],
    ['that forgets what is completed', () => ({ complete: async () => true })],
    [
      'that says of what runs that it is completed',
      (store) => ({
        claim: async (key, options) => {
          const claim = await store.claim(key, options)
          return claim.state === 'in_flight' ? { state: 'completed', fingerprint: '' } : claim
        },
      }),
    ],
  ])('show a store %s', long, async (_mistake, mistake) => {
    expect(await randomOrders(400, { instances: 2, pauses: halves, mistake })).toMatch(/seed/)
  })
})

/** Random orders by fast-check's scheduler. Gives the first that breaks a promise. */
async function randomOrders(
  numRuns: number,
  setting: Omit<Setting, 'handlers'>,
  hasFaults = false,
): Promise<string | undefined> {
  const ways = fc.constantFrom('finish', 'throw', 'overrun')
  const faults = fc.array(fc.constantFrom<Fault>('none', 'none', 'none', 'refused', 'lost'), {
    maxLength: hasFaults ? 12 : 0,
  })
  const handlers = fc.array(ways, { minLength: 1, maxLength: 3 })
  const property = fc.asyncProperty(fc.scheduler(), handlers, faults, async (s, ...drawn) => {
    const turns: Turns = {
      take: (label) => s.schedule(Promise.resolve(), label),
      count: () => s.count(),
      next: () => s.waitNext(1),
    }
    const [ends, lost] = drawn
    const played = new TwoDeliveries({ ...setting, turns, handlers: ends, faults: lost })
    expect(await played.play()).toEqual([])
  })
  const details = await fc.check(property, { numRuns, seed })
  if (!details.failed) return undefined
  const { counterexample, errorInstance } = details
  return `seed ${seed}: ${fc.stringify(counterexample)}\n${String(errorInstance)}`
}

/** Every order in which the first things can happen, up to `depth` choices: by default all of them. */
async function everyOrder(setting: Setting, depth = Number.POSITIVE_INFINITY) {
  const offences: string[] = []
  let count = 0
  for (let script: readonly number[] | undefined = []; script !== undefined; count++) {
    const turns: ScriptedTurns = new ScriptedTurns(script)
    for (const offence of await new TwoDeliveries({ ...setting, turns }).play()) {
      offences.push(`${offence}: ${turns.taken.join(', ')}`)
    }
    script = turns.nextScript(depth)
  }
  return { count, offences }
}

/** Gives turns by a script of choices, and the first of those that wait when the script is over. */
class ScriptedTurns implements Turns {
  readonly taken: string[] = []
  readonly #script: readonly number[]
  readonly #choices: { readonly chosen: number; readonly of: number }[] = []
  readonly #waiting: { readonly label: string; readonly resolve: () => void }[] = []

  constructor(script: readonly number[]) {
    this.#script = script
  }

  take(label: string): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ label, resolve })
    })
  }

  count(): number {
    return this.#waiting.length
  }

  async next(): Promise<void> {
    const chosen = this.#script[this.#choices.length] ?? 0
    this.#choices.push({ chosen, of: this.#waiting.length })
    const [next] = this.#waiting.splice(chosen, 1)
    if (next === undefined) throw new Error('the script does not fit what happens')
    this.taken.push(next.label)
    next.resolve()
  }

  /** The script of the next order: the last choice that has an alternative left takes it. */
  nextScript(depth: number): number[] | undefined {
    const choices = this.#choices.slice(0, depth)
    const last = choices.findLastIndex(({ chosen, of }) => chosen + 1 < of)
    const choice = choices[last]
    if (choice === undefined) return undefined
    return [...choices.slice(0, last).map(({ chosen }) => chosen), choice.chosen + 1]
  }
}
