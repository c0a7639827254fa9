export { type Delivered, type DeliverOptions, deliver } from './testing/deliver.ts'
export { drainInbox } from './testing/drain-inbox.ts'
export {
  type DeepPartial,
  type Fixture,
  type FixtureOverrides,
  fixture,
} from './testing/fixture.ts'
export { type ManualClock, manualClock } from './testing/manual-clock.ts'
export {
  type RequestOptions,
  type Sendable,
  type SignedRequest,
  signedRequest,
} from './testing/signed-request.ts'
export {
  type Attempt,
  type ProviderSimulation,
  type SimulationOptions,
  type SimulationReport,
  simulateProvider,
} from './testing/simulate-provider.ts'
