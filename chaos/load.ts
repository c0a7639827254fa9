import { setTimeout as pause } from 'node:timers/promises'
import { ackDeadlineMs, type Deed, leaseMs } from './endpoint.ts'
import type { Rng } from './rng.ts'
import type { Receipt, Sender, SentEvent } from './sender.ts'

/** How many events are under way at once. */
const streams = 24
/**
 * After the faults an event counts as stuck if so many attempts over so long were in vain: a machine
 * under load needs the attempts, and a client that has to give up dead connections needs the time.
 */
const leastAttempts = 40
const leastPatienceMs = 30_000

/** How long something is tried after the faults. */
class Patience {
  #attempts = 0
  #until = 0

  /** Counts an attempt in vain. Gives whether it was the last. */
  isOver(): boolean {
    if (this.#attempts++ === 0) this.#until = performance.now() + leastPatienceMs
    return this.#attempts >= leastAttempts && performance.now() >= this.#until
  }
}

/** Sends new events and their repeats until it is told to end, and then each event until its 2xx. */
export async function load(sender: Sender, rng: Rng, signal: AbortSignal): Promise<void> {
  await Promise.all(
    Array.from({ length: streams }, async (_, index) => {
      const own = rng.fork(index + 1)
      while (!signal.aborted) {
        const event = sender.create(deeds(own))
        await deliverAndRepeat(sender, event, own, signal)
        await pause(own.between(0, 60))
      }
    }),
  )
}

/**
 * Sends every event again until it is answered as finished, or as the caller says. Gives the last
 * receipt of each; ends early when one is stuck, because then many may be.
 */
export async function repeatAll(
  sender: Sender,
  rng: Rng,
  isEnough = ({ outcome }: Receipt) => outcome === 'duplicate',
  isMeant: (event: SentEvent) => boolean = () => true,
): Promise<Receipt[]> {
  const waiting = sender.events.filter(isMeant)
  const last: Receipt[] = []
  let isStuck = false
  const repeat = async (event: SentEvent) => {
    const patience = new Patience()
    let receipt = await sender.deliver(event)
    while (!isEnough(receipt) && !isStuck) {
      isStuck = patience.isOver()
      await pause(rng.between(50, 300))
      receipt = await sender.deliver(event)
    }
    last.push(receipt)
  }
  await Promise.all(
    Array.from({ length: streams }, async () => {
      for (let event = waiting.pop(); event && !isStuck; event = waiting.pop()) await repeat(event)
    }),
  )
  return last
}

/** Sends an event until its 2xx, several copies at once by chance, and perhaps again after that. */
export async function deliverAndRepeat(
  sender: Sender,
  event: SentEvent,
  rng: Rng,
  signal: AbortSignal,
): Promise<void> {
  const patience = new Patience()
  while (!event.isAcknowledged) {
    const copies = rng.chance(0.25) ? rng.between(2, 4) : 1
    await Promise.all(Array.from({ length: copies }, () => sender.deliver(event)))
    if (event.isAcknowledged) break
    await pause(rng.between(50, 300))
    if (signal.aborted && patience.isOver()) return
  }
  const repeats = rng.chance(0.3) ? rng.between(1, 2) : 0
  for (let repeat = 0; repeat < repeats && !signal.aborted; repeat++) {
    await pause(rng.between(0, 200))
    await sender.deliver(event)
  }
}

/** What the event's handlers do: most finish, and the last attempt always does. */
function deeds(rng: Rng): Deed[] {
  const planned: Deed[] = []
  while (planned.length < 3 && rng.chance(0.25)) planned.push(trouble(rng))
  return [...planned, { act: 'finish', ms: rng.between(1, 40) }]
}

function trouble(rng: Rng): Deed {
  const kind = rng.next()
  if (kind < 0.4) return { act: 'throw', ms: rng.between(0, 60) }
  // Longer than its lease, which is renewed.
  if (kind < 0.7) return { act: 'finish', ms: rng.between(leaseMs, 2 * leaseMs) }
  // Longer than its deadline too.
  if (kind < 0.88) return { act: 'finish', ms: ackDeadlineMs + rng.between(50, 600) }
  return { act: 'block', ms: rng.between(1.1 * leaseMs, 2 * leaseMs) }
}
