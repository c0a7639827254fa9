export type { Clock } from './core/clock.ts'
export type { CloseOptions, CloseReport } from './core/closing.ts'
export {
  type AttemptCode,
  type DeliveryCode,
  type HandlerCode,
  PermanentFailure,
  type RinghookCode,
  RinghookError,
  type SetupCode,
  type StoreCode,
} from './core/errors.ts'
export type { Handler, HandlerContext, SqlTransaction, WebhookEvent } from './core/event/event.ts'
export type {
  EventData,
  EventOf,
  OwnEvents,
  RoutingKey,
  RoutingTable,
  SentName,
} from './core/event/event-types.ts'
export type {
  InboxAdmin,
  InboxDelivery,
  InboxEntry,
  InboxListFilter,
  InboxReplayFilter,
  InboxStats,
} from './core/inbox/inbox-admin.ts'
export type { WorkerCloseOptions } from './core/inbox/inbox-worker.ts'
export type { RetryOptions } from './core/inbox/retry.ts'
export { createWorker, type Worker, type WorkerOptions } from './core/inbox/worker.ts'
export type { Logger } from './core/log.ts'
export type {
  ReceiverOptions,
  Secret,
  SecretFunction,
  SecretRequest,
  TenantSecret,
} from './core/options/options.ts'
export type { DeliveryOutcome, Outcome, OutcomeName, SchemaIssue } from './core/outcome/outcome.ts'
export {
  createReceiver,
  type EventStatus,
  type Receiver,
  type StartOptions,
  type TenantOption,
} from './core/receiver.ts'
export type {
  ByteStream,
  DeliveryRequest,
  Reply,
  RequestHeaders,
  RequestLike,
  RequestSocket,
} from './core/request/http.ts'
export type { NodeMessage } from './core/request/node-request.ts'
export type { ParsedBody } from './core/request/request-body.ts'
export type {
  Attempt as InboxAttempt,
  AttemptResult,
  EntryFilter,
  Failure,
  Inbox,
  InboxCounts,
  InboxState,
  Process,
  PutOptions,
  StoredDelivery,
  StoredEntry,
  WorkerOptions as InboxWorkerOptions,
} from './inboxes/inbox.ts'
export { type CallkaroProvider, callkaro } from './providers/callkaro/callkaro.ts'
export type { CallkaroCallEnded, CallkaroEvents } from './providers/callkaro/named-events.ts'
export { defineProvider } from './providers/define-provider.ts'
export { type KrosaiProvider, krosai } from './providers/krosai/krosai.ts'
export type {
  KrosaiBalanceLow,
  KrosaiCallAnswered,
  KrosaiCallCompleted,
  KrosaiCallFailed,
  KrosaiCallInitiated,
  KrosaiCallRinging,
  KrosaiCallStarted,
  KrosaiEndpointCreated,
  KrosaiEndpointDeleted,
  KrosaiEndpointUpdated,
  KrosaiEvents,
  KrosaiNumberProvisioned,
  KrosaiPaymentReceived,
  KrosaiPhoneNumberPurchased,
  KrosaiPhoneNumberReleased,
  KrosaiPhoneNumberUpdated,
  KrosaiPortRequestCompleted,
  KrosaiPortRequestFailed,
  KrosaiPortRequestSubmitted,
  KrosaiRecordingReady,
  KrosaiTranscriptReady,
} from './providers/krosai/named-events.ts'
export type {
  OdisAppointmentCreated,
  OdisCallEnded,
  OdisCallStarted,
  OdisEvents,
} from './providers/odis/named-events.ts'
export { type OdisProvider, odis } from './providers/odis/odis.ts'
export type {
  DeliveryPolicy,
  Envelope,
  EventDefinition,
  EventSchema,
  JsonObject,
  Provider,
  ProviderDefaults,
  ProviderDefinition,
  SignatureScheme,
} from './providers/provider.ts'
export { type MemoryStoreOptions, memoryStore } from './stores/memory.ts'
export type {
  Claim,
  ClaimOptions,
  CompleteOptions,
  Forgotten,
  HeldClaim,
  IdempotencyStore,
  KeyStatus,
  PersistentStore,
} from './stores/store.ts'
