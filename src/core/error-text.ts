import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { types } from 'node:util'
import { RinghookError } from './errors.ts'

/** The longest chain of causes that is followed. */
const mostCauses = 4
const mostFrames = 10
const longestMessage = 1_000
const longestText = 4_000

/**
 * Returns the message, stack and causes of an error that may be shown, on one line of at most 4,000
 * characters. Never throws, whatever was thrown.
 */
export function textOfThrown(error: unknown): string {
  const texts: string[] = []
  try {
    for (const each of causesOf(error)) texts.push(isError(each) ? textOf(each) : wordsOf(each))
  } catch {
    // A getter or a proxy that throws: the text shows what was read until then.
  }
  return texts.length === 0 ? whereThrown(error) : texts.join('; cause: ').slice(0, longestText)
}

/**
 * Returns the message of ringhook's own error, which quotes nothing, if it is the error or one of its
 * causes. Otherwise returns where the error was thrown.
 */
export function ownMessageOrPlace(error: unknown): string {
  try {
    for (const each of causesOf(error)) if (each instanceof RinghookError) return each.message
  } catch {
    // A getter or a proxy that throws.
  }
  return whereThrown(error)
}

/**
 * Returns the class of an error and the first places in its stack. Leaves out its message and
 * anything else that may quote the event: `name` and `stack` may have been set by hand. Never throws,
 * whatever was thrown.
 */
export function whereThrown(error: unknown): string {
  try {
    if (isError(error)) return [classOf(error), ...placesOf(error)].join(' ')
  } catch {
    // A getter or a proxy that throws.
  }
  return nameless(error)
}

function nameless(thrown: unknown): string {
  return `a thrown ${thrown === null ? 'null' : typeof thrown}`
}

/** Not `instanceof` alone: in Jest, Node's errors aren't instances of the sandbox's Error. */
function isError(thrown: unknown): thrown is Error {
  return types.isNativeError(thrown) || thrown instanceof Error
}

/** Yields an error, its cause, the cause of that. For an AggregateError, its first error. */
function* causesOf(thrown: unknown): Generator {
  let next: unknown = thrown
  for (let count = 0; count < mostCauses && next !== undefined; count++) {
    yield next
    if (!isError(next)) return
    const { cause, errors } = next as { readonly cause?: unknown; readonly errors?: unknown }
    next = cause ?? (Array.isArray(errors) ? errors[0] : undefined)
  }
}

/** Describes a thrown value that isn't an error: text, or an object with a message. */
function wordsOf(thrown: unknown): string {
  const words =
    typeof thrown === 'object' ? (thrown as { readonly message?: unknown } | null)?.message : thrown
  const isSaid = typeof words === 'string' || typeof words === 'number'
  return isSaid ? `${nameless(thrown)}: ${shown(String(words))}` : nameless(thrown)
}

function textOf(error: Error): string {
  const name = typeof error.name === 'string' ? error.name : classOf(error)
  const message = typeof error.message === 'string' ? error.message : ''
  const frames = framesBehind(error).slice(0, mostFrames)
  return [`${shown(name)}: ${shown(message)}`, ...frames.map(shown)].join(' ')
}

/** Escapes line breaks and terminal control characters: a message must not forge log lines. */
function shown(text: string): string {
  return text
    .slice(0, longestMessage)
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (sign) =>
      sign === '\n' ? '\\n' : `\\u{${sign.codePointAt(0)?.toString(16)}}`,
    )
}

/**
 * Returns the frames of a stack. If the message was changed after the stack was captured, the old one
 * may have lines that look like frames: then there are none.
 */
function framesBehind({ stack, message }: Error): readonly string[] {
  if (typeof stack !== 'string' || typeof message !== 'string') return []
  const messageAt = stack.indexOf(message)
  if (messageAt === -1) return []
  return (
    stack
      .slice(messageAt + message.length)
      .split('\n', 50)
      .map((line) => line.trim().slice(0, 300))
      // The handler's place, not ringhook's frames that called it.
      .filter((line) => line.startsWith('at ') && !/[\\/]node_modules[\\/]ringhook[\\/]/.test(line))
  )
}

/** Returns the name of the class, which is in the code, not `name`, which can be set to anything. */
function classOf(error: Error): string {
  const name: unknown = (Object.getPrototypeOf(error) as Error | null)?.constructor?.name
  return typeof name === 'string' && /^[A-Za-z_$][\w$]{0,60}$/.test(name) ? name : 'Error'
}

/** Returns files and lines of a stack, without names of functions: those may be keys of the payload. */
function placesOf(error: Error): readonly string[] {
  const places: string[] = []
  for (const frame of framesBehind(error)) {
    const [, file = '', position] = /([^()\s]+?)((?::\d{1,7}){2})\)?$/.exec(frame) ?? []
    if (isFile(file)) places.push(`at ${file}${position}`)
    if (places.length === 3) break
  }
  return places
}

/** Returns whether text names a file of the program, or could if its sources aren't shipped. */
function isFile(text: string): boolean {
  if (/^node:[a-z/_-]+$/.test(text)) return true
  if (!/^[\w@.+~%,=\\/:-]+$/.test(text)) return false
  const path = text.startsWith('file:') ? fileURLToPath(text) : text
  if (existsSync(path)) return true
  return path.startsWith(process.cwd()) && !/\d{5}/.test(path)
}
