import { randomInt } from 'node:crypto'

/** What has become of a key. `released` ones are kept for their fence. */
export const running = 0
export const completed = 1
export const released = 2
export type State = typeof running | typeof completed | typeof released

/** The number of no entry. */
export const none = -1

const firstCapacity = 1_024
/** How many code units of a key its hash is made of, at most: as many as a key of the core has. */
const hashedUnits = 64

/**
 * Keys with what is known of each, in columns: an entry is a number, and its parts are at that place
 * of every column. A million objects would have to be made, moved and marked one by one; columns of
 * numbers are nothing to the garbage collector. Also knows in which order entries settled.
 *
 * Entries are found by a hash table with linear probing, at most half full.
 */
export class Entries {
  readonly keys: string[] = []
  readonly owners: string[] = []
  readonly fingerprints: string[] = []
  fences = new Float64Array(firstCapacity)
  states = new Uint8Array(firstCapacity)
  /** When a lease ends, or when a settled entry is forgotten. */
  endsAt = new Float64Array(firstCapacity)
  /** How many there are. */
  size = 0
  /** The entry that settled first, of those that are left. */
  oldest = none

  /** The neighbours in the order in which entries settled. A free place names the next free one. */
  #older = new Int32Array(firstCapacity)
  #newer = new Int32Array(firstCapacity)
  #newest = none
  #free = none
  /** The entry that was added last. */
  #last = none
  /** The hash of each entry's key, and the entries by their hash: an entry's number and one, or 0. */
  #hashes = new Int32Array(firstCapacity)
  #table = new Int32Array(2 * firstCapacity)
  /** Random, so callers can't construct colliding keys. */
  readonly #seed = randomInt(2 ** 32) | 0
  /** The key that was hashed last, and its hash: a key is looked for before it's added. */
  #hashedKey: string | undefined
  #hash = 0

  /** Returns the entry of a key, or {@link none}. */
  find(key: string): number {
    // A claim is completed, for the most part, before another is made.
    if (this.keys[this.#last] === key) return this.#last
    const hash = this.#hashOf(key)
    const mask = this.#table.length - 1
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const entry = (this.#table[place] as number) - 1
      if (entry === none) return none
      if (this.#hashes[entry] === hash && this.keys[entry] === key) return entry
    }
  }

  /** Adds a running entry for a key that has none. */
  add(key: string, owner: string, fence: number, fingerprint: string, endsAt: number): number {
    const entry = this.#take()
    this.keys[entry] = key
    this.owners[entry] = owner
    this.fingerprints[entry] = fingerprint
    this.fences[entry] = fence
    this.states[entry] = running
    this.endsAt[entry] = endsAt
    const hash = this.#hashOf(key)
    this.#hashes[entry] = hash
    this.#enter(entry, hash)
    this.#last = entry
    this.size++
    return entry
  }

  /** Settles a running entry. */
  settle(entry: number, state: State, endsAt: number): void {
    this.states[entry] = state
    this.endsAt[entry] = endsAt
    this.#older[entry] = this.#newest
    this.#newer[entry] = none
    if (this.#newest === none) this.oldest = entry
    else this.#newer[this.#newest] = entry
    this.#newest = entry
  }

  /** Takes an entry out, and out of the order if it had settled. */
  remove(entry: number): void {
    this.#leave(entry)
    if (this.states[entry] !== running) {
      const older = this.#older[entry] as number
      const newer = this.#newer[entry] as number
      if (older === none) this.oldest = newer
      else this.#newer[older] = newer
      if (newer === none) this.#newest = older
      else this.#older[newer] = older
    }
    if (entry === this.#last) this.#last = none
    // Else the place would hold its texts until it is taken again.
    this.keys[entry] = ''
    this.owners[entry] = ''
    this.fingerprints[entry] = ''
    this.#newer[entry] = this.#free
    this.#free = entry
    this.size--
  }

  /** Gives a place in the columns. */
  #take(): number {
    if (this.#free === none) {
      const entry = this.keys.length
      if (entry === this.fences.length) this.#grow()
      return entry
    }
    const entry = this.#free
    this.#free = this.#newer[entry] as number
    return entry
  }

  #grow(): void {
    const capacity = 2 * this.fences.length
    this.fences = longer(this.fences, new Float64Array(capacity))
    this.states = longer(this.states, new Uint8Array(capacity))
    this.endsAt = longer(this.endsAt, new Float64Array(capacity))
    this.#older = longer(this.#older, new Int32Array(capacity))
    this.#newer = longer(this.#newer, new Int32Array(capacity))
    this.#hashes = longer(this.#hashes, new Int32Array(capacity))
    this.#table = new Int32Array(2 * capacity)
    // None is free, or there would be no need to grow.
    for (let entry = 0; entry < this.keys.length; entry++) {
      this.#enter(entry, this.#hashes[entry] as number)
    }
  }

  #enter(entry: number, hash: number): void {
    const mask = this.#table.length - 1
    let place = hash & mask
    while (this.#table[place] !== 0) place = (place + 1) & mask
    this.#table[place] = entry + 1
  }

  /** Empties an entry's place in the table, and moves those up that had to pass it. */
  #leave(entry: number): void {
    const mask = this.#table.length - 1
    let gap = (this.#hashes[entry] as number) & mask
    while (this.#table[gap] !== entry + 1) gap = (gap + 1) & mask
    for (let place = (gap + 1) & mask; ; place = (place + 1) & mask) {
      const other = (this.#table[place] as number) - 1
      if (other === none) break
      const home = (this.#hashes[other] as number) & mask
      // It may move up unless its own place lies behind the gap.
      if (((place - home) & mask) < ((place - gap) & mask)) continue
      this.#table[gap] = other + 1
      gap = place
    }
    this.#table[gap] = 0
  }

  /**
   * FNV-1a over the last code units, from a seed of this table. All of a key of the core: ids may
   * begin alike and end alike.
   */
  #hashOf(key: string): number {
    if (key === this.#hashedKey) return this.#hash
    let hash = this.#seed ^ key.length
    for (let index = Math.max(0, key.length - hashedUnits); index < key.length; index++) {
      hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193)
    }
    this.#hashedKey = key
    this.#hash = hash ^ (hash >>> 15)
    return this.#hash
  }
}

function longer<Column extends Float64Array | Int32Array | Uint8Array>(
  from: Column,
  into: Column,
): Column {
  into.set(from)
  return into
}
