import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { type Deed, leaseMs } from '../endpoint.ts'
import { deliverAndRepeat } from '../load.ts'
import type { Rng } from '../rng.ts'
import type { Sender } from '../sender.ts'

/** How many calls send their events at once. */
const streams = 16

/** Sends the events of calls, one after the other, until it is told to end, and then to its 2xx. */
export async function loadInbox(sender: Sender, rng: Rng, signal: AbortSignal): Promise<void> {
  await Promise.all(
    Array.from({ length: streams }, async (_, index) => {
      const own = rng.fork(index + 1)
      while (!signal.aborted) await sendCall(sender, own, signal)
    }),
  )
}

async function sendCall(sender: Sender, rng: Rng, signal: AbortSignal): Promise<void> {
  const path = rng.chance(0.3) ? '/hasty' : '/hooks'
  const about = rng.chance(0.8) ? { path, call: `call_${randomUUID()}` } : { path }
  for (let left = rng.between(1, 5); left > 0 && !signal.aborted; left--) {
    const event = sender.create(deeds(rng), about)
    await deliverAndRepeat(sender, event, rng, signal)
    await pause(rng.between(0, 120))
  }
}

/** What the event's handlers do: most finish at once, some after trouble, and few never. */
function deeds(rng: Rng): Deed[] {
  if (rng.chance(0.02)) return [{ act: 'throw', ms: rng.between(0, 20) }]
  const planned: Deed[] = []
  while (planned.length < 3 && rng.chance(0.22)) planned.push(trouble(rng))
  return [...planned, { act: 'finish', ms: rng.between(1, 40) }]
}

function trouble(rng: Rng): Deed {
  const kind = rng.next()
  if (kind < 0.55) return { act: 'throw', ms: rng.between(0, 60) }
  // Longer than the store's lease, which is renewed.
  if (kind < 0.75) return { act: 'finish', ms: rng.between(leaseMs, 2 * leaseMs) }
  if (kind < 0.83) return { act: 'permanent', ms: rng.between(0, 20) }
  // Longer than the inbox's lease too, where that can be short.
  if (kind < 0.9) return { act: 'block', ms: rng.between(2 * leaseMs, 4 * leaseMs) }
  if (kind < 0.95) return { act: 'hang', ms: rng.between(0, 2 * leaseMs) }
  return { act: 'die', ms: rng.between(0, 20) }
}
