import { checkOptions } from '../core/checks.ts'
import type { IdempotencyStore } from '../stores/store.ts'
import { type ManualClock, manualClock } from '../testing/manual-clock.ts'
import { claimRules } from './store-contract/claims.ts'
import { concurrencyRules } from './store-contract/concurrency.ts'
import { clockRules, connectionRules, hour } from './store-contract/connections.ts'
import { harnessFor, type Rule } from './store-contract/harness.ts'
import { keyRules, nameRules } from './store-contract/keys.ts'
import { leaseRules } from './store-contract/leases.ts'
import { processRules } from './store-contract/processes.ts'
import { forgetRules, settlementRules } from './store-contract/settlement.ts'
import { statusRules } from './store-contract/status.ts'
import type { StoreProgram } from './store-contract/store-program.ts'
import { lostTransactionRules, transactionRules } from './store-contract/transactions.ts'
import type { TestFunction } from './test-function.ts'

/** What {@link storeContract} needs. */
export interface StoreContractOptions {
  readonly test: TestFunction
  /**
   * Returns a store, empty or with unrelated data. If the store uses its server's clock, ignore
   * `clock` and set `passTime`.
   */
  create(options: { readonly clock: ManualClock }): IdempotencyStore | Promise<IdempotencyStore>
  /** Lets `ms` pass for the store, up to ten years. Default: advances `clock`. */
  passTime?(ms: number, store: IdempotencyStore, clock: ManualClock): Promise<void>
  /**
   * Whether all clients of the store share one clock, such as the server's. If so, the tests shift
   * this process's `Date` by an hour to prove that no other clock is used. Default: false.
   */
  readonly sharedClock?: boolean
  /** Returns an empty store whose table, prefix or file has this name of up to 63 bytes. */
  createNamed?(
    name: string,
    options: { readonly clock: ManualClock },
  ): IdempotencyStore | Promise<IdempotencyStore>
  /** Cuts the connections of a store to its server, which stays up. */
  breakConnection?(store: IdempotencyStore): void | Promise<void>
  /** Returns a program to start twice on the same data: the processes race, and one is killed. */
  program?(store: IdempotencyStore): StoreProgram
}

const names = [
  'test',
  'create',
  'passTime',
  'sharedClock',
  'createNamed',
  'breakConnection',
  'program',
]

/**
 * Tests an idempotency store against its contract, as documented by {@link IdempotencyStore}. Rules
 * about processes, connections, names and clocks run if their option is given.
 *
 * With `sharedClock` the tests must run one after another.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 * @example
 * ```ts
 * import { memoryStore } from 'ringhook'
 * import { storeContract } from 'ringhook/conformance'
 * import { test } from 'vitest'
 *
 * storeContract({ test, create: ({ clock }) => memoryStore({ clock }) })
 * ```
 */
export function storeContract(options: StoreContractOptions): void {
  checkOptions('storeContract()', options, names)
  const { test, sharedClock = false, createNamed, breakConnection, program } = options

  const rule: Rule = (name, run) =>
    test(name, async () => {
      const clock = manualClock()
      const store = await options.create({ clock })
      const pass = (ms: number) => options.passTime?.(ms, store, clock) ?? clock.advance(ms)
      await run(harnessFor(store, clock, pass))
    })

  claimRules(rule)
  leaseRules(rule)
  settlementRules(rule)
  forgetRules(rule)
  statusRules(rule)
  concurrencyRules(rule)
  keyRules(rule)
  transactionRules(rule)
  if (sharedClock) clockRules(rule)
  if (createNamed !== undefined) {
    nameRules(rule, async (name) => createNamed(name, { clock: manualClock() }))
  }
  if (breakConnection !== undefined) {
    connectionRules(rule, async (store) => breakConnection(store))
    lostTransactionRules(rule, async (store) => breakConnection(store))
  }
  if (program !== undefined) processRules(rule, program, sharedClock ? hour : 0)
}
