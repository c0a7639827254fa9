import { memoryStore } from '../../src/stores/memory.ts'
import type { Place, Subject } from './subject.ts'

export const memory: Subject = {
  floor: 'Map.has, Map.set',
  isRemote: false,
  async connect() {
    return { open: async () => new MemoryPlace(), close: async () => {} }
  },
}

class MemoryPlace implements Place {
  #map = new Map<string, string>()
  store = newStore()

  async insert(key: string, owner: string): Promise<boolean> {
    if (this.#map.has(key)) return false
    this.#map.set(key, owner)
    return true
  }

  async clear(): Promise<void> {
    this.#map = new Map()
    this.store = newStore()
  }

  /** What the heap and its typed arrays hold: for a process that has one place and nothing else. */
  async bytes(): Promise<number> {
    if (globalThis.gc === undefined) throw new Error('start the process with --expose-gc')
    globalThis.gc()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
}

function newStore() {
  return memoryStore({ maxEntries: 2_000_000, logger: false })
}
