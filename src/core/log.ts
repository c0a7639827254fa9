import { types } from 'node:util'
import type { Clock } from './clock.ts'

/** Where ringhook writes its lines: `console`, pino, winston and most others fit. */
export interface Logger {
  debug(line: string): void
  info(line: string): void
  warn(line: string): void
  error(line: string): void
}

export type LogLevel = keyof Logger

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** `console` for warnings and errors only: a library that prints what went well is noise. */
const warnings: Logger = {
  ...silent,
  warn: (line) => console.warn(line),
  error: (line) => console.error(line),
}

/** Gives the logger for the `logger` option, made safe: a logger that throws changes no answer. */
export function safeLogger(logger: Logger | false | undefined): Logger {
  const target = logger === false ? silent : (logger ?? warnings)
  return {
    debug: (line) => write(target, 'debug', line),
    info: (line) => write(target, 'info', line),
    warn: (line) => write(target, 'warn', line),
    error: (line) => write(target, 'error', line),
  }
}

function write(target: Logger, level: LogLevel, line: string): void {
  try {
    const written: unknown = target[level](line)
    if (types.isPromise(written)) written.catch(() => {})
  } catch {
    // There is nowhere left to say it.
  }
}

/**
 * Lets one line per topic and minute through: whoever can send requests must not be able to fill a
 * disk with lines about them. The next line says how many were left out.
 */
export class LogThrottle {
  readonly #clock: Clock
  readonly #windows = new Map<string, { endsAt: number; leftOut: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The text to add to a line that may be written, or `undefined` if it is to be left out. */
  admit(topic: string): string | undefined {
    const now = this.#clock.now()
    const window = this.#windows.get(topic)
    if (window !== undefined && now < window.endsAt) {
      window.leftOut++
      return undefined
    }
    this.#windows.set(topic, { endsAt: now + 60_000, leftOut: 0 })
    return window === undefined || window.leftOut === 0
      ? ''
      : ` (${window.leftOut} more like it left out)`
  }
}

/**
 * Makes text from outside fit for a log: one line, no control characters or escape sequences, no
 * direction marks, at most 80 characters.
 */
export function printable(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 79)}…` : text
  return short.replace(/[^\x20-\x7e…]/g, '?')
}

/**
 * Where an error was thrown: its name and the first lines of its stack, without its message, which
 * is the handler's own and may quote the event. Never throws, whatever was thrown.
 */
export function whereThrown(error: unknown): string {
  try {
    // Not by `instanceof` alone: in Jest an error of Node's is no instance of the sandbox's Error.
    if (types.isNativeError(error) || error instanceof Error) return placeOf(error)
  } catch {
    // A getter or a proxy that throws.
  }
  return `a thrown ${error === null ? 'null' : typeof error}`
}

function placeOf(error: Error): string {
  const stack = String(error.stack ?? '')
  const message = String(error.message ?? '')
  const messageAt = stack.indexOf(message)
  // A message that was changed later is not in the stack, and what stands there in its place may
  // have lines that look like frames.
  const frames = (messageAt === -1 ? '' : stack.slice(messageAt + message.length))
    .split('\n')
    // The handler's place, and not ours that called it.
    .filter((line) => /^\s+at /.test(line) && !/[\\/]node_modules[\\/]ringhook[\\/]/.test(line))
  const place = frames.slice(0, 3).map((frame) => printablePath(frame.trim()))
  return [printable(String(error.name)), ...place].join(' ')
}

function printablePath(frame: string): string {
  return frame.slice(0, 300).replace(/[^\x20-\x7e]/g, '?')
}
