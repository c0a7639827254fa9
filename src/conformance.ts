export { type AdapterContractOptions, adapterContract } from './conformance/adapter-contract.ts'
export {
  type InboxProgram,
  type InboxProgramOptions,
  inboxProgram,
} from './conformance/inbox-contract/inbox-program.ts'
export type { InboxTransaction } from './conformance/inbox-contract/transactions.ts'
export { type InboxContractOptions, inboxContract } from './conformance/inbox-contract.ts'
export { type ProviderContractOptions, providerContract } from './conformance/provider-contract.ts'
export {
  type StoreProgram,
  type StoreProgramOptions,
  storeProgram,
} from './conformance/store-contract/store-program.ts'
export { type StoreContractOptions, storeContract } from './conformance/store-contract.ts'
export type { TestFunction } from './conformance/test-function.ts'
