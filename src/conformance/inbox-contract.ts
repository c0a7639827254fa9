import assert from 'node:assert/strict'
import { checkOptions } from '../core/checks.ts'
import type { Inbox } from '../inboxes/inbox.ts'
import { attemptResultRules } from './inbox-contract/attempt-results.ts'
import { connectionRules } from './inbox-contract/connections.ts'
import { corruptionRules } from './inbox-contract/corruption.ts'
import { deadLetterRules } from './inbox-contract/dead-letters.ts'
import { entryRules } from './inbox-contract/entries.ts'
import { Harness, type HarnessOptions, type Rule } from './inbox-contract/harness.ts'
import type { InboxProgram } from './inbox-contract/inbox-program.ts'
import { lostLeaseRules } from './inbox-contract/lost-leases.ts'
import { orderingRules } from './inbox-contract/ordering.ts'
import { processRules } from './inbox-contract/processes.ts'
import { putRules } from './inbox-contract/puts.ts'
import { type InboxTransaction, transactionRules } from './inbox-contract/transactions.ts'
import { workerRules } from './inbox-contract/workers.ts'
import type { TestFunction } from './test-function.ts'

/** What {@link inboxContract} needs. */
export interface InboxContractOptions {
  readonly test: TestFunction
  /** Returns an empty, migrated inbox. Called once per test. */
  create(): Inbox | Promise<Inbox>
  /**
   * Returns another inbox on the same data with its own connections, as another process would
   * have.
   */
  reopen(inbox: Inbox): Inbox | Promise<Inbox>
  /** Closes the connections of an inbox from `create` or `reopen`, after each test. */
  close?(inbox: Inbox): unknown
  /** Whether it supports ordering keys. Must equal the inbox's own `keepsOrder`. Default: false. */
  readonly keepsOrder?: boolean
  /**
   * Makes the inbox believe that the worker running delivery `id` is dead, so that the next worker
   * claims it. For example: moves the end of its lease into the past.
   */
  loseLease?(inbox: Inbox, id: string): void | Promise<void>
  /** Makes the stored delivery `id` unreadable. */
  corrupt?(inbox: Inbox, id: string): void | Promise<void>
  /** Begins a transaction in its database. For inboxes whose attempts have `complete`. */
  begin?(inbox: Inbox): InboxTransaction | Promise<InboxTransaction>
  /** Cuts the connections of an inbox to its server, which stays up. */
  breakConnection?(inbox: Inbox): void | Promise<void>
  /** Returns a program to start as another process on the same data. */
  program?(inbox: Inbox): InboxProgram
  /** How long to wait for something that should happen before the test fails, in ms. Default: 20 s. */
  readonly patienceMs?: number
}

const names = [
  'test',
  'create',
  'reopen',
  'close',
  'keepsOrder',
  'loseLease',
  'corrupt',
  'begin',
  'breakConnection',
  'program',
  'patienceMs',
]

/**
 * Tests a durable inbox against its contract, as documented by {@link Inbox}. Rules about lost
 * leases, corruption, transactions, connections and processes run if their option is given.
 *
 * Uses the machine's clock, with delays of less than half a second.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function inboxContract(options: InboxContractOptions): void {
  checkOptions('inboxContract()', options, names)
  const { test, keepsOrder = false, loseLease, corrupt, begin, breakConnection, program } = options
  const harnessOptions: HarnessOptions = {
    create: () => options.create(),
    reopen: (inbox) => options.reopen(inbox),
    close: (inbox) => options.close?.(inbox),
    patienceMs: options.patienceMs ?? 20_000,
  }
  const rule: Rule = (name, run) => test(name, () => Harness.try(harnessOptions, run))
  const lose = loseLease && (async (inbox: Inbox, id: string) => loseLease(inbox, id))

  rule('has a name and declares whether it keeps order', async ({ inbox }) => {
    assert.ok(inbox.name.length > 0)
    assert.equal(inbox.keepsOrder, keepsOrder)
  })
  putRules(rule)
  workerRules(rule)
  attemptResultRules(rule)
  entryRules(rule)
  deadLetterRules(rule)
  if (keepsOrder) orderingRules(rule)
  if (lose !== undefined) lostLeaseRules(rule, lose)
  if (corrupt !== undefined) corruptionRules(rule, async (inbox, id) => corrupt(inbox, id))
  if (begin !== undefined) transactionRules(rule, begin, lose)
  if (breakConnection !== undefined) {
    connectionRules(rule, async (inbox) => breakConnection(inbox), lose)
  }
  if (program !== undefined) processRules(rule, program, lose)
}
