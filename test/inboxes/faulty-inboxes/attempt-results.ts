import type { Attempt, AttemptResult } from '../../../src/inboxes/inbox.ts'
import type { Mistake, Mistaken } from '../memory-contract.ts'
import { MemoryInbox, MemoryTransaction, type Row } from '../memory-inbox.ts'

const done = 'removes completed deliveries and never runs them again'
const delays = 'waits for the delay before each retry, and numbers the attempts'
const laters = 'waits before a postponed delivery runs again, and does not count the attempt'
const lateEntries = 'shows a postponed delivery as delayed, with only its earlier attempts'
const letters = 'keeps a dead letter with its bytes and failure, and does not run it'
const stale = (result: string) => `ignores "${result}" from a worker that lost its lease`
const rolledBack = 'a rolled-back transaction completes nothing'

/** Mistakes in what becomes of a delivery when it has been run. */
export const verdictMistakes: readonly Mistake[] = [
  [
    'runs again what is done',
    [done, 'a delivery whose transaction was rolled back can still complete through its result'],
    deciding((row, verdict) =>
      verdict.state === 'completed' && row.attempts === 1
        ? { state: 'postponed', delayMs: 0 }
        : verdict,
    ),
  ],
  [
    'shows what runs as waiting',
    ['shows other instances that a delivery is running'],
    class extends MemoryInbox {
      override async entry(id: string) {
        const entry = await super.entry(id)
        return entry?.state === 'running' ? { ...entry, state: 'waiting' as const } : entry
      }
    },
  ],
  [
    'loses what is tried again',
    [delays, 'counts attempts without a limit'],
    deciding((_, verdict) => (verdict.state === 'retry' ? { state: 'completed' } : verdict)),
  ],
  [
    'tries again at once',
    [delays, 'delays a retry by an hour and keeps its failure'],
    deciding((_, verdict) => (verdict.state === 'retry' ? { ...verdict, delayMs: 0 } : verdict)),
  ],
  [
    'takes ms for seconds',
    [delays],
    deciding((_, verdict) =>
      'delayMs' in verdict ? { ...verdict, delayMs: verdict.delayMs * 1_000 } : verdict,
    ),
  ],
  [
    'holds delays in 31 bits',
    ['delays a retry by 30 days and keeps its failure'],
    deciding((_, verdict) =>
      'delayMs' in verdict ? { ...verdict, delayMs: Math.trunc(verdict.delayMs) | 0 } : verdict,
    ),
  ],
  [
    'gives up after ten attempts',
    ['counts attempts without a limit'],
    deciding((row, verdict) =>
      verdict.state === 'retry' && row.attempts === 10
        ? { state: 'dead', failure: verdict.failure }
        : verdict,
    ),
  ],
  [
    'counts what comes later',
    [laters, lateEntries],
    class extends MemoryInbox {
      override carryOut(row: Row, verdict: AttemptResult) {
        super.carryOut(row, verdict)
        if (verdict.state === 'postponed') row.attempts++
      }
    },
  ],
  [
    'forgets dead letters',
    [letters],
    deciding((_, verdict) => (verdict.state === 'dead' ? { state: 'completed' } : verdict)),
  ],
  [
    'cuts what a failure says',
    [letters],
    class extends MemoryInbox {
      override carryOut(row: Row, verdict: AttemptResult) {
        super.carryOut(row, verdict)
        const { failure } = row
        if (failure) row.failure = { ...failure, reason: failure.reason.slice(0, 255) }
      }
    },
  ],
  [
    'lets a stale worker finish',
    [
      ...['completed', 'retry', 'dead', 'postponed'].map(stale),
      'ignores the result of a lost lease even after the next worker reported its own',
      'a stopping worker does not return a delivery whose lease it lost',
    ],
    class extends MemoryInbox {
      override isStale(row: Row) {
        return this.memory.get(row.id) !== row
      }
    },
  ],
  [
    'numbers attempts by verdicts',
    [
      'a delivery whose lease is lost goes to another worker, and the attempt counts',
      'a delivery reaches its next attempt each time its worker dies',
    ],
    class extends MemoryInbox {
      readonly #verdicts = new Map<Row, number>()
      override carryOut(row: Row, verdict: AttemptResult) {
        this.#verdicts.set(row, (this.#verdicts.get(row) ?? 0) + 1)
        super.carryOut(row, verdict)
      }
      override attemptAt(row: Row, holder: object) {
        row.attempts = (this.#verdicts.get(row) ?? 0) + 1
        return super.attemptAt(row, holder)
      }
    },
  ],
  [
    'passes over what it cannot read',
    [
      'hands an unreadable delivery to process() as it is stored, and can dead-letter it',
      'an unreadable delivery can be retried, replayed and discarded',
      'a delivery corrupted while delayed or dead can still be retried and replayed',
    ],
    class extends MemoryInbox {
      override isDue(row: Row) {
        return super.isDue(row) && row.stored.startsWith('{')
      }
    },
  ],
  [
    'lists nothing if it cannot read one',
    ['an unreadable delivery hides no other from lists or stats'],
    class extends MemoryInbox {
      override entries(filter: object) {
        for (const { stored } of this.memory.values()) JSON.parse(stored)
        return super.entries(filter)
      }
    },
  ],
  [
    'completes before the commit',
    [rolledBack],
    completing((row, inbox) => inbox.memory.delete(row.id)),
  ],
  [
    'completes nothing',
    [
      ...[
        '',
        ', even if its handler fails afterwards',
        ', even if it is dead-lettered afterwards',
      ].map((name) => `a delivery completed in a transaction is gone with its commit${name}`),
      'a worker that dies after the commit leaves nothing to run',
    ],
    completing(() => false),
  ],
  [
    'completes in whatever transaction, and for whoever asks',
    [
      'complete() does nothing without a transaction of its own database',
      'a worker that lost its lease cannot complete the delivery in a transaction',
    ],
    completing((row, inbox, transaction) => {
      if (transaction instanceof MemoryTransaction) {
        transaction.writes.push(() => inbox.memory.delete(row.id))
      }
      return true
    }),
  ],
]

/** An inbox that carries out another verdict than it was given. */
function deciding(change: (row: Row, verdict: AttemptResult) => AttemptResult): Mistaken {
  return class extends MemoryInbox {
    override carryOut(row: Row, verdict: AttemptResult) {
      super.carryOut(row, change(row, verdict))
    }
  }
}

/** An inbox whose attempts complete in another way. */
function completing(
  complete: (row: Row, inbox: MemoryInbox, transaction: unknown) => boolean,
): Mistaken {
  return class extends MemoryInbox {
    override attemptAt(row: Row, holder: object): Attempt {
      return {
        ...super.attemptAt(row, holder),
        complete: (transaction) => complete(row, this, transaction),
      }
    }
  }
}
