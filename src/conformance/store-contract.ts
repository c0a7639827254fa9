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
   * Makes a store, empty or with other data in it. A store that goes by its server's clock ignores
   * `clock`, and gives `passTime` instead.
   */
  create(options: { readonly clock: ManualClock }): IdempotencyStore | Promise<IdempotencyStore>
  /** Makes `ms` pass for the store: up to ten years. Default: the clock goes on. */
  passTime?(ms: number, store: IdempotencyStore, clock: ManualClock): Promise<void>
  /**
   * Whether all clients of the store go by one clock, as that of its server. Then it is held to
   * going by no other: this process's `Date` is wrong by an hour meanwhile. Default: false.
   */
  readonly sharedClock?: boolean
  /** Makes an empty store whose table, prefix or file has a name of at most 63 bytes, odd or not. */
  createNamed?(
    name: string,
    options: { readonly clock: ManualClock },
  ): IdempotencyStore | Promise<IdempotencyStore>
  /** Cuts the connections of a store to its server, which stays up. */
  breakConnection?(store: IdempotencyStore): void | Promise<void>
  /** A program that is started twice, on the data of a store: processes race, and one is killed. */
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
 * Holds an idempotency store to its contract, in the words of {@link IdempotencyStore}. Some rules
 * need to be told how: those on processes, connections, names and clocks.
 *
 * The tests must run one after another with `sharedClock`.
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
