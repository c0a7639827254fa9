import type { Process, WorkerOptions } from '../../../src/inboxes/inbox.ts'
import type { Mistake } from '../memory-contract.ts'
import { MemoryInbox, type Row } from '../memory-inbox.ts'

const drains = 'stop waits for what runs, whose verdicts count, and claims nothing more'
const givesBack = 'stop gives back what is not done in time, to be claimed at once and uncounted'
const stopped = 'a worker that was stopped claims nothing, and put still works'

/** Mistakes of workers: when they run something, and how much of it. */
export const workerMistakes: readonly Mistake[] = [
  [
    'runs one too many',
    [1, 3].map((most) => `with a concurrency of ${most}, as many run at a time, and no more`),
    class extends MemoryInbox {
      override start(process: Process, options: WorkerOptions) {
        return super.start(process, { ...options, concurrency: options.concurrency + 1 })
      }
    },
  ],
  [
    'runs nothing that was there before it started',
    ['a worker runs what was put before and after its start, anywhere'],
    class extends MemoryInbox {
      #before = new Set<string>()
      override start(process: Process, options: WorkerOptions) {
        this.#before = new Set(this.memory.keys())
        return super.start(process, options)
      }
      override isDue(row: Row) {
        return !this.#before.has(row.id) && super.isDue(row)
      }
    },
  ],
  [
    'claims without a word to others',
    ['workers on two instances share the work, and run each delivery once'],
    class extends MemoryInbox {
      override isDue(row: Row) {
        const isMine = [...this.running.values()].includes(row)
        return super.isDue(row) || (row.state === 'running' && !isMine)
      }
    },
  ],
  [
    'waits for nothing when it is stopped',
    [drains],
    class extends MemoryInbox {
      override stop() {
        return super.stop()
      }
    },
  ],
  [
    'claims what waits while it is stopped',
    [drains],
    class extends MemoryInbox {
      override async stop(options: { readonly drainMs?: number } = {}) {
        const giveUpAt = Date.now() + (options.drainMs ?? 0)
        const hasWork = async () => (await this.stats()).waiting + this.running.size > 0
        while ((await hasWork()) && Date.now() < giveUpAt) {
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
        await super.stop(options)
      }
    },
  ],
  [
    'counts what it gives back',
    [givesBack],
    class extends MemoryInbox {
      override giveBack(row: Row) {
        super.giveBack(row)
        row.attempts++
      }
    },
  ],
  [
    'gives nothing back',
    [givesBack, 'what a stopped worker gave back keeps its place'],
    class extends MemoryInbox {
      override giveBack() {}
    },
  ],
  [
    'carries out verdicts on what it gave back',
    ['what was given back belongs to whoever claims it next, whatever the first decides'],
    class extends MemoryInbox {
      override isStale(row: Row) {
        return this.memory.get(row.id) !== row
      }
    },
  ],
  [
    'goes on when it is stopped',
    [stopped],
    class extends MemoryInbox {
      override async stop() {}
    },
  ],
  [
    'starts once',
    ['a worker can be stopped and started again'],
    class extends MemoryInbox {
      #starts = 0
      override async start(process: Process, options: WorkerOptions) {
        if (this.#starts++ === 0) await super.start(process, options)
      }
    },
  ],
]
