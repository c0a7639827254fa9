import { setTimeout as pause } from 'node:timers/promises'
import { type HandlerContext, PermanentFailure } from 'ringhook'
import { type Deed, deliveryHeader, type Order, type Wish } from './endpoint.ts'
import type { Journal } from './journal.ts'

/** What a handler is given of its event. */
interface WorkEvent {
  readonly id: string
  readonly data: { readonly deeds: readonly Deed[] }
}

/** Opens once and stays open. The order may come before the handler. */
interface Gate {
  /** Resolves with whether the handler is to fail. */
  readonly opened: Promise<boolean>
  open(fails: boolean): void
}

/** The handlers of a worker: they do what their event says, and the journal has it. */
export class Handlers {
  readonly #worker: string
  readonly #journal: Journal
  readonly #gates = new Map<string, Gate>()
  /** The keys of events after whose handler the process is to be killed. */
  readonly #last = new Set<string>()
  #isMended = false
  #runs = 0

  constructor(worker: string, journal: Journal) {
    this.#worker = worker
    this.#journal = journal
  }

  /** Does what it is told, but for the order to close. */
  obey(order: Order): void {
    if (order.order === 'mend') this.#isMended = true
    if (order.order === 'open') this.#gateOf(order.event).open(order.fails)
  }

  async run({ id: event, data: { deeds } }: WorkEvent, context: HandlerContext): Promise<void> {
    const { idempotencyKey: key, attempt, fence, headers } = context
    const run = `${this.#worker}#run${this.#runs++}`
    const planned = this.#isMended ? undefined : deeds[Math.min(attempt, deeds.length) - 1]
    const deed = planned ?? { act: 'finish', ms: 0 }
    const delivery = String(headers[deliveryHeader])
    const about = { worker: this.#worker, key, fence, delivery, event, attempt, act: deed.act }
    await this.#journal.append({ kind: 'started', run, ...about })
    const fails = await this.#perform(event, deed)
    if (deed.act === 'die') this.#last.add(key)
    await this.#journal.append({ kind: fails ? 'threw' : 'returned', run })
    if (deed.act === 'permanent') throw new PermanentFailure('as planned')
    if (fails) throw new Error('as planned')
  }

  /** Resolves, unless this is where the process is to be killed. */
  async survive(key: string): Promise<void> {
    if (this.#last.has(key)) await killed()
  }

  /** Gives whether the handler is to fail. */
  async #perform(event: string, deed: Deed): Promise<boolean> {
    if (deed.act === 'hold') return await this.#gateOf(event).opened
    if (deed.act === 'block') blockEventLoop(deed.ms)
    else await pause(deed.ms)
    if (deed.act === 'hang') await killed()
    return deed.act === 'throw' || deed.act === 'permanent'
  }

  #gateOf(event: string): Gate {
    let gate = this.#gates.get(event)
    if (gate === undefined) {
      let open: Gate['open'] = () => {}
      const opened = new Promise<boolean>((resolve) => {
        open = resolve
      })
      gate = { opened, open }
      this.#gates.set(event, gate)
    }
    return gate
  }
}

/** Asks to be killed here, and goes no further. */
async function killed(): Promise<never> {
  process.send?.({ wish: 'kill' } satisfies Wish)
  return await new Promise(() => {})
}

/** Stops everything in this process, the renewals too, and leaves the processor to the others. */
function blockEventLoop(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
