import type { HeldClaim, IdempotencyStore } from '../src/stores/store.ts'
import type { Mutant } from './endpoint.ts'
import type { Journal, StampedLine } from './journal.ts'

/**
 * Plants a fault into a store that has none, from outside, so that each is the same on every
 * database. A proof that does not notice them proves nothing.
 *
 * - `lease`: claims succeed while a lease holds. The store below is given leases of 1 ms.
 * - `fence`: extensions and completions of stale owners count. They are made again as the holder.
 * - `release`: any owner's release frees the key, likewise.
 */
export function planted(
  mutant: Mutant | undefined,
  store: IdempotencyStore,
  journal: Journal,
): IdempotencyStore {
  const sound = bound(store)
  const { claim, extend, complete, release } = sound
  switch (mutant) {
    case undefined:
      return store
    case 'lease':
      return {
        ...sound,
        claim: (key, options) => claim(key, { ...options, leaseMs: 1 }),
        extend: (held) => extend(held, { leaseMs: 1 }),
      }
    case 'fence':
      return {
        ...sound,
        extend: async (held, options) =>
          (await extend(held, options)) || extend(await holder(held, journal), options),
        complete: async (held, options) =>
          (await complete(held, options)) || complete(await holder(held, journal), options),
      }
    case 'release':
      return {
        ...sound,
        release: async (held) => (await release(held)) || release(await holder(held, journal)),
      }
  }
}

function bound(store: IdempotencyStore): IdempotencyStore {
  return {
    claim: (key, options) => store.claim(key, options),
    extend: (claim, options) => store.extend(claim, options),
    complete: (claim, options) => store.complete(claim, options),
    release: (claim) => store.release(claim),
    forget: (key) => store.forget(key),
    status: (key) => store.status(key),
  }
}

/** The claim that holds the key now, as the journal has it. */
async function holder(claim: HeldClaim, journal: Journal): Promise<HeldClaim> {
  const asked = new Map<string, StampedLine>()
  let latest = claim
  for (const line of await journal.read()) {
    if (line.kind === 'asked' && line.key === claim.key) asked.set(line.call, line)
    if (line.kind !== 'answered' || line.fence === undefined || line.fence < latest.fence) continue
    const claiming = asked.get(line.call)
    if (claiming?.kind !== 'asked') continue
    const { fence } = line
    latest = { ...claim, owner: claiming.owner, fence, attempt: fence }
  }
  return latest
}
