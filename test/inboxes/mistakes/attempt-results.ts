import type { Attempt, AttemptResult } from '../../../src/inboxes/inbox.ts'
import type { Mistake, Mistaken } from '../memory-contract.ts'
import { MemoryInbox, MemoryTransaction, type Row } from '../memory-inbox.ts'

const done = 'what is done is gone, and never runs again'
const delays = 'what is tried again waits for its delay, and its attempts have numbers'
const laters = 'what comes later waits for its delay, and its attempts do not count'
const lateEntries = 'what comes later is delayed, without the attempt'
const letters = 'a dead letter stays, with its bytes and why, and is not run'
const stale = (what: string) =>
  `a worker that says of what it has lost that it ${what} changes nothing`
const rolledBack = 'a transaction that is rolled back completes nothing'

/** Mistakes in what becomes of a delivery when it has been run. */
export const verdictMistakes: readonly Mistake[] = [
  [
    'runs again what is done',
    [done, 'what was rolled back is done when process says so'],
    deciding((row, verdict) =>
      verdict.state === 'completed' && row.attempts === 1
        ? { state: 'postponed', delayMs: 0 }
        : verdict,
    ),
  ],
  [
    'shows what runs as waiting',
    ['a delivery runs while it runs: others see it so'],
    class extends MemoryInbox {
      override async entry(id: string) {
        const entry = await super.entry(id)
        return entry?.state === 'running' ? { ...entry, state: 'waiting' as const } : entry
      }
    },
  ],
  [
    'loses what is tried again',
    [delays, 'the attempts at a delivery are counted as far as they go'],
    deciding((_, verdict) => (verdict.state === 'retry' ? { state: 'completed' } : verdict)),
  ],
  [
    'tries again at once',
    [delays, 'what is tried again in an hour is delayed until then, with its failure'],
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
    ['what is tried again in 30 days is delayed until then, with its failure'],
    deciding((_, verdict) =>
      'delayMs' in verdict ? { ...verdict, delayMs: Math.trunc(verdict.delayMs) | 0 } : verdict,
    ),
  ],
  [
    'gives up after ten attempts',
    ['the attempts at a delivery are counted as far as they go'],
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
      ...['is done', 'is to be tried again', 'is dead', 'comes later'].map(stale),
      'a verdict about what was lost changes nothing after the next one either',
      'a worker that is stopped gives back nothing that it has lost',
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
      'what a worker has lost goes to another, and the attempt counts',
      'a delivery whose workers all die comes to its next attempt each time',
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
      'what cannot be read is given to process as it is, and can be parked',
      'what cannot be read can be tried again, replayed and discarded',
      'what is damaged while it is delayed or dead is still tried and replayed',
    ],
    class extends MemoryInbox {
      override isDue(row: Row) {
        return super.isDue(row) && row.stored.startsWith('{')
      }
    },
  ],
  [
    'lists nothing if it cannot read one',
    ['what cannot be read does not hide the others from a list, or from stats'],
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
        ', although its handler failed after that',
        ', although it was parked after that',
      ].map((name) => `what is completed in a transaction is done by its commit${name}`),
      'a worker that dies after the commit leaves nothing to do',
    ],
    completing(() => false),
  ],
  [
    'completes in whatever transaction, and for whoever asks',
    [
      'what is no transaction of its database completes nothing',
      'a worker cannot complete what it has lost',
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
