import type { PutOptions, StoredDelivery } from '../../../src/inboxes/inbox.ts'
import type { Mistake, Mistaken } from '../memory-contract.ts'
import { MemoryInbox } from '../memory-inbox.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

const atOnce = 'once put() resolves, every instance sees the delivery'
const copies = 'accepts one of 50 copies put simultaneously on two instances, and runs it once'
const repeats =
  'answers duplicate to a copy of a waiting, running, delayed or dead delivery, and changes nothing'
const exact = 'hands deliveries to process() unchanged, whatever their bytes and characters'
const oddKeys = 'accepts any text of up to 200 characters as a key, and never confuses two keys'

/** Mistakes in what is kept. */
export const putMistakes: readonly Mistake[] = [
  [
    'resolves put before the commit',
    [atOnce],
    class extends MemoryInbox {
      override async put(delivery: StoredDelivery, options: PutOptions) {
        setTimeout(() => void super.put(delivery, options), 2)
        return this.memory.has(options.key) ? ('duplicate' as const) : ('accepted' as const)
      }
    },
  ],
  [
    'looks for copies, and then writes',
    [copies],
    class extends MemoryInbox {
      override async put(delivery: StoredDelivery, options: PutOptions) {
        const isThere = this.memory.has(options.key)
        await turn()
        await super.put(delivery, options)
        return isThere ? 'duplicate' : 'accepted'
      }
    },
  ],
  [
    'keeps a duplicate twice',
    [copies, repeats],
    class extends MemoryInbox {
      override async put(delivery: StoredDelivery, options: PutOptions) {
        if ((await super.put(delivery, options)) === 'accepted') return 'accepted'
        await super.put(delivery, { ...options, key: `${options.key}-2` })
        return 'duplicate'
      }
    },
  ],
  [
    'overwrites what is there with a copy',
    [repeats],
    class extends MemoryInbox {
      override async put(delivery: StoredDelivery, options: PutOptions) {
        const row = this.memory.get(options.key)
        if (row !== undefined) row.stored = JSON.stringify(delivery)
        return await super.put(delivery, options)
      }
    },
  ],
  ['forgets the bytes', [exact], keeping((delivery) => ({ ...delivery, body: '' }))],
  [
    'keeps bytes as text',
    [exact, 'hands over a body of 1 MiB in full'],
    keeping((delivery) => {
      const text = Buffer.from(delivery.body, 'base64').toString()
      return { ...delivery, body: Buffer.from(text).toString('base64') }
    }),
  ],
  [
    'joins headers that came often',
    [exact],
    keeping((delivery) => {
      const headers = Object.entries(delivery.headers)
      return { ...delivery, headers: Object.fromEntries(headers.map(([n, v]) => [n, String(v)])) }
    }),
  ],
  [
    'cuts bodies at 64 KiB',
    ['hands over a body of 1 MiB in full'],
    keeping((delivery) => ({ ...delivery, body: delivery.body.slice(0, 65_536) })),
  ],
  [
    'gives all that is put at once the bytes of the first',
    ['runs each of 500 deliveries put simultaneously on two instances once'],
    class extends MemoryInbox {
      #first: string | undefined
      override put(delivery: StoredDelivery, options: PutOptions) {
        this.#first ??= delivery.body
        setImmediate(() => {
          this.#first = undefined
        })
        return super.put({ ...delivery, body: this.#first }, options)
      }
    },
  ],
  ['takes capitals for small letters', [oddKeys], keyedBy((key) => key.toLowerCase())],
  ['ignores spaces at the end', [oddKeys], keyedBy((key) => key.trimEnd())],
  ['normalizes', [oddKeys], keyedBy((key) => key.normalize())],
  ['cuts keys', [oddKeys], keyedBy((key) => key.slice(0, 199))],
  [
    'forgets what it has when it is migrated',
    ['migrate() can be called again and changes nothing'],
    class extends MemoryInbox {
      override async migrate() {
        this.memory.clear()
      }
    },
  ],
]

/** An inbox that keeps something else than it was given. */
function keeping(change: (delivery: StoredDelivery) => StoredDelivery): Mistaken {
  return class extends MemoryInbox {
    override put(delivery: StoredDelivery, options: PutOptions) {
      return super.put(change(delivery), options)
    }
  }
}

/** An inbox that sees every key through a function, as a database column may. */
function keyedBy(stored: (key: string) => string): Mistaken {
  return class extends MemoryInbox {
    override put(delivery: StoredDelivery, options: PutOptions) {
      return super.put(delivery, { ...options, key: stored(options.key) })
    }
    override entry(id: string) {
      return super.entry(stored(id))
    }
  }
}
