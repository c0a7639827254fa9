import fc from 'fast-check'
import type { Claim, Forgotten, HeldClaim, IdempotencyStore, KeyStatus } from 'ringhook'
import { manualClock } from 'ringhook/testing'
import { expect } from 'vitest'
import type { Subject } from './subjects.ts'

const minute = 60_000
const day = 24 * 60 * minute
/** How long a released key keeps its fence at least. */
const keptMs = day

interface Row {
  owner: string
  fence: number
  state: 'running' | 'completed' | 'released'
  fingerprint: string
  endsAt: number
}

/** What a store is, in as few lines as can be, by a clock of its own. */
class Model {
  readonly rows = new Map<string, Row>()
  now = 0

  /** What a claim is to be answered. Several fences are right where the store may have forgotten. */
  claim(key: string, owner: string, leaseMs: number): Claim['state'] | readonly number[] {
    const row = this.rows.get(key)
    if (row?.state === 'running' && row.owner === owner) {
      row.endsAt = this.now + leaseMs
      return [row.fence]
    }
    if (row !== undefined && row.state !== 'released' && row.endsAt > this.now) {
      return row.state === 'running' ? 'in_flight' : 'completed'
    }
    if (row === undefined) return [1]
    const isKept = row.state === 'running' || row.endsAt > this.now
    return isKept ? [row.fence + 1] : [1, row.fence + 1]
  }

  heldBy({ key, owner, fence }: HeldClaim, state: Row['state'] = 'running'): Row | undefined {
    const row = this.rows.get(key)
    return row?.owner === owner && row.fence === fence && row.state === state ? row : undefined
  }

  settle(row: Row | undefined, state: Row['state'], forMs: number): boolean {
    if (row !== undefined) Object.assign(row, { state, endsAt: this.now + forMs })
    return row !== undefined
  }

  status(key: string): KeyStatus {
    const row = this.rows.get(key)
    if (row === undefined || row.state === 'released' || row.endsAt <= this.now) return 'unknown'
    return row.state === 'running' ? 'in_flight' : 'completed'
  }

  forget(key: string): Forgotten {
    const row = this.rows.get(key)
    const isOver = row === undefined || row.endsAt <= this.now
    if (row?.state === 'running' && !isOver) return 'in_flight'
    if (row?.state !== 'running' && (isOver || row.state === 'released')) return 'unknown'
    const leftMs = row.state === 'completed' ? row.endsAt - this.now : keptMs
    this.settle(row, 'released', Math.min(leftMs, keptMs))
    return 'forgotten'
  }
}

interface Real {
  readonly store: IdempotencyStore
  readonly prefix: string
  /** Every claim that was won, also those that were lost again. */
  readonly won: HeldClaim[]
  pass(ms: number): Promise<void>
}

/** A step that both take; they must agree on what came of it. */
class Step implements fc.AsyncCommand<Model, Real> {
  readonly #name: string
  readonly #run: (model: Model, real: Real) => Promise<void>
  readonly #isPossible: (model: Model) => boolean

  constructor(
    name: string,
    run: (model: Model, real: Real) => Promise<void>,
    isPossible: (model: Model) => boolean = () => true,
  ) {
    this.#name = name
    this.#run = run
    this.#isPossible = isPossible
  }

  check(model: Readonly<Model>): boolean {
    return this.#isPossible(model)
  }

  run(model: Model, real: Real): Promise<void> {
    return this.#run(model, real)
  }

  toString(): string {
    return this.#name
  }
}

function claimStep(keyIndex: number, owner: string, leaseMs: number): Step {
  return new Step(`claim(${keyIndex}, ${owner}, ${leaseMs / minute} min)`, async (model, real) => {
    const key = `${real.prefix}${keyIndex}`
    const fingerprint = `print of ${owner}`
    const expected = model.claim(key, owner, leaseMs)
    const claim = await real.store.claim(key, { owner, leaseMs, fingerprint })
    const row = model.rows.get(key)
    if (typeof expected !== 'string') {
      expect(claim).toMatchObject({ state: 'claimed', key, owner })
      if (claim.state !== 'claimed') return
      expect(expected).toContain(claim.fence)
      expect(claim.attempt).toBe(claim.fence)
      const endsAt = model.now + leaseMs
      model.rows.set(key, { owner, fence: claim.fence, state: 'running', fingerprint, endsAt })
      real.won.push(claim)
      return
    }
    expect(claim.state).toBe(expected)
    if (claim.state === 'completed') expect(claim.fingerprint).toBe(row?.fingerprint)
    if (claim.state === 'in_flight') {
      const leftMs = (row?.endsAt ?? 0) - model.now
      // The clock of a server goes on by itself.
      expect(claim.retryAfterMs).toBeGreaterThan(Math.max(0, leftMs - minute))
      expect(claim.retryAfterMs).toBeLessThanOrEqual(leftMs)
    }
  })
}

/** A claim as it was won, or as another owner or an earlier fence would hold it. */
type Bend = 'as won' | 'other owner' | 'earlier fence' | 'later fence'

