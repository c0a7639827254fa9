import type {
  EntryFilter,
  InboxState,
  PutOptions,
  StoredDelivery,
  StoredEntry,
} from '../../../src/inboxes/inbox.ts'
import type { Mistake, Mistaken } from '../memory-contract.ts'
import { entryOf, MemoryInbox } from '../memory-inbox.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

const listed = 'lists entries by state, type and time, oldest first'
const paged = 'lists each of 620 entries once, oldest first'
const whileChanging =
  'lists every remaining entry, and none twice, while entries are added and discarded'
const whileWorking = 'lists no entry twice while a worker runs'
const stats = 'stats() counts each state and dates the oldest delivery that is not dead'
const replays = 'a replayed dead letter waits again, with its bytes and all its attempts ahead'
const twentyReplays = 'one of 20 simultaneous replays of a dead letter succeeds, and it runs once'
const discards = 'discards a waiting, delayed or dead delivery once, and never runs it'

/** Mistakes in what is listed, counted and done by hand. */
export const listMistakes: readonly Mistake[] = [
  [
    'lists the newest first',
    [listed, paged],
    listing(async function* (rows) {
      yield* rows().reverse()
    }),
  ],
  [
    'lists one page',
    [paged],
    listing(async function* (rows) {
      yield* rows().slice(0, 100)
    }),
  ],
  [
    'pages by how many it has listed',
    [whileChanging],
    listing(async function* (rows) {
      for (let index = 0; index < rows().length; index += 50) yield* rows().slice(index, index + 50)
    }),
  ],
  [
    'lists one state after another',
    [whileWorking],
    listing(async function* (rows) {
      for (const state of ['waiting', 'running', 'delayed', 'dead']) {
        for (const entry of rows().filter((each) => each.state === state)) {
          // Somebody else has time to change it.
          await turn()
          yield entry
        }
      }
    }),
  ],
  [
    'takes since for later than',
    [listed],
    class extends MemoryInbox {
      override entries({ since, ...filter }: EntryFilter) {
        return super.entries(since ? { ...filter, since: new Date(Number(since) + 1) } : filter)
      }
    },
  ],
  [
    'looks for types that begin so',
    [listed],
    class extends MemoryInbox {
      override async *entries({ type = '', ...filter }: EntryFilter): AsyncIterable<StoredEntry> {
        for await (const entry of super.entries(filter)) {
          if (typeOf(entry.delivery).startsWith(type)) yield entry
        }
      }
    },
  ],
  [
    'lists entries without their attempts',
    ['lists the same entries that entry() returns'],
    listing(async function* (rows) {
      for (const entry of rows()) yield { ...entry, attempts: 0 }
    }),
  ],
  [
    'finds an entry for whatever it is asked',
    ['returns no entry for an unknown id, and neither replays nor discards it'],
    class extends MemoryInbox {
      override async entry(id: string): Promise<StoredEntry> {
        return (await super.entry(id)) ?? { id, state: 'waiting', attempts: 0, delivery: {} }
      }
    },
  ],
  [
    'says how old the oldest dead letter is',
    [stats],
    class extends MemoryInbox {
      override async stats() {
        const times = [...this.memory.values()].map((row) => row.receivedAt)
        return { ...(await super.stats()), oldest: Math.min(...times) }
      }
    },
  ],
  ...(['waiting', 'delayed'] as const).map(withoutIn),
  [
    'replays with used-up attempts',
    [replays, 'a delivery that dies again can be replayed again'],
    class extends MemoryInbox {
      override async replay(id: string) {
        const attempts = this.memory.get(id)?.attempts
        const isReplayed = await super.replay(id)
        if (isReplayed) Object.assign(this.memory.get(id) ?? {}, { attempts })
        return isReplayed
      }
    },
  ],
  [
    'replays whatever there is',
    [
      'replays only dead letters, not waiting, running, delayed or completed deliveries',
      twentyReplays,
    ],
    class extends MemoryInbox {
      override async replay(id: string) {
        await super.replay(id)
        return this.memory.has(id)
      }
    },
  ],
  [
    'loses what is replayed beside others',
    ['runs each of 300 dead letters replayed simultaneously once'],
    class extends MemoryInbox {
      #replays = 0
      override async replay(id: string) {
        return ++this.#replays % 7 === 0 ? this.memory.delete(id) : await super.replay(id)
      }
    },
  ],
  [
    'discards what runs',
    ['does not discard a running delivery, and records its result'],
    class extends MemoryInbox {
      override async discard(id: string) {
        return this.memory.delete(id)
      }
    },
  ],
  [
    'discards what was discarded',
    [discards],
    class extends MemoryInbox {
      override async discard(id: string) {
        await super.discard(id)
        return true
      }
    },
  ],
  [
    'remembers what was discarded',
    ['accepts a discarded delivery again as a new one'],
    class extends MemoryInbox {
      readonly #gone = new Set<string>()
      override async discard(id: string) {
        this.#gone.add(id)
        return await super.discard(id)
      }
      override async put(delivery: StoredDelivery, options: PutOptions) {
        return this.#gone.has(options.key) ? 'duplicate' : await super.put(delivery, options)
      }
    },
  ],
]

/** An inbox that does not know how old the oldest is if it is in a state. */
function withoutIn(state: InboxState): Mistake {
  const name = state === 'waiting' ? 'waits' : 'is delayed'
  return [
    `overlooks the oldest if it ${name}`,
    [`stats() dates the oldest delivery when it ${name}`],
    class extends MemoryInbox {
      override stats() {
        const others = [...this.memory].filter(([, row]) => row.state !== state)
        return new MemoryInbox(new Map(others)).stats()
      }
    },
  ]
}

/** An inbox that lists its entries in another way. */
function listing(list: (rows: () => StoredEntry[]) => AsyncIterable<StoredEntry>): Mistaken {
  return class extends MemoryInbox {
    override async *entries(filter: EntryFilter): AsyncIterable<StoredEntry> {
      const fits = ({ id, state, delivery }: StoredEntry) =>
        this.memory.has(id) &&
        (filter.state ?? state) === state &&
        (filter.type ?? typeOf(delivery)) === typeOf(delivery) &&
        receivedAt(delivery) >= Number(filter.since ?? 0)
      for await (const entry of list(() => [...this.memory.values()].map(entryOf))) {
        if (fits(entry)) yield entry
      }
    }
  }
}

const typeOf = (delivery: unknown) => (delivery as StoredDelivery).type
const receivedAt = (delivery: unknown) => (delivery as StoredDelivery).receivedAt
