import type { TestFunction } from 'ringhook/conformance'
import { test } from 'vitest'

/**
 * The rules of the store contract whose result depends on the client: how it sends keys, numbers and
 * text, how it gives answers back when many are under way, and what it does about lost connections
 * and transactions. The rest is decided by the store's scripts and statements, and the full contract
 * on one client covers it.
 */
const always = [
  'one of 50 simultaneous claims wins, and the others see it in flight',
  'returns a fingerprint unchanged, whatever its characters',
  '500 keys claimed simultaneously each get their own answer',
  'free, held, released and completed keys claimed simultaneously each get their own answer',
  'leases of different lengths, claimed or extended simultaneously, each end on time',
  'keys extended, completed, released and forgotten simultaneously are not mixed up',
  'keys that look alike are different keys',
  'a key is unknown, then in flight during its lease, then completed during its retention',
]
const whereGiven = /^a store can be named|connection|transaction/

/** Runs the rules that depend on the client, through the `test` that it passes to `contract`. */
export function onlyClientRules(contract: (test: TestFunction) => void): void {
  const missing = new Set(always)
  contract((name, run) => {
    if (missing.delete(name) || whereGiven.test(name)) test(name, run)
  })
  // A renamed rule must not drop out unnoticed.
  if (missing.size > 0) throw new Error(`the contract has no rule "${[...missing].join('", "')}"`)
}
