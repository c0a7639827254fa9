import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { completed, Entries, none, running } from '../../src/stores/memory/entries.ts'

/** What entries are to be like: a Map, and the keys in the order in which they settled. */
interface Model {
  readonly fences: Map<string, number>
  readonly settled: string[]
}

type Step = readonly ['add' | 'settle' | 'remove' | 'evict', number]

/** Every third shares its hash with the others of them: as long as they are, and the end is the same. */
function keyOf(number: number): string {
  return number % 3 === 0 ? `${String(number).padStart(6)}${'0'.repeat(64)}` : `key ${number}`
}

function take(entries: Entries, { fences, settled }: Model, [step, number]: Step): void {
  if (step === 'evict') {
    const oldest = settled.shift()
    if (oldest === undefined) return
    expect(entries.keys[entries.oldest]).toBe(oldest)
    entries.remove(entries.oldest)
    fences.delete(oldest)
    return
  }
  const key = keyOf(number)
  const entry = entries.find(key)
  expect(entry === none).toBe(!fences.has(key))
  if (step === 'add' && entry === none) {
    entries.add(key, `owner ${number}`, number, 'crc', 1)
    fences.set(key, number)
  }
  if (step === 'settle' && entry !== none && entries.states[entry] === running) {
    entries.settle(entry, completed, 2)
    settled.push(key)
  }
  if (step === 'remove' && entry !== none) {
    entries.remove(entry)
    fences.delete(key)
    const at = settled.indexOf(key)
    if (at !== -1) settled.splice(at, 1)
  }
}

function expectSame(entries: Entries, { fences, settled }: Model): void {
  expect(entries.size).toBe(fences.size)
  for (const [key, fence] of fences) {
    const entry = entries.find(key)
    expect([entries.keys[entry], entries.fences[entry]]).toEqual([key, fence])
  }
  expect(entries.oldest === none ? undefined : entries.keys[entries.oldest]).toBe(settled[0])
}

describe('Entries', () => {
  it('are a Map that knows in which order its keys settled, whatever is done to them', () => {
    const steps = fc.array(
      fc.tuple(
        fc.constantFrom('add' as const, 'add' as const, 'settle' as const, 'remove', 'evict'),
        fc.nat(60),
      ),
      { maxLength: 400 },
    )
    fc.assert(
      fc.property(steps, (many) => {
        const entries = new Entries()
        const model: Model = { fences: new Map(), settled: [] }
        for (const step of many) take(entries, model, step as Step)
        expectSame(entries, model)
      }),
      { numRuns: 300 },
    )
  })

  it('keep every key when the columns and the table grow, and find places that became free', () => {
    const entries = new Entries()
    const model: Model = { fences: new Map(), settled: [] }
    for (let number = 0; number < 20_000; number++) {
      take(entries, model, ['add', number])
      take(entries, model, ['settle', number])
      if (number % 2 === 0) take(entries, model, ['evict', 0])
    }
    expectSame(entries, model)
    const places = entries.keys.length
    for (let number = 0; number < 5_000; number++) take(entries, model, ['evict', 0])
    for (let number = 0; number < 5_000; number++) take(entries, model, ['add', 100_000 + number])
    expectSame(entries, model)
    expect(entries.keys.length).toBe(places)
  })

  it('do not take a key that went for the empty key', () => {
    const entries = new Entries()
    entries.remove(entries.add('a', 'owner', 1, 'crc', 1))
    expect(entries.find('')).toBe(none)
    expect(entries.find('a')).toBe(none)
  })
})
