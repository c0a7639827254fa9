export type { Clock } from './core/clock.ts'
export {
  type DeliveryCode,
  type HandlerCode,
  PermanentFailure,
  type RinghookCode,
  RinghookError,
  type SetupCode,
} from './core/errors.ts'
export type {
  EventData,
  EventOf,
  Handler,
  HandlerContext,
  OwnEvents,
  RoutingTable,
  SentName,
  WebhookEvent,
} from './core/event.ts'
export type {
  ByteStream,
  DeliveryRequest,
  NodeMessage,
  ParsedBody,
  Reply,
  RequestHeaders,
} from './core/http.ts'
export type { Logger } from './core/log.ts'
export type {
  ReceiverOptions,
  Secret,
  SecretFunction,
  SecretRequest,
} from './core/options.ts'
export type { Outcome, OutcomeName, SchemaIssue } from './core/outcome.ts'
export {
  type CloseOptions,
  type CloseReport,
  createReceiver,
  type Receiver,
} from './core/receiver.ts'
export { callkaro } from './providers/callkaro/callkaro.ts'
export { krosai } from './providers/krosai/krosai.ts'
export { odis } from './providers/odis/odis.ts'
export {
  type DeliveryPolicy,
  defineProvider,
  type Envelope,
  type EventDefinition,
  type EventSchema,
  type JsonObject,
  type Provider,
  type ProviderDefaults,
  type ProviderDefinition,
  type SignatureScheme,
} from './providers/provider.ts'
export { type MemoryStoreOptions, memoryStore } from './stores/memory.ts'
export type {
  Claim,
  ClaimOptions,
  CompleteOptions,
  Forgotten,
  HeldClaim,
  IdempotencyStore,
  PersistentStore,
} from './stores/store.ts'
