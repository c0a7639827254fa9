import { debuglog, types } from 'node:util'
import type { Clock } from './clock.ts'

export { whereThrown } from './thrown.ts'

/** Where ringhook writes its lines: `console`, pino, winston and most others fit. */
export interface Logger {
  debug(line: string): void
  info(line: string): void
  warn(line: string): void
  error(line: string): void
}

export type LogLevel = keyof Logger

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** Prints with `NODE_DEBUG=ringhook`. */
const debugging = debuglog('ringhook')

/** `console` for warnings and errors only: a library that prints what went well is noise. */
const preset: Logger = {
  ...silent,
  debug: (line) => debugging('%s', line),
  warn: (line) => console.warn(line),
  error: (line) => console.error(line),
}

/** A logger that never throws. */
export interface SafeLogger extends Logger {
  /** Whether a debug line is worth putting together. */
  isDebugging(): boolean
}

/** Returns the logger for the `logger` option, made safe: a logger that throws changes no answer. */
export function safeLogger(logger: Logger | false | undefined): SafeLogger {
  const target = logger === false ? silent : (logger ?? preset)
  return {
    debug: (line) => write(target, 'debug', line),
    info: (line) => write(target, 'info', line),
    warn: (line) => write(target, 'warn', line),
    error: (line) => write(target, 'error', line),
    isDebugging: () => isDebugging(target),
  }
}

function isDebugging(logger: LeveledLogger): boolean {
  if (logger === silent) return false
  if (logger === preset) return debugging.enabled
  try {
    // Asked for each delivery: the level of a running process can be changed.
    return logger.isLevelEnabled?.('debug') !== false
  } catch {
    return true
  }
}

/** pino and winston know whether a line would be written. */
interface LeveledLogger extends Logger {
  isLevelEnabled?(level: string): unknown
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
