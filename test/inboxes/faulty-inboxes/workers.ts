import type { Process, WorkerOptions } from '../../../src/inboxes/inbox.ts'
import type { Mistake } from '../memory-contract.ts'
import { MemoryInbox, type Row } from '../memory-inbox.ts'

const drains = 'stop() waits for running deliveries, records their results and claims nothing new'
const givesBack = 'stop() returns unfinished deliveries after drainMs, without counting the attempt'
const stopped = 'a stopped worker claims nothing, and put() still works'

/** Mistakes of workers: when they run something, and how much of it. */
export const workerMistakes: readonly Mistake[] = [
  [
    'runs one too many',
    [1, 3].map(
      (most) =>
        `a worker with a concurrency of ${most} runs that many deliveries at a time, never more`,
    ),
    class extends MemoryInbox {
      override start(process: Process, options: WorkerOptions) {
        return super.start(process, { ...options, concurrency: options.concurrency + 1 })
      }
    },
  ],
  [
    'runs nothing that was there before it started',
    ['a worker runs deliveries put before and after it started, on any instance'],
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
    ['workers on two instances share the deliveries and run each once'],
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
    [givesBack, 'a delivery returned by a stopped worker keeps its place in the order'],
    class extends MemoryInbox {
      override giveBack() {}
    },
  ],
  [
    'carries out verdicts on what it gave back',
    ['a returned delivery belongs to its next worker, even if the first still reports a result'],
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
    ['a worker can be stopped and restarted'],
    class extends MemoryInbox {
      #starts = 0
      override async start(process: Process, options: WorkerOptions) {
        if (this.#starts++ === 0) await super.start(process, options)
      }
    },
  ],
]
