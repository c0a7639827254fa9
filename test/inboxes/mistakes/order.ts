import type { Mistake } from '../memory-contract.ts'
import { type Memory, MemoryInbox, type Row } from '../memory-inbox.ts'

const inOrder = 'deliveries of one key run in the order in which they were put, also when they fail'
const byKey = 'of each key one runs at a time, in order, whoever works'
const behindWhatRuns = 'what is put behind others while they run takes its turn'
const heldBack = 'one that is tried again holds back those of its key, and no others'
const afterHold = 'one that is tried again after its hold holds back nobody for longer'
const firstFailure = 'a hold begins with the first failure, and later ones do not prolong it'
const freed = 'neither a dead letter nor one that was discarded holds back what is behind it'

/** Mistakes in the order of deliveries that have an ordering key. */
export const orderingMistakes: readonly Mistake[] = [
  [
    'keeps no order',
    [
      inOrder,
      byKey,
      behindWhatRuns,
      heldBack,
      'a full crew of those behind it does not hold back other keys',
    ],
    class extends MemoryInbox {
      override isHeldBack() {
        return false
      }
    },
  ],
  [
    'lets what is tried again be overtaken',
    [inOrder, heldBack],
    class extends MemoryInbox {
      override holds(row: Row) {
        return row.state !== 'delayed' && super.holds(row)
      }
    },
  ],
  [
    'lets what comes later be overtaken',
    ['what could not be tried is not overtaken'],
    class extends MemoryInbox {
      override holds(row: Row) {
        return (row.state !== 'delayed' || row.failedAt !== undefined) && super.holds(row)
      }
    },
  ],
  [
    'holds back everybody',
    [heldBack],
    class extends MemoryInbox {
      override isHeldBack(row: Row, rows: readonly Row[]) {
        return rows.slice(0, rows.indexOf(row)).some((before) => this.holds(before))
      }
    },
  ],
  [
    'holds for ever',
    [afterHold, firstFailure],
    class extends MemoryInbox {
      override holds({ state }: Row) {
        return state !== 'dead'
      }
    },
  ],
  [
    'holds from the last failure on',
    [firstFailure],
    class extends MemoryInbox {
      override holds(row: Row) {
        return super.holds({ ...row, failedAt: row.failure?.at })
      }
    },
  ],
  [
    'waits for dead letters',
    [freed],
    class extends MemoryInbox {
      override holds(row: Row) {
        return super.holds({ ...row, state: 'delayed' })
      }
    },
  ],
  [
    'puts what it gives back behind the others',
    ['what a stopped worker gave back keeps its place'],
    class extends MemoryInbox {
      override giveBack(row: Row) {
        super.giveBack(row)
        moveToEnd(this.memory, row)
      }
    },
  ],
  [
    'puts what is replayed behind the others',
    ['a dead letter that is replayed comes to its place again'],
    class extends MemoryInbox {
      override async replay(id: string) {
        const isReplayed = await super.replay(id)
        const row = this.memory.get(id)
        if (row !== undefined) moveToEnd(this.memory, row)
        return isReplayed
      }
    },
  ],
]

function moveToEnd(memory: Memory, row: Row): void {
  memory.delete(row.id)
  memory.set(row.id, row)
}
