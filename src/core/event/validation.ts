import { types } from 'node:util'
import type { EventSchema, RawSchemaIssue } from '../../providers/provider.ts'
import { RinghookError } from '../errors.ts'
import { printable } from '../log.ts'
import { type Answer, answerFor } from '../outcome/answers.ts'
import type { SchemaIssue } from '../outcome/outcome.ts'
import type { WebhookEvent } from './event.ts'
import { namesIn } from './schema-fields.ts'

const mostIssues = 10
const mostSegments = 20
/** More elements than fit into a body: a larger number isn't an index. */
const largestIndex = 64 * 1024 * 1024

/** Data that its schema accepted, or the answer if it didn't. */
export type Validated =
  | { readonly valid: true; readonly data: unknown }
  | { readonly valid: false; readonly answer: Answer }

/** Validates an event's data. An undocumented event has no schema: its data passes as it is. */
export function validateData(
  schema: EventSchema | undefined,
  data: unknown,
  invalidEvents: 'reject' | 'acknowledge',
): Validated {
  if (schema === undefined) return { valid: true, data }
  let result: ReturnType<EventSchema['safeParse']>
  try {
    result = schema.safeParse(data)
    refusePromise('safeParse', result)
  } catch (error) {
    // A transform that throws, or an asynchronous refinement: the user's code, not the sender's.
    const reason = 'the schema of the event threw'
    return { valid: false, answer: answerFor('RINGHOOK_HANDLER_FAILED', { reason, error }) }
  }
  if (result.success) return { valid: true, data: result.data }
  const issues = result.error.issues
    .slice(0, mostIssues)
    .map((issue) => describeIssue(schema, issue))
  const status = invalidEvents === 'acknowledge' ? 200 : 422
  return { valid: false, answer: answerFor('RINGHOOK_EVENT_INVALID', { status, issues }) }
}

/** Returns the event with the id that the user's own function returns. */
export function identify<Event extends WebhookEvent>(
  event: Event,
  body: Uint8Array,
  ownId: (event: WebhookEvent, rawBody: Uint8Array) => string,
): Event | Answer {
  try {
    const id: unknown = ownId(event, body)
    refusePromise('eventId', id)
    if (typeof id === 'string' && id !== '') return { ...event, id }
    throw new RinghookError(
      'RINGHOOK_OPTION_INVALID',
      'eventId must return a non-empty string. Repeats of an event must get the same one.',
    )
  } catch (error) {
    return answerFor('RINGHOOK_HANDLER_FAILED', { reason: 'eventId failed', error })
  }
}

/** Returns the ordering key of an event, or `undefined` if it isn't ordered. */
export function orderOf(
  event: WebhookEvent,
  orderingKey: (event: WebhookEvent) => string | undefined,
): string | undefined | Answer {
  try {
    const key: unknown = orderingKey(event)
    refusePromise('orderingKey', key)
    if (typeof key === 'string' && key !== '') return key
    if (key === undefined || key === '') return undefined
    throw new RinghookError(
      'RINGHOOK_OPTION_INVALID',
      'orderingKey must return a string, the same one for events that run one after another, or undefined.',
    )
  } catch (error) {
    return answerFor('RINGHOOK_HANDLER_FAILED', { reason: 'orderingKey failed', error })
  }
}

/**
 * Refuses a promise where a value is needed at once. Nothing awaits it, so its rejection must not end
 * the process.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID
 */
export function refusePromise(name: string, result: unknown): void {
  if (!types.isPromise(result)) return
  result.catch(() => {})
  throw new RinghookError(
    'RINGHOOK_OPTION_INVALID',
    `${name} returned a promise. It must be synchronous: leave out the asynchronous part.`,
  )
}

/**
 * Returns where an issue is and its kind, but nothing that was sent: a key of a free-form object may
 * be a phone number. Shows only indexes and names that are in the schema.
 */
function describeIssue(schema: EventSchema, { path, code }: RawSchemaIssue): SchemaIssue {
  const names = namesIn(schema)
  const segments = path.slice(0, mostSegments).map((segment) => {
    if (typeof segment === 'number') return segment < largestIndex ? String(segment) : '?'
    return typeof segment === 'string' && names.has(segment) ? printable(segment) : '?'
  })
  if (path.length > mostSegments) segments.push('…')
  const isPlain = typeof code === 'string' && /^[a-z][a-z_]{0,40}$/i.test(code)
  return { path: ['data', ...segments].join('.'), code: isPlain ? code : 'invalid' }
}
