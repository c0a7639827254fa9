import type { DocumentedEvent } from '../../core/event/event-types.ts'
import type { NamedEvent } from '../provider.ts'
import type { callkaroEvents } from './events.ts'

type Definitions = typeof callkaroEvents
type Documented<Type extends keyof Definitions> = DocumentedEvent<Definitions, Type, 'callkaro'>
type Named<Type extends keyof Definitions, Interface> = Definitions[Type] & NamedEvent<Interface>

/** Any call completed. */
export interface CallkaroCallEnded extends Documented<'call_ended'> {}

/** CallKaro AI's events by canonical name. No interface, which would fit no `EventDefinitions`. */
export type CallkaroEvents = {
  readonly call_ended: Named<'call_ended', CallkaroCallEnded>
}
