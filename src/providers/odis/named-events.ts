import type { DocumentedEvent } from '../../core/event/event-types.ts'
import type { NamedEvent } from '../provider.ts'
import type { odisEvents } from './events.ts'

type Definitions = typeof odisEvents
type Documented<Type extends keyof Definitions> = DocumentedEvent<Definitions, Type, 'odis'>
type Named<Type extends keyof Definitions, Interface> = Definitions[Type] & NamedEvent<Interface>

/** A call begins. */
export interface OdisCallStarted extends Documented<'call.started'> {}

/** A call ends. */
export interface OdisCallEnded extends Documented<'call.ended'> {}

/** An appointment is scheduled. */
export interface OdisAppointmentCreated extends Documented<'appointment.created'> {}

/** ODIS AI's events by canonical name. No interface, which would fit no `EventDefinitions`. */
export type OdisEvents = {
  readonly 'call.started': Named<'call.started', OdisCallStarted>
  readonly 'call.ended': Named<'call.ended', OdisCallEnded>
  readonly 'appointment.created': Named<'appointment.created', OdisAppointmentCreated>
}