function bent(claim: HeldClaim, bend: Bend): HeldClaim {
  if (bend === 'other owner') return { ...claim, owner: `${claim.owner}'` }
  if (bend === 'earlier fence') return { ...claim, fence: claim.fence - 1 }
  if (bend === 'later fence') return { ...claim, fence: claim.fence + 1 }
  return claim
}

/** A step with one of the claims that were won, counted from the last. */
function heldStep(
  name: string,
  back: number,
  bend: Bend,
  run: (model: Model, real: Real, claim: HeldClaim) => Promise<void>,
): Step {
  return new Step(
    `${name}(the claim won ${back} before the last, ${bend})`,
    async (model, real) => {
      const claim = real.won.at(-1 - (back % Math.max(1, real.won.length)))
      if (claim !== undefined) await run(model, real, bent(claim, bend))
    },
  )
}

const extendStep = (back: number, bend: Bend, leaseMs: number) =>
  heldStep(`extend by ${leaseMs / minute} min`, back, bend, async (model, { store }, claim) => {
    const expected = model.settle(model.heldBy(claim), 'running', leaseMs)
    expect(await store.extend(claim, { leaseMs })).toBe(expected)
  })

const completeStep = (back: number, bend: Bend, retentionMs: number) =>
  heldStep(`complete for ${retentionMs / minute} min`, back, bend, async (model, real, claim) => {
    const completed = model.heldBy(claim, 'completed')
    const isRepeat = completed !== undefined && completed.endsAt > model.now
    // A store may count the retention from the first or from the last: here they are the same.
    if (isRepeat && completed.endsAt !== model.now + retentionMs) return
    const expected = isRepeat || model.settle(model.heldBy(claim), 'completed', retentionMs)
    expect(await real.store.complete(claim, { retentionMs })).toBe(expected)
  })

const releaseStep = (back: number, bend: Bend) =>
  heldStep('release', back, bend, async (model, { store }, claim) => {
    const expected = model.settle(model.heldBy(claim), 'released', keptMs)
    expect(await store.release(claim)).toBe(expected)
  })

const forgetStep = (keyIndex: number) =>
  new Step(`forget(${keyIndex})`, async (model, { store, prefix }) => {
    const key = `${prefix}${keyIndex}`
    expect(await store.forget(key)).toBe(model.forget(key))
  })

const statusStep = (keyIndex: number) =>
  new Step(`status(${keyIndex})`, async (model, { store, prefix }) => {
    const key = `${prefix}${keyIndex}`
    expect(await store.status(key)).toBe(model.status(key))
  })

const passStep = (ms: number) =>
  new Step(
    `pass(${ms / minute} min)`,
    async (model, { pass }) => {
      await pass(ms)
      model.now += ms
    },
    // What became of an owner that is late by more than a day is left to the store.
    ({ rows }) => ms < day || [...rows.values()].every(({ state }) => state !== 'running'),
  )

/** Lengths of which no sum of those that pass is another: nothing ends in the moment it is looked at. */
const leases = fc.constantFrom(10 * minute, 20 * minute)
const retentions = fc.constantFrom(46 * minute, 30 * day)
const passes = fc.constantFrom(6 * minute, 11 * minute, 25 * minute, 25 * 60 * minute, 31 * day)

const keys = fc.nat({ max: 2 })
const backs = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat({ max: 5 }))
const bends = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Bend>('as won') },
  fc.constantFrom<Bend>('other owner', 'earlier fence', 'later fence'),
)
const claimSteps = fc.tuple(keys, fc.constantFrom('a', 'b', 'c'), leases)
const steps = fc.commands(
  [
    claimSteps.map(([key, owner, leaseMs]) => claimStep(key, owner, leaseMs)),
    // Twice: most of the others need a claim.
    claimSteps.map(([key, owner, leaseMs]) => claimStep(key, owner, leaseMs)),
    fc.tuple(backs, bends, leases).map((drawn) => extendStep(...drawn)),
    fc.tuple(backs, bends, retentions).map((drawn) => completeStep(...drawn)),
    fc.tuple(backs, bends).map((drawn) => releaseStep(...drawn)),
    keys.map(forgetStep),
    keys.map(statusStep),
    passes.map(passStep),
  ],
  { size: '+1' },
)

let runs = 0

/** Takes a store and the model through random steps. Gives the first on which they do not agree, made short. */
export async function disagreement(
  { create, passTime }: Pick<Subject, 'create' | 'passTime'>,
  numRuns: number,
  seed = 20_261_101,
): Promise<string | undefined> {
  const clock = manualClock()
  const store = await create({ clock })
  const property = fc.asyncProperty(steps, (commands) => {
    const prefix = `model-${process.pid}-${Date.now()}-${runs++}-`
    const pass = (ms: number) => passTime?.(ms, store, clock) ?? clock.advance(ms)
    const setup = () => ({ model: new Model(), real: { store, prefix, won: [], pass } })
    return fc.asyncModelRun(setup, commands)
  })
  const details = await fc.check(property, { numRuns, seed })
  if (!details.failed) return undefined
  const { counterexample, errorInstance } = details
  return `seed ${seed}: ${String(counterexample)}\n${String(errorInstance)}`
}
