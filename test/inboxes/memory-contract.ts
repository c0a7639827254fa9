import { type InboxContractOptions, inboxContract } from '../../src/conformance.ts'
import type { Inbox } from '../../src/inboxes/inbox.ts'
import { loseLease, type Memory, MemoryInbox, MemoryTransaction } from './memory-inbox.ts'

type Rules = ReadonlyMap<string, () => Promise<void>>

/** A memory inbox with a mistake, which each inbox on its data makes. */
export type Mistaken = new (memory?: Memory) => MemoryInbox

/** A mistake in words, the rules that it breaks, and an inbox that makes it. */
export type Mistake = readonly [what: string, rules: readonly string[], Faulty: Mistaken]

/** The options under which the contract tries memory inboxes. */
export function optionsFor(Faulty: Mistaken = MemoryInbox): Omit<InboxContractOptions, 'test'> {
  const its = (inbox: Inbox) => inbox as MemoryInbox
  return {
    create: () => new Faulty(),
    reopen: (inbox) => new Faulty(its(inbox).memory),
    keepsOrder: true,
    loseLease: (inbox, id) => loseLease(its(inbox), id),
    corrupt: (inbox, id) => {
      const row = its(inbox).memory.get(id)
      if (row !== undefined) row.stored = row.stored.slice(1)
    },
    begin: () => new MemoryTransaction(),
  }
}

/** The rules of the contract, to be run by hand. */
export function rulesOf(options: Omit<InboxContractOptions, 'test'>): Rules {
  const rules = new Map<string, () => Promise<void>>()
  inboxContract({ test: (name, run) => void rules.set(name, run), ...options })
  return rules
}

/** The names of the rules that an inbox breaks, out of those that are named. */
export async function brokenRules(
  options: Omit<InboxContractOptions, 'test'>,
  names: readonly string[] = [...rulesOf(options).keys()],
): Promise<string[]> {
  const rules = rulesOf(options)
  const found: string[] = []
  for (const name of names) {
    const run = rules.get(name)
    if (run === undefined) throw new Error(`the contract has no rule "${name}"`)
    await run().catch(() => found.push(name))
  }
  return found
}
