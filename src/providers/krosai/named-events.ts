import type { DocumentedEvent } from '../../core/event/event-types.ts'
import type { NamedEvent } from '../provider.ts'
import type { krosaiEvents } from './events.ts'

type Definitions = typeof krosaiEvents
type Documented<Type extends keyof Definitions> = DocumentedEvent<Definitions, Type, 'krosai'>
type Named<Type extends keyof Definitions, Interface> = Definitions[Type] & NamedEvent<Interface>

/** A call is initiated, inbound or outbound. */
export interface KrosaiCallInitiated extends Documented<'call.initiated'> {}

/** The destination is ringing. */
export interface KrosaiCallRinging extends Documented<'call.ringing'> {}

/** "Call connected" (Overview). What data it has is not documented. */
export interface KrosaiCallStarted extends Documented<'call.started'> {}

/** The call is answered. */
export interface KrosaiCallAnswered extends Documented<'call.answered'> {}

/** A call ended normally. */
export interface KrosaiCallCompleted extends Documented<'call.completed'> {}

/** A call failed to connect. */
export interface KrosaiCallFailed extends Documented<'call.failed'> {}

/** A phone number is purchased. */
export interface KrosaiPhoneNumberPurchased extends Documented<'phone_number.purchased'> {}

/** A phone number is released. */
export interface KrosaiPhoneNumberReleased extends Documented<'phone_number.released'> {}

/** The configuration of a phone number changed. */
export interface KrosaiPhoneNumberUpdated extends Documented<'phone_number.updated'> {}

/** Documented by name only (Webhooks API). */
export interface KrosaiNumberProvisioned extends Documented<'number.provisioned'> {}

/** An endpoint is created. */
export interface KrosaiEndpointCreated extends Documented<'endpoint.created'> {}

/** An endpoint changed. */
export interface KrosaiEndpointUpdated extends Documented<'endpoint.updated'> {}

/** An endpoint is deleted. */
export interface KrosaiEndpointDeleted extends Documented<'endpoint.deleted'> {}

/** The recording of a call is processed and available. */
export interface KrosaiRecordingReady extends Documented<'recording.ready'> {}

/** The transcript of a call is processed and available. */
export interface KrosaiTranscriptReady extends Documented<'transcript.ready'> {}

/** A request to port a number is submitted. */
export interface KrosaiPortRequestSubmitted extends Documented<'port_request.submitted'> {}

/** A request to port a number is completed. */
export interface KrosaiPortRequestCompleted extends Documented<'port_request.completed'> {}

/** A request to port a number failed. */
export interface KrosaiPortRequestFailed extends Documented<'port_request.failed'> {}

/** The balance of the account fell below the threshold. */
export interface KrosaiBalanceLow extends Documented<'balance.low'> {}

/** A payment is received. */
export interface KrosaiPaymentReceived extends Documented<'payment.received'> {}

/** KrosAI's events by canonical name. No interface, which would fit no `EventDefinitions`. */
export type KrosaiEvents = {
  readonly 'call.initiated': Named<'call.initiated', KrosaiCallInitiated>
  readonly 'call.ringing': Named<'call.ringing', KrosaiCallRinging>
  readonly 'call.started': Named<'call.started', KrosaiCallStarted>
  readonly 'call.answered': Named<'call.answered', KrosaiCallAnswered>
  readonly 'call.completed': Named<'call.completed', KrosaiCallCompleted>
  readonly 'call.failed': Named<'call.failed', KrosaiCallFailed>
  readonly 'phone_number.purchased': Named<'phone_number.purchased', KrosaiPhoneNumberPurchased>
  readonly 'phone_number.released': Named<'phone_number.released', KrosaiPhoneNumberReleased>
  readonly 'phone_number.updated': Named<'phone_number.updated', KrosaiPhoneNumberUpdated>
  readonly 'number.provisioned': Named<'number.provisioned', KrosaiNumberProvisioned>
  readonly 'endpoint.created': Named<'endpoint.created', KrosaiEndpointCreated>
  readonly 'endpoint.updated': Named<'endpoint.updated', KrosaiEndpointUpdated>
  readonly 'endpoint.deleted': Named<'endpoint.deleted', KrosaiEndpointDeleted>
  readonly 'recording.ready': Named<'recording.ready', KrosaiRecordingReady>
  readonly 'transcript.ready': Named<'transcript.ready', KrosaiTranscriptReady>
  readonly 'port_request.submitted': Named<'port_request.submitted', KrosaiPortRequestSubmitted>
  readonly 'port_request.completed': Named<'port_request.completed', KrosaiPortRequestCompleted>
  readonly 'port_request.failed': Named<'port_request.failed', KrosaiPortRequestFailed>
  readonly 'balance.low': Named<'balance.low', KrosaiBalanceLow>
  readonly 'payment.received': Named<'payment.received', KrosaiPaymentReceived>
}
