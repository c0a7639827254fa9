export { type AdapterContractOptions, adapterContract } from './testing/adapter-contract.ts'
export { type Delivered, type DeliverOptions, deliver } from './testing/deliver.ts'
export { drainInbox } from './testing/drain-inbox.ts'
export {
  type DeepPartial,
  type Fixture,
  type FixtureOverrides,
  fixture,
} from './testing/fixture.ts'
export {
  type InboxProgram,
  type InboxProgramOptions,
  inboxProgram,
} from './testing/inbox-contract/program.ts'
export type { InboxTransaction } from './testing/inbox-contract/transactions.ts'
export { type InboxContractOptions, inboxContract } from './testing/inbox-contract.ts'
export { type ManualClock, manualClock } from './testing/manual-clock.ts'
export { type ProviderContractOptions, providerContract } from './testing/provider-contract.ts'
export {
  type RequestOptions,
  type Sendable,
  type SignedRequest,
  signedRequest,
} from './testing/request.ts'
export {
  type Attempt,
  type ProviderSimulation,
  type SimulationOptions,
  type SimulationReport,
  simulateProvider,
} from './testing/simulate.ts'
export {
  type StoreProgram,
  type StoreProgramOptions,
  storeProgram,
} from './testing/store-contract/program.ts'
export {
  type StoreContractOptions,
  storeContract,
  type TestFunction,
} from './testing/store-contract.ts'
