import type { Mistake } from '../memory-contract.ts'
import { type Memory, MemoryInbox, type Row } from '../memory-inbox.ts'

const inOrder = 'runs deliveries with one ordering key in order, even if they fail'
const byKey = 'runs one delivery per ordering key at a time, in order, across workers'
const behindWhatRuns = 'a delivery put while earlier ones run waits its turn'
const heldBack = 'a delivery waiting for its retry holds back its own ordering key and no other'
const afterHold = 'a failing delivery holds back those behind it no longer than maxHoldMs'
const firstFailure = 'a hold starts at the first failure, and later failures do not extend it'
const freed = 'dead and discarded deliveries hold back nothing'

/** Mistakes in the order of deliveries that have an ordering key. */
export const orderingMistakes: readonly Mistake[] = [
  [
    'keeps no order',
    [
      inOrder,
      byKey,
      behindWhatRuns,
      heldBack,
      'a long queue behind one ordering key holds back no other delivery',
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
    ['a postponed delivery keeps its place in the order'],
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
    ['a delivery returned by a stopped worker keeps its place in the order'],
    class extends MemoryInbox {
      override giveBack(row: Row) {
        super.giveBack(row)
        moveToEnd(this.memory, row)
      }
    },
  ],
  [
    'puts what is replayed behind the others',
    ['a replayed dead letter takes its place in the order again'],
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
