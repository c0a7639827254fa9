import { optionInvalid } from '../../core/checks.ts'
import { didYouMean } from '../../core/did-you-mean.ts'
import { RinghookError } from '../../core/errors.ts'
import type { NameOf, WildcardOf } from '../../core/event/event-types.ts'
import { krosai } from '../../providers/krosai/krosai.ts'
import type { KrosaiListedEvent } from './webhooks.ts'

type Events = (typeof krosai)['events']

/** The canonical types that the API lists, under whichever of their names. */
type ListedType = {
  [Type in keyof Events]: Extract<NameOf<Pick<Events, Type>>, KrosaiListedEvent> extends never
    ? never
    : Type
}[keyof Events]

/** The names, in every documented spelling, of the events that the API's document lists. */
export type KrosaiSubscribableEvent = Extract<NameOf<Pick<Events, ListedType>>, string>

/** What a subscription takes: a name in any spelling, or a wildcard that matches one. */
export type KrosaiSubscription = KrosaiSubscribableEvent | WildcardOf<KrosaiSubscribableEvent> | '*'

/** Every name that the API lists. An object, so that one which the document adds or drops is an error here. */
const listed: Readonly<Record<KrosaiListedEvent, true>> = {
  'call.started': true,
  'call.completed': true,
  'call.failed': true,
  'call.recording.ready': true,
  'transcription.completed': true,
  'number.provisioned': true,
  'number.released': true,
}

/** The name that the API lists, by the canonical name. */
const listedByType: ReadonlyMap<string, string> = new Map(
  Object.keys(listed).map((name) => [typeOf(name), name]),
)

/** What names and wildcards come to. */
export interface ResolvedEvents {
  /** What is sent to the API: each once, in the order in which they were asked for. */
  readonly events: readonly string[]
  /** Documented events under a wildcard that the API does not list, by canonical name. */
  readonly leftOut: readonly string[]
}

/**
 * Turns names in any documented spelling, and wildcards, into the names that the API lists.
 *
 * @param allowUnlisted - Takes names and wildcards that the API does not list, and sends them as
 * they are written.
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID, RINGHOOK_EVENT_UNKNOWN,
 * RINGHOOK_EVENT_NOT_SUBSCRIBABLE
 */
export function resolveEvents(names: readonly unknown[], allowUnlisted: boolean): ResolvedEvents {
  if (!Array.isArray(names) || names.length === 0) {
    throw optionInvalid('events must be an array of names.', "Give one such as ['call.completed'].")
  }
  const events = new Set<string>()
  const leftOut = new Set<string>()
  for (const name of names) {
    if (typeof name !== 'string' || name === '') {
      throw optionInvalid(
        'events must contain names only.',
        "Give strings, such as 'call.completed'.",
      )
    }
    if (allowUnlisted) events.add(listedByType.get(typeOf(name)) ?? name)
    else if (name === '*' || name.endsWith('.*')) expand(name, events, leftOut)
    else events.add(listedName(name))
  }
  return { events: [...events], leftOut: [...leftOut] }
}

/** Whether two lists of names stand for the same events, in whatever order and spelling. */
export function sameEvents(some: readonly string[], others: readonly string[]): boolean {
  const left = new Set(some.map(typeOf))
  const right = new Set(others.map(typeOf))
  return left.size === right.size && [...left].every((type) => right.has(type))
}

/** Matches the canonical name and every spelling, as the keys of `on` do. */
function expand(wildcard: string, events: Set<string>, leftOut: Set<string>): void {
  const prefix = wildcard.slice(0, -1)
  const types = new Set<string>()
  for (const [name, type] of krosai.canonicalNames) {
    if (name.startsWith(prefix) || type.startsWith(prefix)) types.add(type)
  }
  if (types.size === 0) throw unknown(wildcard)
  const found = [...types].map((type) => ({ type, name: listedByType.get(type) }))
  if (found.every(({ name }) => name === undefined)) throw notSubscribable(wildcard)
  for (const { type, name } of found) {
    if (name === undefined) leftOut.add(type)
    else events.add(name)
  }
}

function listedName(name: string): string {
  const type = krosai.canonicalNames.get(name)
  if (type === undefined) throw unknown(name)
  const found = listedByType.get(type)
  if (found === undefined) throw notSubscribable(name)
  return found
}

/** Returns the canonical name, or an undocumented name as it is. */
function typeOf(name: string): string {
  return krosai.canonicalNames.get(name) ?? name
}

function unknown(name: string): RinghookError {
  const hint = didYouMean(name, krosai.canonicalNames.keys())
  return new RinghookError(
    'RINGHOOK_EVENT_UNKNOWN',
    `events has "${name}", which is neither an event that krosai documents nor a wildcard for one.${hint} If KrosAI sends it anyway, set allowUnlisted: true.`,
  )
}

function notSubscribable(name: string): RinghookError {
  return new RinghookError(
    'RINGHOOK_EVENT_NOT_SUBSCRIBABLE',
    `events has "${name}", which KrosAI's events page documents but its API doesn't list: ${Object.keys(listed).join(', ')}. Leave it out, or set allowUnlisted: true to send it as written and see whether the API accepts it.`,
  )
}
